//! What a verification found.

use std::fmt;

use crate::error::StoredObject;
use crate::history::progress::IgnoredEntries;
use crate::{Error, ErrorKind, Result};

/// The result of [`Engine::verify`](crate::Engine::verify): what was checked and what is wrong.
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// # let engine = builder.create(Protection::Plaintext).await?;
/// let report = engine.verify().await?;
/// for problem in &report.problems {
///     eprintln!("{problem}");
/// }
/// assert!(report.is_sound());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The number of segments named by the manifest or a snapshot.
    pub segments: u64,
    /// The number of their pages.
    pub pages: u64,
    /// The size of those pages in bytes, decrypted.
    pub bytes: u64,
    /// The number of journal records after the watermark.
    pub records: u64,
    /// The number of snapshots.
    pub snapshots: u64,
    /// The number of live documents in the index.
    pub documents: u64,
    /// The catalog entries that are not part of the index, found in the store now or seen by this
    /// process before. They change nothing.
    pub ignored: IgnoredEntries,
    /// Whether a key rotation was interrupted before the old keys were retired.
    /// [`finish_rotation`](crate::Engine::finish_rotation) completes it.
    pub rotation_unfinished: bool,
    /// The objects that neither the manifest nor a snapshot nor the journal names: what a process
    /// is storing at the moment, and what crashes left behind. See
    /// [`Engine::collect_garbage`](crate::Engine::collect_garbage).
    pub unnamed: ObjectCount,
    /// All problems found. Empty if the index is sound.
    pub problems: Vec<Problem>,
}

/// A number of objects and their size in the store.
///
/// ```
/// use cim_ipld_persistence::ObjectCount;
///
/// assert_eq!(ObjectCount::default(), ObjectCount { objects: 0, bytes: 0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCount {
    /// The number of objects.
    pub objects: u64,
    /// Their total size in bytes, as stored.
    pub bytes: u64,
}

impl ObjectCount {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.objects += 1;
        self.bytes += bytes as u64;
    }
}

/// The condition of an index, by what can be recovered.
///
/// ```
/// use cim_ipld_persistence::{Condition, VerifyReport};
///
/// assert_eq!(VerifyReport::default().condition(), Condition::Sound);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Condition {
    /// Nothing is damaged.
    Sound,
    /// Objects are damaged or lost, but every document and every write can be recovered from the
    /// rest of the store.
    Recoverable,
    /// Documents or writes of the index or of a snapshot are lost, unless a copy of the store has
    /// them.
    DataLost,
}

impl VerifyReport {
    /// Returns whether no problem was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the condition of the index.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self.problems.iter().all(|problem| problem.is_recoverable) {
            _ if self.is_sound() => Condition::Sound,
            true => Condition::Recoverable,
            false => Condition::DataLost,
        }
    }
}

/// A problem found by [`Engine::verify`](crate::Engine::verify).
///
/// ```
/// use cim_ipld_persistence::VerifyReport;
///
/// fn is_lossless(report: &VerifyReport) -> bool {
///     report.problems.iter().all(|problem| problem.is_recoverable)
/// }
/// assert!(is_lossless(&VerifyReport::default()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of the problem, such as [`Damaged`](ErrorKind::Damaged) or
    /// [`Lost`](ErrorKind::Lost).
    pub kind: ErrorKind,
    /// A description of the affected object and of the problem.
    pub message: String,
    /// The missing or damaged object, if the problem is about one.
    pub object: Option<StoredObject>,
    /// Whether the index depends on it.
    pub of_index: bool,
    /// The names of the snapshots that depend on it.
    pub snapshots: Vec<String>,
    /// The number of documents that are lost with the object. If the segment that contains them
    /// cannot be opened, this is the largest possible number: that of all its live documents.
    pub documents: u64,
    /// Whether the rest of the store suffices to recover what depends on the object.
    pub is_recoverable: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What depends on an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependents {
    pub(crate) of_index: bool,
    pub(crate) snapshots: Vec<String>,
}

impl Dependents {
    pub(crate) fn index() -> Self {
        Self { of_index: true, snapshots: Vec::new() }
    }
}

impl fmt::Display for Dependents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshots = self.snapshots.iter().map(|name| format!("snapshot {name:?}"));
        let all: Vec<String> = self.of_index.then(|| "the index".to_owned()).into_iter().chain(snapshots).collect();
        f.write_str(&all.join(", "))?;
        if self.of_index { Ok(()) } else { f.write_str(", not of the index") }
    }
}

/// What is lost with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: it is derived from other objects.
    Nothing,
    /// This number of documents at most.
    Documents(u64),
    /// Writes, or the record of which documents were deleted.
    Writes,
}

impl VerifyReport {
    /// Adds an error that is a problem of the index to the report, unless the object is listed
    /// already. Returns any other error, because it prevents the check.
    pub(crate) fn note(&mut self, what: &str, dependents: &Dependents, loss: Loss, error: Error) -> Result<()> {
        let is_problem = matches!(
            error.kind(),
            ErrorKind::Damaged | ErrorKind::Lost | ErrorKind::Forked | ErrorKind::UnsupportedVersion
        );
        if !is_problem {
            return Err(error);
        }
        let problem = Problem {
            kind: error.kind(),
            message: format!("{what}: {error}{}", loss.text()),
            object: error.object().cloned(),
            of_index: dependents.of_index,
            snapshots: dependents.snapshots.clone(),
            documents: if let Loss::Documents(documents) = loss { documents } else { 0 },
            is_recoverable: loss == Loss::Nothing,
        };
        let is_same = |known: &Problem| match (&known.object, &problem.object) {
            (Some(known), Some(object)) => known == object,
            _ => known.message == problem.message,
        };
        if !self.problems.iter().any(is_same) {
            self.problems.push(problem);
        }
        Ok(())
    }
}

impl Loss {
    fn text(self) -> String {
        match self {
            Self::Documents(1) => "; 1 document is lost unless a copy of the store has it".to_owned(),
            Self::Documents(documents) => {
                format!("; {documents} documents are lost unless a copy of the store has them")
            }
            Self::Nothing | Self::Writes => String::new(),
        }
    }
}
