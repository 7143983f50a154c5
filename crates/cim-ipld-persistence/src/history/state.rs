//! The state of an index as of a position of its order: what a manifest names, and what the journal
//! added since.

use std::collections::HashMap;
use std::sync::Arc;

use cim_ipld_backend::Revision;
use cim_ipld_index::{Analyzer, Deletes, DocId, Location, Memtable, MemtableView, ReadView, Segment, SegmentId};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::announced::Announced;
use super::change::{Change, Changes, Places};
use super::manifest::ManifestVersion;
use super::order::{OpenedRecord, Order};
use crate::format::digest::Digest;
use crate::format::manifest::RecordMark;
use crate::format::window::DigestChunk;
use crate::objects::Objects;
use crate::objects::page_cache::PageCache;
use crate::objects::segment_writer::BuiltSegment;
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// What readers see: immutable, published whole.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) snapshot: ReadView,
    pub(crate) segments: Arc<HashMap<SegmentId, Arc<SegmentHandle>>>,
    pub(crate) manifest: Arc<ManifestVersion>,
    /// Everything up to this position of the order is in the snapshot.
    pub(crate) position: u64,
    /// The roots that records announced.
    pub(crate) announced: Announced,
    /// The last record of the order.
    pub(crate) last: Option<RecordMark>,
}

impl View {
    /// What readers see before anything has been read: nothing.
    pub(crate) fn empty(manifest: ManifestVersion, analyzer: Analyzer) -> Result<Self> {
        Ok(Self {
            snapshot: ReadView::new(analyzer, Vec::new(), Vec::new())?,
            segments: Arc::default(),
            manifest: Arc::new(manifest),
            position: 0,
            announced: Announced::default(),
            last: None,
        })
    }
}

/// The follower's own, changing state, from which views are published.
pub(crate) struct State {
    pub(crate) manifest: Arc<ManifestVersion>,
    pub(crate) order: Order,
    analyzer: Analyzer,
    segments: Vec<OpenSegment>,
    handles: Arc<HashMap<SegmentId, Arc<SegmentHandle>>>,
    frozen: Option<Frozen>,
    active: ActiveMemtable,
    /// The last entry of the catalog that was looked at.
    pub(crate) last_seen: Revision,
}

struct OpenSegment {
    handle: Arc<SegmentHandle>,
    segment: Arc<Segment>,
    deletes: Deletes,
    /// Whether `deletes` holds more than the manifest's.
    dirty: bool,
}

struct ActiveMemtable {
    memtable: Memtable,
    deletes: Deletes,
    /// Records applied to it.
    records: usize,
    /// What the memtable took when it was empty: no fold gives that back.
    empty_bytes: usize,
}

impl ActiveMemtable {
    fn new(analyzer: &Analyzer) -> Self {
        let memtable = Memtable::new(analyzer.clone());
        Self { empty_bytes: memtable.bytes_used(), memtable, deletes: Deletes::new(), records: 0 }
    }

    /// What a fold of it would free. Records count although they bring no document: a journal of
    /// nothing but deletes is to be folded too, before the next opening has to read too much of it.
    fn bytes(&self) -> usize {
        const RECORD_BYTES: usize = 256;
        self.memtable.bytes_used() - self.empty_bytes + self.records * RECORD_BYTES
    }
}

/// A memtable that takes no more documents because it is being folded, and what it held when it was
/// frozen.
struct Frozen {
    input: Arc<FoldInput>,
    deletes: Deletes,
    bytes: usize,
}

/// What a fold turns into a segment: the state as of a position, which later records must not leak
/// into.
#[derive(Debug)]
pub(crate) struct FoldInput {
    pub(crate) memtable: MemtableView,
    pub(crate) memtable_deletes: Deletes,
    /// The order at that position.
    pub(crate) order: Order,
    /// New deletes of the manifest's segments, by position.
    pub(crate) segment_deletes: Vec<Option<Deletes>>,
}

/// A change of the segments that this process prepared, waiting for its manifest to come round in
/// the catalog.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) manifest: Digest,
    /// `None` when no document was left alive.
    pub(crate) segment: Option<BuiltSegment>,
    pub(crate) origin: Origin,
}

/// What a new segment was made of, and where each document of it went.
#[derive(Debug)]
pub(crate) enum Origin {
    Memtable { input: Arc<FoldInput>, document_map: Vec<Option<DocId>>, chunks: Vec<DigestChunk> },
    Segments { merged: Vec<[u8; 16]>, document_maps: Vec<Vec<Option<DocId>>> },
}

