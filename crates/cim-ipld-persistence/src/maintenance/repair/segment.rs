//! Rebuilds a segment from the stored documents that are left of it.

use std::collections::HashMap;
use std::sync::Arc;

use cid::Cid;
use cim_ipld_index::{
    Deletes, DocId, Memtable, PageClass, PageId, PageSource, Salvaged, Segment, build_segment, salvage_cids,
    salvage_documents,
};
use tokio::sync::mpsc;

use super::Repair;
use super::named::NamedSegment;
use crate::format::digest::{Digest, ShortDigest};
use crate::format::manifest::SegmentEntry;
use crate::objects::pass::Pass;
use crate::objects::segment_writer::{BuiltSegment, Stored, store_segment};
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The segments that replace a damaged one.
#[derive(Default)]
pub(super) struct Rebuilt {
    parts: Vec<Part>,
    /// The documents that could not be read, as far as their numbers or their CIDs are known.
    lost: Vec<(Option<DocId>, Option<Cid>)>,
    /// The largest possible number of further unreadable documents.
    lost_unknown: u64,
    /// The first number of which it is unknown which document has it.
    first_unknown: Option<u32>,
}

pub(super) struct Part {
    pub(super) built: BuiltSegment,
    /// The new numbers of the documents, by their former ones.
    numbers: HashMap<u32, DocId>,
}

/// The documents of the index that no segment has any more.
#[derive(Default)]
pub(super) struct LostDocuments {
    /// Those whose CIDs are known.
    pub(super) cids: Vec<Cid>,
    /// The largest possible number of the others.
    pub(super) unknown: u64,
}

/// A part that is being filled.
pub(super) struct Filling {
    pub(super) memtable: Memtable,
    empty_bytes: usize,
    /// The former number of each document.
    pub(super) numbers: Vec<Option<DocId>>,
}

impl Filling {
    pub(super) fn bytes(&self) -> usize {
        self.memtable.bytes_used() - self.empty_bytes
    }
}

impl Rebuilt {
    /// Returns the entries, with their deletes, that replace an entry of the damaged segment whose
    /// deletes were `deletes`.
    pub(super) fn entries(&self, deletes: &Deletes) -> Vec<(SegmentEntry, Deletes)> {
        let of = |part: &Part| {
            let mut new = Deletes::new();
            for document in deletes.iter().filter_map(|document| part.numbers.get(&document.0)) {
                new.insert(*document);
            }
            (part.built.handle.entry.clone(), new)
        };
        self.parts.iter().map(of).filter(|(entry, deletes)| deletes.len() < entry.documents).collect()
    }

    /// Returns the documents that are lost and were not deleted.
    pub(super) fn lost(&self, deletes: &Deletes) -> LostDocuments {
        let mut lost = LostDocuments { cids: Vec::new(), unknown: self.lost_unknown };
        for (number, cid) in &self.lost {
            match cid {
                _ if number.is_some_and(|number| deletes.contains(number)) => {}
                Some(cid) => lost.cids.push(*cid),
                None => lost.unknown += 1,
            }
        }
        lost
    }

    /// Returns whether the numbers of some documents are unknown.
    pub(super) fn has_unnumbered(&self) -> bool {
        self.first_unknown.is_some()
    }

    /// Returns the number of deletes for which it is unknown which document they delete.
    pub(super) fn lost_deletions(&self, deletes: &Deletes) -> u64 {
        let first = self.first_unknown.unwrap_or(u32::MAX);
        deletes.iter().filter(|document| document.0 >= first).count() as u64
    }
}

