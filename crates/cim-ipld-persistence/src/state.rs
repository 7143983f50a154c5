//! The state of an index as of one catalog revision: what a manifest names, and what the journal added since.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cid::Cid;
use cim_ipld_backend::Revision;
use cim_ipld_index::{
    Analyzer, Deletes, DocId, Document, Location, Memtable, MemtableView, Segment, SegmentId, Snapshot, codec,
};

use crate::format::manifest::{Manifest, Watermark};
use crate::format::record::{Operation, Record};
use crate::segments::SegmentHandle;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};

/// What readers see: immutable, published whole.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) snapshot: Snapshot,
    pub(crate) segments: Arc<HashMap<SegmentId, Arc<SegmentHandle>>>,
    pub(crate) manifest: Arc<ManifestVersion>,
    /// Everything up to this catalog revision is in the snapshot.
    pub(crate) applied: Revision,
}

impl View {
    /// What readers see before anything has been read: nothing.
    pub(crate) fn empty(manifest: ManifestVersion) -> Result<Self> {
        Ok(Self {
            snapshot: Snapshot::new(Analyzer::default(), Vec::new(), Vec::new())?,
            segments: Arc::default(),
            manifest: Arc::new(manifest),
            applied: Revision::ZERO,
        })
    }
}

/// A manifest, where it stood in the catalog, and the hash that its successor must name.
#[derive(Clone, Debug)]
pub(crate) struct ManifestVersion {
    pub(crate) manifest: Manifest,
    pub(crate) revision: Revision,
    pub(crate) hash: [u8; 32],
}

impl ManifestVersion {
    pub(crate) fn watermark(&self) -> Revision {
        match self.manifest.watermark {
            Watermark::At(revision) => Revision::new(revision),
            Watermark::Own => self.revision,
        }
    }
}

/// The follower's own, changing state, from which views are published.
pub(crate) struct State {
    pub(crate) manifest: Arc<ManifestVersion>,
    segments: Vec<OpenSegment>,
    handles: Arc<HashMap<SegmentId, Arc<SegmentHandle>>>,
    frozen: Option<Frozen>,
    active: ActiveMemtable,
    pub(crate) applied: Revision,
    /// Revisions of the records applied since the watermark.
    records: BTreeSet<u64>,
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
    fn new() -> Self {
        let memtable = Memtable::new(Analyzer::default());
        Self { empty_bytes: memtable.bytes_used(), memtable, deletes: Deletes::new(), records: 0 }
    }

    /// What a fold of it would free. Records count although they bring no document: a journal of nothing but deletes is to
    /// be folded too, before the next opening has to read too much of it.
    fn bytes(&self) -> usize {
        const RECORD_BYTES: usize = 256;
        self.memtable.bytes_used() - self.empty_bytes + self.records * RECORD_BYTES
    }
}

/// A memtable that takes no more documents because it is being folded, and what it held when it was frozen.
struct Frozen {
    input: Arc<FoldInput>,
    deletes: Deletes,
    bytes: usize,
}

/// What a fold turns into a segment: the state as of a revision, which later records must not leak into.
#[derive(Debug)]
pub(crate) struct FoldInput {
    pub(crate) memtable: MemtableView,
    pub(crate) memtable_deletes: Deletes,
    pub(crate) watermark: Revision,
    /// New deletes of the manifest's segments, by position.
    pub(crate) segment_deletes: Vec<Option<Deletes>>,
}

/// A change of the segments that this process prepared, waiting for its manifest to come round in the catalog.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) manifest_hash: [u8; 32],
    /// `None` when no document was left alive.
    pub(crate) segment: Option<Arc<Segment>>,
    pub(crate) origin: Origin,
}

/// What a new segment was made of, and where each document of it went.
#[derive(Debug)]
pub(crate) enum Origin {
    Memtable { input: Arc<FoldInput>, document_map: Vec<Option<DocId>> },
    Segments { merged: Vec<[u8; 16]>, document_maps: Vec<Vec<Option<DocId>>> },
}