impl State {
    /// Opens what `manifest` names, with nothing of the journal yet; segments that `known` has open
    /// are not read again.
    pub(crate) async fn open(
        objects: &Objects,
        manifest: ManifestVersion,
        analyzer: &Analyzer,
        known: Option<&Self>,
    ) -> Result<Self> {
        let opened = stream::iter(manifest.manifest.segments.clone())
            .map(|entry| async move {
                let open = known.and_then(|known| known.segments.iter().find(|open| open.handle.entry.id == entry.id));
                let (handle, segment) = match open {
                    Some(open) if open.handle.entry.digests == entry.digests => {
                        (Arc::new(open.handle.with_entry(entry)), Arc::clone(&open.segment))
                    }
                    _ => {
                        let handle = Arc::new(SegmentHandle::new(entry));
                        let segment = objects.fetch_segment(&handle).await?;
                        (handle, segment)
                    }
                };
                let deletes = objects.fetch_deletes(handle.entry.deletes.as_ref()).await?;
                Ok::<_, Error>(OpenSegment { handle, segment, deletes, dirty: false })
            })
            .buffered(objects.parallel_transfers)
            .try_collect();
        let (segments, order) = futures::future::try_join(opened, manifest.order(objects)).await?;
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
        Ok(state)
    }

    /// A second state as of the manifest, for the journal to be applied to while this one, which
    /// has none of it yet, stays as it is.
    pub(crate) fn begin(&self) -> Self {
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
            snapshot: self.snapshot()?,
            segments: Arc::clone(&self.handles),
            manifest: Arc::clone(&self.manifest),
            position: self.order.position(),
            announced: self.order.announced(),
            last: self.order.watermark().record,
        })
    }

    fn snapshot(&self) -> Result<ReadView> {
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

    /// Finds what the changes of a record replace. Nothing is changed yet, so that a page that is
    /// gone stops nothing.
    pub(crate) async fn locate(&self, objects: &Objects, cache: &PageCache, changes: Vec<Change>) -> Result<Changes> {
        let (cids, documents) = Places::cids(&changes);
        let snapshot = self.snapshot()?;
        let found = cache.resolve(objects, &self.handles, |pages| snapshot.locate(&cids, pages)).await?;
        Ok(Changes { changes, places: Places::new(documents, found) })
    }

    /// Takes an accepted record in.
    pub(crate) fn apply(&mut self, opened: &OpenedRecord, changes: Changes) -> Result<()> {
        let Changes { changes, mut places } = changes;
        self.order.accept(opened);
        for (number, change) in changes.into_iter().enumerate() {
            if let Some(place) = places.replace(number, None) {
                self.mark_deleted(place)?;
            }
            if let Change::Put(document) = change {
                let document = self.active.memtable.insert(&document)?;
                let place = Location::Memtable { index: self.memtables_before_active(), document };
                places.replace(number, Some(place));
            }
        }
        self.active.records += 1;
        Ok(())
    }

    fn memtables_before_active(&self) -> usize {
        usize::from(self.frozen.is_some())
    }

    fn mark_deleted(&mut self, place: Location) -> Result<()> {
        match place {
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
            _ => return Err(Error::new(ErrorKind::Damaged, "a document was located where this engine has none")),
        }
        Ok(())
    }

    /// Stops the active memtable and returns what is to be folded: the one frozen by an earlier
    /// fold that failed, if any. `None` when the journal holds nothing after the watermark.
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

    /// Notes where in the catalog the manifest was last seen. Returns whether that is another place
    /// than before.
    pub(crate) fn moved(&mut self, revision: Revision) -> bool {
        let has_moved = self.manifest.revision != revision;
        if has_moved {
            self.manifest = Arc::new(ManifestVersion { revision, ..(*self.manifest).clone() });
        }
        has_moved
    }

    /// Takes up a manifest that names the same segments at the same watermark.
    pub(crate) fn renew(&mut self, manifest: ManifestVersion) {
        self.manifest = Arc::new(manifest);
    }

    /// Puts the segment that this process made in the place of what it was made of, with what was
    /// deleted there since.
    ///
    /// Returns false, having changed nothing, when that is no longer what this state holds.
    pub(crate) fn install(&mut self, manifest: &ManifestVersion, replacement: &Replacement) -> bool {
        let mut deletes = Deletes::new();
        match &replacement.origin {
            Origin::Memtable { input, document_map, .. } => {
                match &self.frozen {
                    Some(frozen) if Arc::ptr_eq(&frozen.input, input) => {
                        map(&frozen.deletes, document_map, &mut deletes)
                    }
                    _ => return false,
                }
                self.frozen = None;
            }
            // A frozen memtable's new deletes belong to the segments that were there: begin again
            // from the manifest.
            Origin::Segments { .. } if self.frozen.is_some() => return false,
            Origin::Segments { merged, document_maps } => {
                let find = |id: &[u8; 16]| self.segments.iter().find(|open| open.handle.entry.id == *id);
                for (id, document_map) in merged.iter().zip(document_maps) {
                    let Some(open) = find(id) else { return false };
                    map(&open.deletes, document_map, &mut deletes);
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

/// Adds to `new` where the documents of `old` went.
pub(crate) fn map(old: &Deletes, document_map: &[Option<DocId>], new: &mut Deletes) {
    for document in old.iter() {
        if let Some(Some(document)) = document_map.get(document.0 as usize) {
            new.insert(*document);
        }
    }
}
