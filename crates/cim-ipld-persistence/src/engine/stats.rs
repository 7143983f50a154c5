//! Statistics of an index.

use cim_ipld_envelope::EncryptionAlgorithm;
use cim_ipld_index::{AnalyzerSpec, IndexCounts};

use super::Engine;
use crate::Result;
use crate::history::progress::IgnoredEntries;
use crate::position::Position;

/// Statistics of an index, as returned by [`Engine::stats`].
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// # let engine = builder.create(Protection::Plaintext).await?;
/// let stats = engine.stats().await?;
/// assert_eq!((stats.index.documents, stats.segments), (0, 0));
/// assert_eq!(stats.algorithm, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EngineStats {
    /// The counts of the index core: documents, terms, tags, content types.
    pub index: IndexCounts,
    /// The number of segments in the manifest.
    pub segments: usize,
    /// The size of their pages in bytes, before sealing.
    pub segment_bytes: u64,
    /// The memory in bytes used by journal documents and records that are not folded yet.
    pub memtable_bytes: usize,
    /// The size of the cached pages in bytes.
    pub cached_bytes: u64,
    /// The position up to which every write is searchable in this process.
    pub applied: Position,
    /// The generation of the manifest.
    pub generation: u64,
    /// The algorithm that encrypts new objects, or `None` for a plaintext index.
    pub algorithm: Option<EncryptionAlgorithm>,
    /// The analyzer of texts and queries.
    pub analyzer: AnalyzerSpec,
    /// The catalog entries that this process ignored.
    pub ignored: IgnoredEntries,
    /// Whether a key rotation was interrupted before the old keys were retired.
    /// [`finish_rotation`](Engine::finish_rotation) completes it.
    pub rotation_unfinished: bool,
}

impl Engine {
    /// Returns statistics of the index. The counts, segments, position and generation describe the
    /// same view of the index.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Position, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// engine.index(&[Document::new(content_cid(b"1")).with_text("ebb and flow")]).await?;
    /// let stats = engine.stats().await?;
    /// assert_eq!((stats.index.documents, stats.applied), (1, Position::new(1)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Engine::search).
    pub async fn stats(&self) -> Result<EngineStats> {
        let (view, index) = self.read_with_view(|view, pages| view.read_view.counts(pages)).await?;
        let progress = self.shared.progress.get();
        let segments = &view.manifest.manifest.segments;
        Ok(EngineStats {
            index,
            segments: segments.len(),
            segment_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            memtable_bytes: progress.memtable_bytes + progress.frozen_bytes,
            cached_bytes: self.shared.cache.resident_bytes(),
            applied: Position::new(view.position),
            generation: view.manifest.generation(),
            algorithm: self.algorithm(),
            analyzer: self.analyzer().spec(),
            ignored: progress.ignored,
            rotation_unfinished: self.shared.is_rotation_unfinished(&view.manifest),
        })
    }
}