impl Repair<'_> {
    /// Builds new segments of all documents that can be read and that at least one entry has not
    /// deleted. Memory is bounded by the memtable budget, and 20 bytes for each document.
    pub(super) async fn rebuild_segment(&mut self, named: &NamedSegment, stored: &mut Stored) -> Result<Rebuilt> {
        let mut rebuilt = Rebuilt::default();
        let mut filling = self.filling();
        let (mut found, mut unnumbered) = (0_u64, false);
        let mut lost_numbers = Vec::new();
        let mut numbers = self.salvage_numbers(named).await?;
        let known = numbers.values().flatten().map(|number| number.0 + 1).max().unwrap_or(0);
        let mut salvaged = self.salvage_pages(named).await?;
        while let Some(salvaged) = salvaged.recv().await {
            match salvaged {
                Salvaged::Document(number, document) => {
                    found += 1;
                    let number = numbers.remove(&short(&document.cid())).flatten().or(number);
                    unnumbered |= number.is_none();
                    if number.is_some_and(|number| is_deleted_everywhere(named, number)) {
                        continue;
                    }
                    filling.memtable.insert_encoded(&document)?;
                    filling.numbers.push(number);
                    if filling.bytes() >= self.settings.budget().memtable_bytes() {
                        let full = std::mem::replace(&mut filling, self.filling());
                        rebuilt.parts.extend(self.finish(full, stored).await?);
                    }
                }
                Salvaged::Lost(Some(numbers)) if named.segment.is_some() => {
                    lost_numbers.extend((numbers.start.0..numbers.end.0).map(DocId));
                }
                _ => {}
            }
        }
        rebuilt.parts.extend(self.finish(filling, stored).await?);
        match &named.segment {
            Some(segment) => {
                let cids: HashMap<DocId, Cid> =
                    self.cids(&named.handle, Arc::clone(segment), lost_numbers.clone()).await?.into_iter().collect();
                let of = |number: DocId| (Some(number), cids.get(&number).copied());
                rebuilt.lost = lost_numbers.into_iter().map(of).collect();
            }
            None => {
                let cids = self.salvage_cids(named).await?;
                let is_lost = |(_, cid): &(Option<DocId>, Cid)| numbers.contains_key(&short(cid));
                rebuilt.lost = cids.into_iter().filter(is_lost).map(|(number, cid)| (number, Some(cid))).collect();
                unnumbered |= rebuilt.lost.iter().any(|(number, _)| number.is_none());
            }
        }
        let documents = u64::from(named.handle.entry.documents);
        rebuilt.lost_unknown = documents.saturating_sub(found + rebuilt.lost.len() as u64);
        rebuilt.first_unknown = unnumbered.then_some(known);
        self.report.rebuilt_segments += 1;
        self.report.rebuilt_documents +=
            rebuilt.parts.iter().map(|part| u64::from(part.built.handle.entry.documents)).sum::<u64>();
        Ok(rebuilt)
    }

    /// Returns the number of each document of a segment without a header, as far as it is known, by
    /// its CID.
    async fn salvage_numbers(&self, named: &NamedSegment) -> Result<HashMap<ShortDigest, Option<DocId>>> {
        let cids = match named.segment {
            Some(_) => Vec::new(),
            None => self.salvage_cids(named).await?,
        };
        Ok(cids.into_iter().map(|(number, cid)| (short(&cid), number)).collect())
    }

    /// Returns the CIDs of a segment without a header, as far as they can be read.
    async fn salvage_cids(&self, named: &NamedSegment) -> Result<Vec<(Option<DocId>, Cid)>> {
        let pass = Pass::new(self.objects, [Arc::clone(&named.handle)]).await?;
        let (id, count) = (named.handle.id(), named.handle.page_count(PageClass::Cids));
        self.blocking(move || {
            let mut cids = Vec::new();
            let page = |ordinal| pass.page(id, PageId::new(PageClass::Cids, ordinal));
            salvage_cids(count, page, |number, cid| cids.push((number, cid)));
            cids
        })
        .await
    }

    /// Runs a computation that waits for pages.
    async fn blocking<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        if self.objects.environment.is_single_threaded() {
            return Ok(compute());
        }
        let cut_off = |_| Error::new(ErrorKind::Closed, "the repair was aborted");
        tokio::task::spawn_blocking(compute).await.map_err(cut_off)
    }

    pub(super) fn filling(&self) -> Filling {
        let memtable = Memtable::new(self.analyzer.clone());
        Filling { empty_bytes: memtable.bytes_used(), memtable, numbers: Vec::new() }
    }

    pub(super) async fn finish(&self, filling: Filling, stored: &mut Stored) -> Result<Option<Part>> {
        let Filling { memtable, numbers, .. } = filling;
        if numbers.is_empty() {
            return Ok(None);
        }
        let view = memtable.view();
        let mut objects = Stored::default();
        let built = store_segment(self.objects, &self.text_options(), &mut objects, move |sink| {
            Ok(build_segment(&view, &Deletes::new(), sink)?)
        })
        .await?;
        stored.append(objects);
        let map = built.document_maps.into_iter().next().unwrap_or_default();
        let numbered = numbers.into_iter().zip(map).filter_map(|(former, new)| Some((former?.0, new?)));
        Ok(built.segment.map(|built| Part { built, numbers: numbered.collect() }))
    }

    /// Reads the stored pages in another thread.
    async fn salvage_pages(&self, named: &NamedSegment) -> Result<mpsc::Receiver<Salvaged>> {
        let pass = Pass::new(self.objects, [Arc::clone(&named.handle)]).await?;
        let (id, segment) = (named.handle.id(), named.segment.clone());
        let count = named.handle.page_count(PageClass::Stored);
        if self.objects.environment.is_single_threaded() {
            let mut all = Vec::new();
            let page = |ordinal| pass.page(id, PageId::new(PageClass::Stored, ordinal));
            salvage_documents(segment.as_deref(), count, page, |salvaged| all.push(salvaged));
            let (sender, receiver) = mpsc::channel(all.len().max(1));
            for salvaged in all {
                sender.send(salvaged).await.expect("the receiver is here");
            }
            return Ok(receiver);
        }
        let (sender, receiver) = mpsc::channel(64);
        tokio::task::spawn_blocking(move || {
            let page = |ordinal| pass.page(id, PageId::new(PageClass::Stored, ordinal));
            salvage_documents(segment.as_deref(), count, page, |salvaged| {
                // The receiver is dropped only if the repair has failed.
                let _ = sender.blocking_send(salvaged);
            });
        });
        Ok(receiver)
    }

    /// Returns the CIDs of documents, in ascending order of their numbers, as far as they can be
    /// read.
    pub(super) async fn cids(
        &self,
        handle: &Arc<SegmentHandle>,
        segment: Arc<Segment>,
        documents: Vec<DocId>,
    ) -> Result<Vec<(DocId, Cid)>> {
        let pass = Pass::new(self.objects, [Arc::clone(handle)]).await?;
        self.blocking(move || {
            let runs = documents.chunk_by(|one, next| one.0 + 1 == next.0);
            runs.flat_map(|run| segment.cids(run[0]..DocId(run[run.len() - 1].0 + 1), &pass)).collect()
        })
        .await
    }
}

fn is_deleted_everywhere(named: &NamedSegment, number: DocId) -> bool {
    named.deletes.values().all(|deletes| deletes.as_ref().is_some_and(|deletes| deletes.contains(number)))
}

/// Returns a short identification of a document.
pub(super) fn short(cid: &Cid) -> ShortDigest {
    Digest::of("cim/v1/document", &[&cid.to_bytes()]).short()
}
