//! The state of an index at a position of its order: the segments that a manifest names, and the
//! journal records since.

use std::collections::HashMap;
use std::sync::Arc;

use cim_ipld_backend::Revision;
use cim_ipld_index::{Analyzer, Deletes, DocId, Location, Memtable, MemtableView, ReadView, SegmentId};

use super::announced::Announced;
use super::change::{Change, Changes, Locations};
use super::manifest::ManifestVersion;
use super::open_segment::{OpenSegment, open_segments};
use super::order::Order;
use super::progress::Seen;
use crate::format::digest::Digest;
use crate::format::manifest::RecordMark;
use crate::format::window::DigestBlock;
use crate::objects::Objects;
use crate::objects::page_cache::PageCache;
use crate::objects::segment_writer::BuiltSegment;
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The immutable state that readers see.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) read_view: ReadView,
    pub(crate) segments: Arc<HashMap<SegmentId, Arc<SegmentHandle>>>,
    pub(crate) manifest: Arc<ManifestVersion>,
    /// The position of the order that `read_view` includes.
    pub(crate) position: u64,
    /// The roots announced by records.
    pub(crate) announced: Announced,
    /// The last record of the order.
    pub(crate) last: Option<RecordMark>,
}

impl View {
    /// Returns the empty view that readers see until the journal has been read.
    pub(crate) fn empty(manifest: ManifestVersion, analyzer: Analyzer) -> Result<Self> {
        Ok(Self {
            read_view: ReadView::new(analyzer, Vec::new(), Vec::new())?,
            segments: Arc::default(),
            manifest: Arc::new(manifest),
            position: 0,
            announced: Announced::default(),
            last: None,
        })
    }
}

/// The mutable state of the follower, from which views are published.
pub(crate) struct State {
    pub(crate) manifest: Arc<ManifestVersion>,
    pub(crate) order: Order,
    analyzer: Analyzer,
    segments: Vec<OpenSegment>,
    handles: Arc<HashMap<SegmentId, Arc<SegmentHandle>>>,
    frozen: Option<Frozen>,
    active: ActiveMemtable,
    /// The revision of the last catalog entry processed.
    pub(crate) last_seen: Revision,
}

struct ActiveMemtable {
    memtable: Memtable,
    deletes: Deletes,
    /// The number of records applied to it.
    records: usize,
    /// The size of the empty memtable, which a fold does not free.
    empty_bytes: usize,
}

impl ActiveMemtable {
    fn new(analyzer: &Analyzer) -> Self {
        let memtable = Memtable::new(analyzer.clone());
        Self { empty_bytes: memtable.bytes_used(), memtable, deletes: Deletes::new(), records: 0 }
    }

    /// Returns how many bytes a fold would free. Every record counts, even one without documents,
    /// so that a journal that contains only deletes is folded before it slows down the next
    /// opening.
    fn bytes(&self) -> usize {
        const RECORD_BYTES: usize = 256;
        self.memtable.bytes_used() - self.empty_bytes + self.records * RECORD_BYTES
    }
}

/// A memtable that is being folded and accepts no more documents.
struct Frozen {
    input: Arc<FoldInput>,
    deletes: Deletes,
    bytes: usize,
}

/// The input of a fold: the state at a position, unaffected by later records.
#[derive(Debug)]
pub(crate) struct FoldInput {
    pub(crate) memtable: MemtableView,
    pub(crate) memtable_deletes: Deletes,
    /// The order at the position.
    pub(crate) order: Order,
    /// The new deletes of each segment of the manifest, in manifest order.
    pub(crate) segment_deletes: Vec<Option<Deletes>>,
}

/// The segment that this process has stored for a new manifest, and the inputs that it replaces. It
/// is kept until the follower has read that manifest.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) manifest: Digest,
    /// `None` if no live document was left.
    pub(crate) segment: Option<BuiltSegment>,
    pub(crate) origin: Origin,
}

/// The inputs of a new segment, and the new id of each of their documents.
#[derive(Debug)]
pub(crate) enum Origin {
    Memtable { input: Arc<FoldInput>, document_map: Vec<Option<DocId>>, blocks: Vec<DigestBlock> },
    Segments { merged: Vec<[u8; 16]>, document_maps: Arc<[Vec<Option<DocId>>]> },
}

impl State {
    /// Opens the segments that `manifest` names, without any journal records. Segments that are
    /// already open in `known` are not read again.
    pub(crate) async fn open(
        objects: &Objects,
        manifest: ManifestVersion,
        analyzer: &Analyzer,
        known: Option<&Self>,
    ) -> Result<Self> {
        let segments = open_segments(objects, &manifest, known.map_or(&[], |known| &known.segments));
        let (segments, order) = futures::future::try_join(segments, manifest.order(objects)).await?;
        Ok(Self::new(manifest, order, segments, analyzer))
    }

