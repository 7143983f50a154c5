//! The options that apply to every command.

use std::time::Duration;

use cim_ipld::envelope::FileAccess;
use cim_ipld::persistence::Settings;
use serde::Serialize;

use crate::args::{GlobalArguments, MemorySize};
use crate::failure::Result;
use crate::output::{print_json, print_line};
use crate::pins::Pins;

/// The values of the global options.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) pins: Pins,
    /// Print JSON.
    pub(crate) json: bool,
    /// Who may read key files besides their owner.
    pub(crate) key_access: FileAccess,
    /// Whether to report skipped files and the progress of `cim gc` on standard error.
    pub(crate) verbose: bool,
    /// How long to wait if another process has the folder open.
    pub(crate) wait: Duration,
    pub(crate) settings: Settings,
}

impl Context {
    pub(crate) fn new(arguments: &GlobalArguments) -> Result<Self> {
        let mut settings = Settings::default();
        if let Some(MemorySize(bytes)) = arguments.memory {
            settings.memory_budget_bytes = bytes;
        }
        Ok(Self {
            settings,
            pins: Pins::chosen(&arguments.pin, arguments.verbose)?,
            json: arguments.json,
            key_access: match arguments.key_group_may_read {
                true => FileAccess::GroupMayRead,
                false => FileAccess::OwnerOnly,
            },
            verbose: arguments.verbose,
            wait: Duration::from_secs(u64::from(arguments.wait)),
        })
    }

    /// Prints the result, as a line or a JSON object.
    pub(crate) fn say(&self, line: impl Into<String>, object: &impl Serialize) -> Result<()> {
        if self.json { print_json(object) } else { print_line(line) }
    }
}
