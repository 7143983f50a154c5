//! The states of the index that sources and snapshots hold, from which single documents are put
//! back.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, ErrorKind as StoreErrorKind, Key, KeyPrefix, Limits, Precondition, Revision,
    WatchStream,
};
use cim_ipld_envelope::Envelope;
use cim_ipld_index::{Document, ReadView};

use super::Repair;
use crate::format::manifest::SegmentEntry;
use crate::format::snapshot::SnapshotRecord;
use crate::history::change::Change;
use crate::history::manifest::{ManifestVersion, is_missing_or_invalid, read_manifest};
use crate::history::state::{State, View};
use crate::history::tail::{Tail, order_without_window};
use crate::objects::layout::Layout;
use crate::objects::page_cache::PageCache;
use crate::objects::segments::SegmentHandle;
use crate::objects::{Objects, Root};
use crate::{Error, ErrorKind, Result};

/// A readable state of the index.
pub(super) struct SourceState {
    pub(super) objects: Arc<Objects>,
    pub(super) view: View,
    /// The CIDs of the documents in its journal.
    pub(super) journaled: Vec<Cid>,
    position: u64,
    cache: PageCache,
}

impl Repair<'_> {
    /// Opens the states that the sources and the snapshots of the index hold, the newest first.
    pub(super) async fn source_states(
        &self,
        manifest: &ManifestVersion,
        snapshots: &[SnapshotRecord],
    ) -> Result<Vec<SourceState>> {
        let mut states = Vec::new();
        for record in snapshots {
            let mut version = manifest.clone();
            version.manifest.segments.clone_from(&record.segments);
            states.push(self.state(Arc::clone(self.objects), version, record.position, Vec::new()).await?);
        }
        let stores: Vec<_> =
            self.sources.iter().filter_map(|source| source.index(self.objects.layout.name())).collect();
        for number in 0..stores.len() {
            let (own, name) = stores[number].clone();
            let others = stores.iter().enumerate().filter(|(other, (_, of))| *other != number && *of == name);
            // An archive may lack what an earlier one holds.
            let others = others.map(|(_, (backend, _))| Arc::clone(backend)).collect();
            match self.source_state(Arc::new(Chain { own, others }), Layout::new(&name)?).await {
                Ok(state) => states.push(state),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => tracing::info!(%error, "a source has no readable state of the index"),
            }
        }
        states.sort_by_key(|state| Reverse(state.position));
        Ok(states)
    }

    async fn source_state(&self, backend: Arc<dyn Backend>, layout: Layout) -> Result<SourceState> {
        let own = self.objects.root();
        let root = match backend.get(&layout.catalog, &layout.root).await? {
            Some(entry) => match Envelope::open_root(&entry.value, self.key).await {
                Ok(envelope) => Root { envelope, record: entry.value, revision: entry.revision },
                Err(_) => (*own).clone(),
            },
            None => (*own).clone(),
        };
        if root.envelope.index_id() != own.envelope.index_id() {
            return Err(Error::new(ErrorKind::Forked, "it is another index"));
        }
        let (environment, rules) = (self.objects.environment.clone(), self.objects.rules);
        let objects = Objects::new(backend, layout, root, self.settings, environment, rules).with_final_root();
        let manifest = match read_manifest(&objects).await {
            Err(error) if error.kind() == ErrorKind::KeyRotated => {
                objects.replace_root((*own).clone());
                read_manifest(&objects).await?
            }
            read => read?,
        };
        let tail = match manifest.order(&objects).await {
            Err(error) if is_missing_or_invalid(&error) => Tail::read_without_window(&objects, &manifest, true).await?,
            order => Tail::read(&objects, &manifest, order?, true).await?,
        };
        let position = manifest.position();
        self.state(Arc::new(objects), manifest, position, tail.changes).await
    }

    /// Opens the segments of the state at `position`, as far as they can be read, and applies the
    /// changes that follow.
    async fn state(
        &self,
        objects: Arc<Objects>,
        mut manifest: ManifestVersion,
        position: u64,
        changes: Vec<Vec<Change>>,
    ) -> Result<SourceState> {
        let mut segments = Vec::new();
        for entry in std::mem::take(&mut manifest.manifest.segments) {
            segments.extend(readable(&objects, entry).await?);
        }
        manifest.manifest.segments = segments;
        // Only the documents matter, not which records they come from.
        let order = order_without_window(objects.rules, &manifest.manifest.watermark, manifest.manifest.epoch)?;
        let cache = PageCache::new(&self.settings.budget());
        let mut state = State::open_at(&objects, manifest, order, self.analyzer).await?;
        let (mut journaled, mut position) = (Vec::new(), position);
        for changes in changes {
            let cids: Vec<Cid> = changes.iter().map(Change::cid).collect();
            match state.locate(&objects, &cache, changes).await {
                Err(error) if is_missing_or_invalid(&error) => break,
                changes => state.apply(changes?)?,
            }
            journaled.extend(cids);
            position += 1;
        }
        Ok(SourceState { view: state.view()?, objects, journaled, position, cache })
    }
}