    /// Opens the segments of a manifest at a later position of the order, for a repair.
    pub(crate) async fn open_at(
        objects: &Objects,
        manifest: ManifestVersion,
        order: Order,
        analyzer: &Analyzer,
    ) -> Result<Self> {
        let segments = open_segments(objects, &manifest, &[]).await?;
        Ok(Self::new(manifest, order, segments, analyzer))
    }

    fn new(manifest: ManifestVersion, order: Order, segments: Vec<OpenSegment>, analyzer: &Analyzer) -> Self {
        let mut state = Self {
            manifest: Arc::new(manifest),
            order,
            analyzer: analyzer.clone(),
            segments,
            handles: Arc::default(),
            frozen: None,
            active: ActiveMemtable::new(analyzer),
            last_seen: Revision::ZERO,
        };
        state.index_handles();
        state
    }

    /// Returns a copy to which the journal can be applied. This state must not contain any journal
    /// records yet.
    pub(crate) fn copy_without_journal(&self) -> Self {
        let segments = self.segments.iter().map(|open| OpenSegment {
            handle: Arc::clone(&open.handle),
            segment: Arc::clone(&open.segment),
            deletes: open.deletes.clone(),
            dirty: open.dirty,
        });
        Self {
            manifest: Arc::clone(&self.manifest),
            order: self.order.clone(),
            analyzer: self.analyzer.clone(),
            segments: segments.collect(),
            handles: Arc::clone(&self.handles),
            frozen: None,
            active: ActiveMemtable::new(&self.analyzer),
            last_seen: self.last_seen,
        }
    }

    fn index_handles(&mut self) {
        let handles = self.segments.iter().map(|open| (open.handle.id(), Arc::clone(&open.handle)));
        self.handles = Arc::new(handles.collect());
    }

    pub(crate) fn view(&self) -> Result<View> {
        Ok(View {
            read_view: self.read_view()?,
            segments: Arc::clone(&self.handles),
            manifest: Arc::clone(&self.manifest),
            position: self.order.position(),
            announced: self.order.announced(),
            last: self.order.watermark().record,
        })
    }

    fn read_view(&self) -> Result<ReadView> {
        let segments = self.segments.iter().map(|open| (Arc::clone(&open.segment), open.deletes.clone())).collect();
        let frozen = self.frozen.iter().map(|frozen| (frozen.input.memtable.clone(), frozen.deletes.clone()));
        let active = (self.active.memtable.view(), self.active.deletes.clone());
        Ok(ReadView::new(self.analyzer.clone(), segments, frozen.chain([active]).collect())?)
    }

    pub(crate) fn memtable_bytes(&self) -> usize {
        self.active.bytes()
    }

