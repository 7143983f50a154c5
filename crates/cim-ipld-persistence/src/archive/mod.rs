//! Archives: a state of an index in one CARv1 file, which any store can import.
//!
//! An archive consists of the sealed objects of the index, unchanged, and a sealed root block that
//! describes them. It can be opened with the keys that were valid at the time of the export. Both
//! directions are streams: an export holds the blocks of one directory in memory, an import those
//! that are being transferred.

mod blocks;
mod car;
mod errors;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod import;
mod places;
pub(crate) mod reader;
pub(crate) mod source;
mod store;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;

use cid::Cid;
use tokio::io::{AsyncRead, BufReader};

use crate::Result;
use crate::position::Position;

/// The size of the buffers between files and archives.
const BUFFER_BYTES: usize = 1 << 20;

/// An archive to read.
pub(crate) enum Source {
    Stream(Pin<Box<dyn AsyncRead + Send>>),
    File(PathBuf),
}

impl Source {
    pub(crate) async fn open(self) -> Result<Pin<Box<dyn AsyncRead + Send>>> {
        Ok(match self {
            Self::Stream(stream) => Box::pin(BufReader::with_capacity(BUFFER_BYTES, stream)),
            Self::File(path) => Box::pin(file::open(&path).await?),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What [`Engine::export`](crate::Engine::export) writes.
///
/// ```
/// use cim_ipld_persistence::ExportOptions;
///
/// let options = ExportOptions::default().snapshot("monday").since_file("sunday.car");
/// # drop(options);
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct ExportOptions {
    pub(crate) snapshot: Option<String>,
    pub(crate) bases: Vec<Source>,
}

impl ExportOptions {
    /// Exports the state of the snapshot `name` instead of the current state with all snapshots.
    pub fn snapshot(mut self, name: impl Into<String>) -> Self {
        self.snapshot = Some(name.into());
        self
    }

    /// Leaves out the blocks of an earlier archive of the same index. An import then needs both.
    /// Can be given several times.
    pub fn since(mut self, archive: impl AsyncRead + Send + 'static) -> Self {
        self.bases.push(Source::Stream(Box::pin(archive)));
        self
    }

    /// Like [`since`](Self::since), for an archive in a file.
    pub fn since_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bases.push(Source::File(path.into()));
        self
    }
}

/// What [`EngineBuilder::import`](crate::EngineBuilder::import) reads besides the archive.
///
/// ```
/// use cim_ipld_persistence::ImportOptions;
///
/// let options = ImportOptions::default().since_file("sunday.car");
/// # drop(options);
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct ImportOptions {
    pub(crate) bases: Vec<Source>,
}

impl ImportOptions {
    /// Adds an earlier archive, whose blocks the imported archive lacks. Can be given several
    /// times.
    pub fn since(mut self, archive: impl AsyncRead + Send + 'static) -> Self {
        self.bases.push(Source::Stream(Box::pin(archive)));
        self
    }

    /// Like [`since`](Self::since), for an archive in a file.
    pub fn since_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bases.push(Source::File(path.into()));
        self
    }
}

/// The result of [`Engine::export`](crate::Engine::export).
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, ExportOptions, ImportOptions, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
/// let mut archive = Vec::new();
/// let exported = engine.export(&mut archive, ExportOptions::default()).await?;
/// assert_eq!((exported.bytes, exported.documents), (archive.len() as u64, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// The content identifier of the root block, which identifies the archive.
    pub root: Cid,
    /// The number of objects of the index in the archive.
    pub blocks: u64,
    /// The number of objects left out because an earlier archive holds them.
    pub reused_blocks: u64,
    /// The size of the archive in bytes.
    pub bytes: u64,
    /// The number of live documents in the exported state.
    pub documents: u64,
    /// The position in the order of all writes up to which the state includes everything.
    pub position: Position,
    /// The number of snapshots in the archive.
    pub snapshots: u64,
    /// The number of snapshots left out because their records cannot be read.
    pub unreadable_snapshots: u64,
}

/// What an import read and stored.
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, ExportOptions, ImportOptions, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
/// let mut archive = Vec::new();
/// let exported = engine.export(&mut archive, ExportOptions::default()).await?;
/// let target = Engine::builder(Arc::new(MemoryBackend::new()));
/// let imported = target.import(&archive[..], None, ImportOptions::default()).await?;
/// assert_eq!((imported.report.root, imported.report.documents), (exported.root, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// The content identifier of the root block of the archive.
    pub root: Cid,
    /// The number of objects stored.
    pub blocks: u64,
    /// The number of objects that an interrupted import had already stored.
    pub present_blocks: u64,
    /// The number of bytes stored.
    pub bytes: u64,
    /// The number of live documents in the imported state.
    pub documents: u64,
    /// The number of snapshots imported.
    pub snapshots: u64,
}
