//! Puts back documents whose own segment is beyond repair, from any state that has them by CID.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cid::Cid;
use cim_ipld_index::{Deletes, DocId, Document, Location, ReadView, SegmentId};
use tokio::sync::mpsc;

use super::Repair;
use super::segment::{Filling, LostDocuments, Part, short};
use super::source_state::SourceState;
use crate::Result;
use crate::format::manifest::SegmentEntry;
use crate::format::snapshot::SnapshotRecord;
use crate::history::manifest::ManifestVersion;
use crate::objects::Objects;
use crate::objects::page_cache::PageCache;
use crate::objects::pass::Pass;
use crate::objects::segment_writer::Stored;
use crate::objects::segments::SegmentHandle;

/// The number of documents that are looked up together.
const TOGETHER: usize = 1024;

/// The segments of documents that were put back.
#[derive(Default)]
pub(super) struct Returned {
    pub(super) segments: Vec<SegmentEntry>,
    /// The documents that no source has.
    pub(super) missing: Vec<Cid>,
    /// The number of documents that were put back although they may have been deleted, because the
    /// CIDs of lost documents are lost, too.
    pub(super) uncertain: u64,
}

impl Repair<'_> {
    /// Looks for lost documents in the newest state first, and builds segments of those found.
    /// Memory is bounded by the memtable budget.
    pub(super) async fn return_documents(
        &mut self,
        lost: LostDocuments,
        manifest: &ManifestVersion,
        snapshots: &[SnapshotRecord],
        present: &Present,
        stored: &mut Stored,
    ) -> Result<Returned> {
        let mut returned = Returned::default();
        let states = match lost.cids.is_empty() && lost.unknown == 0 {
            true => Vec::new(),
            false => self.source_states(manifest, snapshots).await?,
        };
        let mut parts: Vec<Part> = Vec::new();
        let mut filling = self.filling();
        let mut seen = HashSet::new();
        for cids in lost.cids.chunks(TOGETHER) {
            let mut missing = cids.to_vec();
            for state in &states {
                let found = state.documents(&missing).await?;
                let mut left = Vec::new();
                for (cid, document) in missing.iter().zip(found) {
                    match document {
                        Some(document) => {
                            seen.insert(short(cid));
                            self.fill(&mut filling, &document, &mut parts, stored).await?;
                        }
                        None => left.push(*cid),
                    }
                }
                missing = left;
            }
            returned.missing.extend(missing);
        }
        if lost.unknown > 0 {
            for state in &states {
                let mut remaining = self.cids_of(state).await?;
                while let Some(cids) = remaining.recv().await {
                    let new: Vec<Cid> = cids.into_iter().filter(|cid| !seen.contains(&short(cid))).collect();
                    let absent = present.absent(self.objects, new).await?;
                    for document in state.documents(&absent).await?.into_iter().flatten() {
                        seen.insert(short(&document.cid));
                        returned.uncertain += 1;
                        self.fill(&mut filling, &document, &mut parts, stored).await?;
                    }
                }
            }
        }
        parts.extend(self.finish(filling, stored).await?);
        returned.segments = parts.into_iter().map(|part| part.built.handle.entry.clone()).collect();
        Ok(returned)
    }

    /// Adds a document to the part that is being filled.
    async fn fill(
        &self,
        filling: &mut Filling,
        document: &Document,
        parts: &mut Vec<Part>,
        stored: &mut Stored,
    ) -> Result<()> {
        filling.memtable.insert(document)?;
        filling.numbers.push(None);
        if filling.bytes() >= self.settings.budget().memtable_bytes() {
            let full = std::mem::replace(filling, self.filling());
            parts.extend(self.finish(full, stored).await?);
        }
        Ok(())
    }

    /// Reads the CIDs of the live documents of a state in another thread.
    async fn cids_of(&self, state: &SourceState) -> Result<mpsc::Receiver<Vec<Cid>>> {
        let pass = Pass::new(&state.objects, state.view.segments.values().cloned()).await?;
        let segments = state.view.read_view.segments().to_vec();
        let journaled = state.journaled.clone();
        let read = move |send: &mut dyn FnMut(Vec<Cid>)| {
            for (segment, deletes) in segments {
                for start in (0..segment.document_count()).step_by(TOGETHER) {
                    let cids = segment.cids(DocId(start)..DocId(start + TOGETHER as u32), &pass);
                    let live = cids.into_iter().filter(|(document, _)| !deletes.contains(*document));
                    send(live.map(|(_, cid)| cid).collect());
                }
            }
            journaled.chunks(TOGETHER).for_each(|cids| send(cids.to_vec()));
        };
        if self.objects.environment.is_single_threaded() {
            let mut all = Vec::new();
            read(&mut |cids| all.push(cids));
            let (sender, receiver) = mpsc::channel(all.len().max(1));
            for cids in all {
                sender.send(cids).await.expect("the receiver is here");
            }
            return Ok(receiver);
        }
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            // The receiver is dropped only if the repair has failed.
            read(&mut |cids| drop(sender.blocking_send(cids)));
        });
        Ok(receiver)
    }
}

/// The segments that the index has, to look up which documents are there.
pub(super) struct Present {
    view: ReadView,
    handles: HashMap<SegmentId, Arc<SegmentHandle>>,
    cache: PageCache,
}

impl Repair<'_> {
    pub(super) async fn present<'b>(
        &self,
        segments: impl IntoIterator<Item = (&'b SegmentEntry, &'b Deletes)>,
    ) -> Result<Present> {
        let (mut open, mut handles) = (Vec::new(), HashMap::new());
        for (entry, deletes) in segments {
            let handle = Arc::new(SegmentHandle::new(entry.clone()));
            open.push((self.objects.fetch_segment(&handle).await?, deletes.clone()));
            handles.insert(handle.id(), handle);
        }
        let view = ReadView::new(self.analyzer.clone(), open, Vec::new())?;
        let cache = PageCache::new(&self.settings.budget());
        Ok(Present { view, handles, cache })
    }

    /// Returns the documents of a segment that are live in one of the other segments, too. A
    /// segment whose deletes are lost does not know that a newer version replaced them.
    pub(super) async fn replaced_documents(&self, entry: &SegmentEntry, others: &Present) -> Result<Deletes> {
        let objects = self.objects;
        let handle = Arc::new(SegmentHandle::new(entry.clone()));
        let segment = objects.fetch_segment(&handle).await?;
        let cids = self.cids(&handle, segment, (0..entry.documents).map(DocId).collect()).await?;
        let mut deletes = Deletes::new();
        for documents in cids.chunks(TOGETHER) {
            let cids: Vec<Cid> = documents.iter().map(|(_, cid)| *cid).collect();
            let found = others.locate(objects, &cids).await?;
            for ((document, _), _) in documents.iter().zip(found).filter(|(_, found)| found.is_some()) {
                deletes.insert(*document);
            }
        }
        Ok(deletes)
    }
}

impl Present {
    async fn locate(&self, objects: &Objects, cids: &[Cid]) -> Result<Vec<Option<Location>>> {
        self.cache.resolve(objects, &self.handles, |pages| self.view.locate(cids, pages)).await
    }

    /// Returns the CIDs that are not those of live documents.
    async fn absent(&self, objects: &Objects, cids: Vec<Cid>) -> Result<Vec<Cid>> {
        let found = self.locate(objects, &cids).await?;
        Ok(cids.into_iter().zip(found).filter(|(_, found)| found.is_none()).map(|(cid, _)| cid).collect())
    }
}
