//! The progress of `cim index`: a bar on a terminal, lines for programs otherwise.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io::IsTerminal;
use std::time::Instant;

use cim_ipld::Cid;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;

use crate::failure::Result;
use crate::input::Skipped;
use crate::output::{print_json, print_line};
use crate::shown::one_line;

/// What a run did besides storing documents.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) skipped: Skipped,
    /// Files that were indexed before and have not changed.
    pub(crate) unchanged: u64,
    /// Files that are gone and were removed from the index.
    pub(crate) removed: u64,
}

/// Counts the acknowledged documents in the order of the input, and reports them.
///
/// The line `acknowledged N documents` is for programs. It is written and flushed after the first N
/// documents of the input have been acknowledged, so the reader can rely on their durability.
#[derive(Debug)]
pub(crate) struct Progress {
    documents: u64,
    /// The stored documents, as hashes of their CIDs, so that a repeated CID counts once.
    stored: HashSet<u64, foldhash::fast::RandomState>,
    hasher: foldhash::quality::RandomState,
    bytes: u64,
    started: Instant,
    bar: Option<ProgressBar>,
    json: bool,
}

impl Progress {
    pub(crate) fn start(total_bytes: Option<u64>, json: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        let bar = (on_terminal && !json).then(|| bar(total_bytes));
        Self {
            documents: 0,
            stored: HashSet::default(),
            hasher: foldhash::quality::RandomState::default(),
            bytes: 0,
            started: Instant::now(),
            bar,
            json,
        }
    }

    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    pub(crate) fn acknowledged(&mut self, cids: &[Cid], bytes: u64) -> Result<()> {
        self.documents += cids.len() as u64;
        self.stored.extend(cids.iter().map(|cid| self.hasher.hash_one(cid)));
        self.bytes += bytes;
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.bytes);
                bar.set_message(format!("{} documents", self.documents));
                Ok(())
            }
            None => self.say_acknowledged(),
        }
    }

    /// Shows that everything is acknowledged and that the journal is folded if necessary.
    pub(crate) fn finishing(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} documents, folding", self.documents));
        }
    }

    /// Leaves the last count in place of the bar.
    pub(crate) fn stopped_early(&self) -> Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                self.say_acknowledged()
            }
            None => Ok(()),
        }
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Prints what was skipped, what was stored and how long it took.
    pub(crate) fn summary(&self, done: &Done) -> Result<()> {
        self.clear();
        let seconds = self.started.elapsed().as_secs_f64();
        let Done { skipped, unchanged, removed } = done;
        if self.json {
            let (documents, bytes) = (self.stored.len(), self.bytes);
            return print_json(&json!({
                "documents": documents, "bytes": bytes, "seconds": seconds, "unchanged": unchanged, "removed": removed,
                "skipped": skipped.to_json(),
            }));
        }
        for line in skipped.lines() {
            print_line(one_line(&line))?;
        }
        for (count, what) in [(unchanged, "unchanged"), (removed, "removed")] {
            if *count > 0 {
                print_line(format!("{count} {} {what}", if *count == 1 { "file" } else { "files" }))?;
            }
        }
        print_line(format!("{} documents, {} bytes, {seconds:.3} s", self.stored.len(), self.bytes))
    }

    fn say_acknowledged(&self) -> Result<()> {
        match self.json {
            true => print_json(&json!({ "acknowledged": self.documents })),
            false => print_line(format!("acknowledged {} documents", self.documents)),
        }
    }
}

fn bar(total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(total) => {
            (ProgressBar::new(total), "{bar:32} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {binary_bytes} {binary_bytes_per_sec} {msg}"),
    };
    let bar = bar.with_finish(ProgressFinish::AndClear);
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
