//! The input of `cim index`: JSON lines and files, read as batches of documents.

mod excluded;
mod files;
mod in_flight;
mod json_attributes;
mod json_fields;
mod json_line;
mod json_mistake;
mod skipped;
mod text;
mod walk;

use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use cim_ipld::index::Document;
use tokio::sync::mpsc;

use crate::args::Format;
use crate::failure::{Failure, Result};
use crate::file_records::{FileRecord, PathKey, Records, Survey};

pub(crate) use self::excluded::Excluded;
pub(crate) use self::files::canonical;
pub(crate) use self::in_flight::{InFlight, Room};
pub(crate) use self::skipped::{Reason, Skipped};

/// The size at which a batch is closed, however few documents it has, so that it fits into one
/// journal record.
const BATCH_BYTES: u64 = 512 << 10;

/// What is stored together atomically.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    /// The size in bytes of the lines and files that were read.
    pub(crate) bytes: u64,
    /// Held until the batch is stored.
    pub(crate) room: Option<Room>,
}

/// One part of the input.
#[derive(Debug)]
pub(crate) enum Item {
    Line(Document),
    /// The document of a file without what follows from its paths, and the record of the file.
    File(Document, FileRecord),
    /// A file that was indexed and is gone, or is no longer text.
    Gone(PathKey),
}

impl Batch {
    /// Creates a batch that removes files.
    pub(crate) fn gone(keys: impl IntoIterator<Item = PathKey>) -> Self {
        Self { items: keys.into_iter().map(Item::Gone).collect(), ..Self::default() }
    }
}

/// How the inputs are read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) batch_documents: usize,
    /// Bounds what is read ahead.
    pub(crate) in_flight: InFlight,
    /// The files that were indexed before.
    pub(crate) records: Arc<Records>,
    /// Read unchanged files too, and compare their content.
    pub(crate) checksum: bool,
    pub(crate) excluded: Excluded,
}

/// What was read and what was not.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) skipped: Skipped,
    pub(crate) survey: Survey,
}

/// The inputs, checked to exist.
#[derive(Debug)]
pub(crate) struct Plan {
    sources: Vec<Source>,
    total_bytes: Option<u64>,
    verbose: bool,
}

#[derive(Debug)]
enum Source {
    StandardInput,
    JsonLines(PathBuf),
    File(PathBuf),
    /// A folder, and whether files of JSON lines in it are parsed.
    Folder(PathBuf, bool),
}

impl Plan {
    /// Checks every path before anything is read or stored.
    pub(crate) fn new(paths: &[PathBuf], format: Format, verbose: bool) -> Result<Self> {
        let mut plan = Self { sources: Vec::new(), total_bytes: Some(0), verbose };
        for path in paths {
            plan.add(path, format)?;
        }
        let standard_input = plan.sources.iter().filter(|source| matches!(source, Source::StandardInput)).count();
        if standard_input > 1 {
            return Err(Failure::usage("standard input is named more than once", "give - once"));
        }
        Ok(plan)
    }

    fn add(&mut self, path: &PathBuf, format: Format) -> Result<()> {
        if path.as_os_str() == "-" {
            if format == Format::Files {
                return Err(Failure::usage("standard input holds JSON lines, not files", "give --format jsonl for -"));
            }
            if std::io::stdin().is_terminal() {
                return Err(Failure::usage("standard input is a terminal", "send JSON lines to it"));
            }
            self.total_bytes = None;
            self.sources.push(Source::StandardInput);
            return Ok(());
        }
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path.display(), &error))?;
        let named_lines = json_line::is_named(path);
        if metadata.is_dir() {
            if format == Format::Jsonl {
                let message = format!("{}: a folder is not a file of JSON lines", path.display());
                return Err(Failure::usage(message, "name its files, or leave out --format jsonl"));
            }
            self.total_bytes = None;
            self.sources.push(Source::Folder(path.clone(), format == Format::Auto));
            return Ok(());
        }
        // The size of a pipe or device is unknown.
        let bytes = metadata.is_file().then_some(metadata.len());
        self.total_bytes = self.total_bytes.zip(bytes).map(|(total, bytes)| total + bytes);
        self.sources.push(match format {
            Format::Auto if named_lines => Source::JsonLines(path.clone()),
            Format::Jsonl => Source::JsonLines(path.clone()),
            Format::Auto | Format::Files => Source::File(path.clone()),
        });
        Ok(())
    }

    /// Returns whether the input contains files that are single documents.
    pub(crate) fn has_files(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::File(_) | Source::Folder(..)))
    }

    /// Returns the total size in bytes, if it is known in advance.
    pub(crate) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Returns the paths that are searched for files.
    pub(crate) fn roots(&self) -> Vec<PathKey> {
        let path = |source: &Source| match source {
            Source::File(path) | Source::Folder(path, _) => Some(files::canonical(path)),
            Source::StandardInput | Source::JsonLines(_) => None,
        };
        self.sources.iter().filter_map(path).map(|path| PathKey::of(&path)).collect()
    }

    /// Reads the inputs in order, on the calling thread, until all are read or the receiver of the
    /// batches is closed.
    ///
    /// If reading fails, the batch being collected is not sent.
    pub(crate) fn read(&self, reading: Reading, batches: mpsc::Sender<Batch>) -> Result<Report> {
        let (batch, batch_documents, in_flight) =
            (Batch::default(), reading.batch_documents, reading.in_flight.clone());
        let batcher = Batcher { batch, batch_documents, in_flight, batches };
        let (skipped, survey) = (Skipped::new(self.verbose), Survey::default());
        let mut reader = Reader { reading, batcher, skipped, survey };
        self.roots().into_iter().for_each(|root| reader.survey.root(root));
        let read = self.sources.iter().try_for_each(|source| reader.read(source)).and_then(|()| reader.batcher.send());
        match read {
            Ok(()) | Err(Stop::NotWanted) => Ok(Report { skipped: reader.skipped, survey: reader.survey }),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }
}