    pub(crate) fn frozen_bytes(&self) -> usize {
        self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    /// Finds the documents that the changes of a record replace. Nothing is modified yet, so that a
    /// missing page leaves the state intact.
    pub(crate) async fn locate(&self, objects: &Objects, cache: &PageCache, changes: Vec<Change>) -> Result<Changes> {
        let (cids, documents) = Locations::cids(&changes);
        let read_view = self.read_view()?;
        let found = cache.resolve(objects, &self.handles, |pages| read_view.locate(&cids, pages)).await?;
        Ok(Changes { changes, locations: Locations::new(documents, found) })
    }

    /// Returns the history that a record written now attests.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            position: self.order.position(),
            order: self.order.digest(),
            generation: self.manifest.generation(),
            manifest: self.manifest.digest,
        }
    }

    /// Applies the changes of a record that the order has accepted.
    pub(crate) fn apply(&mut self, changes: Changes) -> Result<()> {
        let Changes { changes, mut locations } = changes;
        for (number, change) in changes.into_iter().enumerate() {
            if let Some(location) = locations.replace(number, None) {
                self.mark_deleted(location)?;
            }
            if let Change::Put(document) = change {
                let document = self.active.memtable.insert_encoded(&document)?;
                let location = Location::Memtable { index: self.memtables_before_active(), document };
                locations.replace(number, Some(location));
            }
        }
        self.active.records += 1;
        Ok(())
    }

    fn memtables_before_active(&self) -> usize {
        usize::from(self.frozen.is_some())
    }

    fn mark_deleted(&mut self, location: Location) -> Result<()> {
        match location {
            Location::Segment { segment, document } => {
                let open = self.segments.iter_mut().find(|open| open.handle.id() == segment).ok_or_else(|| {
                    Error::new(ErrorKind::Damaged, "a document was located in a segment that is not open")
                })?;
                open.deletes.insert(document);
                open.dirty = true;
            }
            Location::Memtable { index, document } => {
                match &mut self.frozen {
                    Some(frozen) if index == 0 => frozen.deletes.insert(document),
                    _ => self.active.deletes.insert(document),
                };
            }
            _ => {
                return Err(Error::new(ErrorKind::Damaged, "a document was located outside of segments and memtables"));
            }
        }
        Ok(())
    }

    /// Returns everything that was applied since the segments were opened, for a fold.
    pub(crate) fn into_fold_input(self) -> FoldInput {
        FoldInput {
            memtable: self.active.memtable.view(),
            memtable_deletes: self.active.deletes,
            order: self.order,
            segment_deletes: self.segments.into_iter().map(|open| open.dirty.then_some(open.deletes)).collect(),
        }
    }

    /// Freezes the active memtable and returns the input of a fold. If an earlier fold failed, its
    /// frozen memtable is returned instead. Returns `None` if no record follows the watermark.
    pub(crate) fn freeze(&mut self, exact: bool) -> Option<Arc<FoldInput>> {
        if let Some(frozen) = &mut self.frozen {
            if !exact {
                let FoldInput { memtable, memtable_deletes, segment_deletes, .. } = &*frozen.input;
                frozen.input = Arc::new(FoldInput {
                    memtable: memtable.clone(),
                    memtable_deletes: memtable_deletes.clone(),
                    order: self.order.clone(),
                    segment_deletes: segment_deletes.clone(),
                });
            }
            return Some(Arc::clone(&frozen.input));
        }
        if self.order.position() == self.manifest.position() {
            return None;
        }
        let active = std::mem::replace(&mut self.active, ActiveMemtable::new(&self.analyzer));
        let input = Arc::new(FoldInput {
            memtable: active.memtable.view(),
            memtable_deletes: active.deletes.clone(),
            order: self.order.clone(),
            segment_deletes: self.segments.iter().map(|open| open.dirty.then(|| open.deletes.clone())).collect(),
        });
        self.frozen = Some(Frozen { input: Arc::clone(&input), bytes: active.bytes(), deletes: active.deletes });
        Some(input)
    }

    /// Sets the revision at which the manifest was last seen. Returns whether the revision has
    /// changed.
    pub(crate) fn set_manifest_revision(&mut self, revision: Revision) -> bool {
        let has_changed = self.manifest.revision != revision;
        if has_changed {
            self.manifest = Arc::new(ManifestVersion { revision, ..(*self.manifest).clone() });
        }
        has_changed
    }

    /// Replaces the manifest with one that has the same segments and watermark.
    pub(crate) fn renew(&mut self, manifest: ManifestVersion) {
        self.manifest = Arc::new(manifest);
    }

    /// Replaces the inputs of a segment that this process built with that segment, in which it
    /// marks the documents deleted in the meantime.
    ///
    /// Returns false and changes nothing if this state no longer contains the inputs.
    pub(crate) fn install(&mut self, manifest: &ManifestVersion, replacement: &Replacement) -> bool {
        let mut deletes = Deletes::new();
        match &replacement.origin {
            Origin::Memtable { input, document_map, .. } => {
                match &self.frozen {
                    Some(frozen) if Arc::ptr_eq(&frozen.input, input) => {
                        remap_deletes(&frozen.deletes, document_map, &mut deletes)
                    }
                    _ => return false,
                }
                self.frozen = None;
            }
            // The input of the frozen memtable contains deletes for the segments that would be
            // replaced, so the state is rebuilt from the manifest instead.
            Origin::Segments { .. } if self.frozen.is_some() => return false,
            Origin::Segments { merged, document_maps } => {
                let find = |id: &[u8; 16]| self.segments.iter().find(|open| open.handle.entry.id == *id);
                for (id, document_map) in merged.iter().zip(&**document_maps) {
                    let Some(open) = find(id) else { return false };
                    remap_deletes(&open.deletes, document_map, &mut deletes);
                }
            }
        }
        let mut old: HashMap<[u8; 16], OpenSegment> =
            std::mem::take(&mut self.segments).into_iter().map(|open| (open.handle.entry.id, open)).collect();
        for entry in &manifest.manifest.segments {
            let (handle, segment, deletes) = match (old.remove(&entry.id), &replacement.segment) {
                (Some(open), _) => (open.handle, open.segment, open.deletes),
                (None, Some(new)) => (Arc::clone(&new.handle), Arc::clone(&new.segment), std::mem::take(&mut deletes)),
                (None, None) => continue,
            };
            let dirty = deletes.len() != entry.deletes.as_ref().map_or(0, |deletes| deletes.documents);
            let handle = Arc::new(handle.with_entry(entry.clone()));
            self.segments.push(OpenSegment { handle, segment, deletes, dirty });
        }
        self.manifest = Arc::new(manifest.clone());
        self.index_handles();
        true
    }
}

/// Adds the documents of `old` to `new`, under their new ids.
pub(crate) fn remap_deletes(old: &Deletes, document_map: &[Option<DocId>], new: &mut Deletes) {
    for document in old.iter() {
        if let Some(Some(document)) = document_map.get(document.0 as usize) {
            new.insert(*document);
        }
    }
}