impl State {
    /// Opens what `manifest` names, with nothing of the journal yet.
    pub(crate) async fn open(shared: &Shared, manifest: ManifestVersion) -> Result<Self> {
        let mut segments = Vec::with_capacity(manifest.manifest.segments.len());
        for entry in &manifest.manifest.segments {
            let handle = Arc::new(SegmentHandle::new(entry.clone()));
            let (segment, deletes) = shared.objects.fetch_segment(&handle, shared.settings.parallel_transfers).await?;
            segments.push(OpenSegment { handle, segment, deletes, dirty: false });
        }
        let applied = manifest.watermark();
        let mut state = Self {
            manifest: Arc::new(manifest),
            segments,
            handles: Arc::default(),
            frozen: None,
            active: ActiveMemtable::new(),
            applied,
            records: BTreeSet::new(),
        };
        state.index_handles();
        Ok(state)
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
            applied: self.applied,
        })
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let segments = self.segments.iter().map(|open| (Arc::clone(&open.segment), open.deletes.clone())).collect();
        let frozen = self.frozen.iter().map(|frozen| (frozen.input.memtable.clone(), frozen.deletes.clone()));
        let active = (self.active.memtable.view(), self.active.deletes.clone());
        Ok(Snapshot::new(Analyzer::default(), segments, frozen.chain([active]).collect())?)
    }

    pub(crate) fn memtable_bytes(&self) -> usize {
        self.active.bytes()
    }

    pub(crate) fn frozen_bytes(&self) -> usize {
        self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    /// Says which earlier write a record proves to exist that this state has not seen.
    pub(crate) fn gap(&self, record: &Record) -> Option<Gap> {
        if record.generation > self.manifest.manifest.generation {
            return Some(Gap::Manifest(record.generation));
        }
        let watermark = self.manifest.watermark().number();
        let known = |revision: u64| revision <= watermark || self.records.contains(&revision);
        [record.previous, record.seen].into_iter().find(|revision| !known(*revision)).map(Gap::Record)
    }

    /// Applies the operations of one record, in their order.
    pub(crate) async fn apply(&mut self, shared: &Shared, revision: Revision, operations: &[Operation]) -> Result<()> {
        let operations: Vec<Change> = operations.iter().map(Change::decode).collect::<Result<_>>()?;
        let cids: BTreeSet<Cid> = operations.iter().map(Change::cid).collect();
        let cids: Vec<Cid> = cids.into_iter().collect();
        let snapshot = self.snapshot()?;
        let found = shared.cache.resolve(&shared.objects, &self.handles, |pages| snapshot.locate(&cids, pages)).await?;
        let mut places: HashMap<Cid, Location> =
            cids.into_iter().zip(found).filter_map(|(cid, place)| Some((cid, place?))).collect();
        for change in operations {
            if let Some(place) = places.remove(&change.cid()) {
                self.mark_deleted(place)?;
            }
            if let Change::Put(document) = change {
                let id = self.active.memtable.insert(&document)?;
                places.insert(document.cid, Location::Memtable { index: self.memtables_before_active(), document: id });
            }
        }
        self.records.insert(revision.number());
        self.active.records += 1;
        self.applied = revision;
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

    pub(crate) fn last_record(&self) -> u64 {
        self.records.last().copied().unwrap_or(0)
    }

    /// Stops the active memtable and says what is to be folded: the one frozen by an earlier fold that failed, if any.
    /// `None` when the journal holds nothing after the watermark.
    pub(crate) fn freeze(&mut self) -> Option<Arc<FoldInput>> {
        if let Some(frozen) = &self.frozen {
            return Some(Arc::clone(&frozen.input));
        }
        if self.records.is_empty() {
            return None;
        }
        let active = std::mem::replace(&mut self.active, ActiveMemtable::new());
        let input = Arc::new(FoldInput {
            memtable: active.memtable.view(),
            memtable_deletes: active.deletes.clone(),
            watermark: self.applied,
            segment_deletes: self.segments.iter().map(|open| open.dirty.then(|| open.deletes.clone())).collect(),
        });
        self.frozen = Some(Frozen { input: Arc::clone(&input), bytes: active.bytes(), deletes: active.deletes });
        Some(input)
    }

    /// Puts the segment that this process made in the place of what it was made of, with what was deleted there since.
    ///
    /// Returns false, having changed nothing, when that is no longer what this state holds.
    pub(crate) fn install(&mut self, manifest: ManifestVersion, replacement: &Replacement) -> bool {
        let mut deletes = Deletes::new();
        match &replacement.origin {
            Origin::Memtable { input, document_map } => {
                match &self.frozen {
                    Some(frozen) if Arc::ptr_eq(&frozen.input, input) => {
                        map(&frozen.deletes, document_map, &mut deletes)
                    }
                    _ => return false,
                }
                self.frozen = None;
                self.records = self.records.split_off(&(input.watermark.number() + 1));
            }
            // A frozen memtable's new deletes belong to the segments that were there: begin again from the manifest.
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
            let (segment, deletes) = match (old.remove(&entry.id), &replacement.segment) {
                (Some(open), _) => (open.segment, open.deletes),
                (None, Some(segment)) => (Arc::clone(segment), std::mem::take(&mut deletes)),
                (None, None) => continue,
            };
            let dirty = deletes.len() != entry.deletes.as_ref().map_or(0, |deletes| deletes.documents);
            self.segments.push(OpenSegment {
                handle: Arc::new(SegmentHandle::new(entry.clone())),
                segment,
                deletes,
                dirty,
            });
        }
        self.manifest = Arc::new(manifest);
        self.index_handles();
        true
    }
}

/// Adds to `new` where the documents of `old` went.
fn map(old: &Deletes, document_map: &[Option<DocId>], new: &mut Deletes) {
    for document in old.iter() {
        if let Some(Some(document)) = document_map.get(document.0 as usize) {
            new.insert(*document);
        }
    }
}

/// A write that a record refers to and that has not been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    Record(u64),
    Manifest(u64),
    Body,
    /// A page of a segment, needed to find what the record replaces.
    Page,
}

enum Change {
    Put(Document),
    Delete(Cid),
}

impl Change {
    fn decode(operation: &Operation) -> Result<Self> {
        Ok(match operation {
            Operation::Put(bytes) => Self::Put(codec::decode(bytes)?),
            Operation::Delete(bytes) => Self::Delete(Cid::try_from(bytes.as_slice()).map_err(|error| {
                Error::new(ErrorKind::Damaged, "a journal record deletes something that is no CID").with_source(error)
            })?),
        })
    }

    fn cid(&self) -> Cid {
        match self {
            Self::Put(document) => document.cid,
            Self::Delete(cid) => *cid,
        }
    }
}
