//! What holds for a command as a whole, whatever it does.

use std::time::Duration;

use cim_ipld::envelope::FileAccess;
use serde::Serialize;

use crate::args::GlobalArguments;
use crate::failure::Result;
use crate::output::{print_json, print_line};
use crate::pins::Pins;

/// What the options of every command say.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) pins: Pins,
    /// Print JSON.
    pub(crate) json: bool,
    /// Who may read key files beside their owner.
    pub(crate) key_access: FileAccess,
    /// Name on standard error what is done without.
    pub(crate) verbose: bool,
    /// How long a folder that another process has open is waited for.
    pub(crate) wait: Duration,
}

impl Context {
    pub(crate) fn new(arguments: &GlobalArguments) -> Result<Self> {
        Ok(Self {
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

    /// Says what was done: a line, or an object.
    pub(crate) fn say(&self, line: impl Into<String>, object: &impl Serialize) -> Result<()> {
        if self.json { print_json(object) } else { print_line(line) }
    }
}
