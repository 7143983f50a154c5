//! What `cim index` shows while it runs: a bar on a terminal, lines for programs otherwise.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::failure::Result;
use crate::output::print_line;

/// Counts what the store has acknowledged, in the order of the input, and says so.
///
/// The line `acknowledged N documents` is for programs: it is written and flushed after the acknowledgement of the
/// input's first N documents, so that whoever reads it may rely on them whatever happens next.
#[derive(Debug)]
pub(crate) struct Progress {
    documents: u64,
    bytes: u64,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn start(total_bytes: Option<u64>) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        let bar = on_terminal.then(|| bar(total_bytes));
        Self { documents: 0, bytes: 0, started: Instant::now(), bar }
    }

    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    pub(crate) fn acknowledged(&mut self, documents: u64, bytes: u64) -> Result<()> {
        self.documents += documents;
        self.bytes += bytes;
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.bytes);
                bar.set_message(format!("{} documents", self.documents));
                Ok(())
            }
            None => print_line(acknowledgement(self.documents)),
        }
    }

    /// Says that everything is acknowledged and what goes on.
    pub(crate) fn finishing(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} documents, folding", self.documents));
        }
    }

    /// Leaves the last count behind where the bar showed it.
    pub(crate) fn stopped_early(&self) -> Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                print_line(acknowledgement(self.documents))
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

    /// Prints the last line: what was stored, and how long it took.
    pub(crate) fn summary(&self) -> Result<()> {
        self.clear();
        let seconds = self.started.elapsed().as_secs_f64();
        print_line(format!("{} documents, {} bytes, {seconds:.3} s", self.documents, self.bytes))
    }
}

fn acknowledgement(documents: u64) -> String {
    format!("acknowledged {documents} documents")
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