/// Returns the entry if the header of the segment can be read, without its deletes if those cannot.
async fn readable(objects: &Objects, entry: SegmentEntry) -> Result<Option<SegmentEntry>> {
    match objects.fetch_segment(&SegmentHandle::new(entry.clone())).await {
        Err(error) if is_missing_or_invalid(&error) => return Ok(None),
        read => drop(read?),
    }
    match objects.fetch_deletes(entry.deletes.as_ref()).await {
        Err(error) if is_missing_or_invalid(&error) => Ok(Some(SegmentEntry { deletes: None, ..entry })),
        read => read.map(|_| Some(entry)),
    }
}

impl SourceState {
    /// Returns the live document of each CID, as far as its pages can be read.
    pub(super) async fn documents(&self, cids: &[Cid]) -> Result<Vec<Option<Document>>> {
        match self.read(&self.view.read_view, cids).await {
            Err(error) if is_missing_or_invalid(&error) => {}
            read => return read,
        }
        let mut documents = Vec::with_capacity(cids.len());
        for cid in cids {
            documents.push(self.document(*cid).await?);
        }
        Ok(documents)
    }

    /// Returns a document of a state with damaged pages, from the newest part that has it.
    async fn document(&self, cid: Cid) -> Result<Option<Document>> {
        let view = &self.view.read_view;
        let memtables = view.memtables().iter().map(|memtable| (Vec::new(), vec![memtable.clone()]));
        let segments = view.segments().iter().map(|segment| (vec![segment.clone()], Vec::new()));
        for (segments, memtables) in segments.chain(memtables).rev() {
            let part = ReadView::new(view.analyzer().clone(), segments, memtables)?;
            match self.read(&part, &[cid]).await {
                Err(error) if is_missing_or_invalid(&error) => {}
                read => {
                    if let Some(document) = read?.pop().flatten() {
                        return Ok(Some(document));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn read(&self, view: &ReadView, cids: &[Cid]) -> Result<Vec<Option<Document>>> {
        let handles: &HashMap<_, _> = &self.view.segments;
        self.cache.resolve(&self.objects, handles, |pages| view.documents(cids, pages)).await
    }
}

/// The store of a source, and those of the others for the objects that it lacks.
struct Chain {
    own: Arc<dyn Backend>,
    others: Vec<Arc<dyn Backend>>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("own", &self.own).finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for Chain {
    async fn create(&self, bucket: &Bucket) -> cim_ipld_backend::Result<()> {
        self.own.create(bucket).await
    }

    async fn check_bucket(&self, bucket: &Bucket) -> cim_ipld_backend::Result<()> {
        self.own.check_bucket(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> cim_ipld_backend::Result<Option<Entry>> {
        let is_own = bucket.name().ends_with("catalog_v1");
        let others = self.others.iter().filter(|_| !is_own);
        for backend in std::iter::once(&self.own).chain(others) {
            match backend.get(bucket, key).await {
                Ok(None) => {}
                Err(error) if matches!(error.kind(), StoreErrorKind::BucketMissing | StoreErrorKind::Corrupt) => {}
                found => return found,
            }
        }
        Ok(None)
    }

    async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        value: Bytes,
        precondition: Precondition,
    ) -> cim_ipld_backend::Result<Revision> {
        self.own.put(bucket, key, value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> cim_ipld_backend::Result<()> {
        self.own.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.own.scan(bucket, prefix, after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        self.own.watch(bucket, prefix, after)
    }

    fn limits(&self) -> Limits {
        self.own.limits()
    }
}