/// Reads the inputs.
struct Reader {
    reading: Reading,
    batcher: Batcher,
    skipped: Skipped,
    survey: Survey,
}

impl Reader {
    fn read(&mut self, source: &Source) -> Result<(), Stop> {
        match source {
            Source::StandardInput => {
                json_line::read(std::io::stdin().lock(), &"standard input", &mut self.batcher, &mut self.skipped)
            }
            Source::JsonLines(path) => json_line::read_file(path, &mut self.batcher, &mut self.skipped),
            Source::File(path) => self.read_named(path),
            Source::Folder(path, lines) => self.read_folder(path, *lines),
        }
    }
}

/// Why reading stops before the end of the input.
enum Stop {
    /// The receiver of the batches is closed.
    NotWanted,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Collects items into batches and sends them.
struct Batcher {
    batch: Batch,
    batch_documents: usize,
    in_flight: InFlight,
    batches: mpsc::Sender<Batch>,
}

impl Batcher {
    fn add(&mut self, item: Item, bytes: u64) -> Result<(), Stop> {
        if self.batch.bytes + bytes > BATCH_BYTES {
            self.send()?;
        }
        self.batch.items.push(item);
        self.batch.bytes += bytes;
        if self.batch.items.len() >= self.batch_documents {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Stop> {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.items.is_empty() {
            return Ok(());
        }
        batch.room = Some(self.in_flight.reserve(batch.bytes));
        self.batches.blocking_send(batch).map_err(|_| Stop::NotWanted)
    }
}

fn unreadable(what: impl fmt::Display, error: &std::io::Error) -> Failure {
    Failure::new(format!("{what}: cannot be read: {error}"), "check the path and its permissions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_by_documents_and_by_bytes() {
        let sized = |bytes: u64| bytes.min(BATCH_BYTES);
        for (batch_documents, sizes, expected) in [
            (2, vec![1, 1, 1, 1, 1], vec![2, 2, 1]),
            (100, vec![BATCH_BYTES / 2, BATCH_BYTES / 2, 1], vec![2, 1]),
            (100, vec![1, BATCH_BYTES * 3, 1, 1], vec![1, 1, 2]),
            (1, vec![7, 7], vec![1, 1]),
            (3, vec![], vec![]),
        ] {
            let (batches, mut sent) = mpsc::channel(16);
            let (batch, in_flight) = (Batch::default(), InFlight::new(1 << 30));
            let mut batcher = Batcher { batch, batch_documents, in_flight, batches };
            for (number, bytes) in sizes.iter().enumerate() {
                let cid = cim_ipld::persistence::content_cid(&number.to_le_bytes());
                assert!(batcher.add(Item::Line(Document::new(cid)), *bytes).is_ok());
            }
            assert!(batcher.send().is_ok());
            drop(batcher);
            let mut counts = Vec::new();
            while let Ok(batch) = sent.try_recv() {
                assert!(batch.items.len() == 1 || batch.bytes == sized(batch.bytes));
                counts.push(batch.items.len());
            }
            assert_eq!(counts, expected, "{batch_documents} {sizes:?}");
        }
    }
}
