//! Rebuilds a segment from the stored documents that are left of it.

use std::collections::HashMap;
use std::sync::Arc;

use cim_ipld_index::{
    Deletes, DocId, Memtable, PageClass, PageId, PageSource, ReadView, Salvaged, build_segment, salvage_documents,
};
use tokio::sync::mpsc;

use super::Repair;
use super::named::NamedSegment;
use crate::format::manifest::SegmentEntry;
use crate::objects::page_cache::PageCache;
use crate::objects::pass::Pass;
use crate::objects::segment_writer::{BuiltSegment, Stored, store_segment};
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The segments that replace a damaged one.
#[derive(Default)]
pub(super) struct Rebuilt {
    parts: Vec<Part>,
    /// The numbers of the documents that could not be read.
    lost_numbers: Vec<DocId>,
    /// The largest possible number of further unreadable documents, whose numbers are unknown.
    lost_unnumbered: u64,
}

struct Part {
    built: BuiltSegment,
    /// The new numbers of the documents, by their former ones.
    numbers: HashMap<u32, DocId>,
}

/// A part that is being filled.
struct Filling {
    memtable: Memtable,
    empty_bytes: usize,
    /// The former number of each document.
    numbers: Vec<Option<DocId>>,
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

    /// Returns the documents that are lost and were not deleted, and the largest number of further
    /// ones whose numbers are unknown.
    pub(super) fn lost(&self, deletes: &Deletes) -> (Vec<DocId>, u64) {
        let live = self.lost_numbers.iter().filter(|number| !deletes.contains(**number));
        (live.copied().collect(), self.lost_unnumbered)
    }
}

impl Repair<'_> {
    /// Builds new segments of all documents that can be read and that at least one entry has not
    /// deleted. Memory is bounded by the memtable budget.
    pub(super) async fn rebuild_segment(&mut self, named: &NamedSegment, stored: &mut Stored) -> Result<Rebuilt> {
        let mut rebuilt = Rebuilt::default();
        let mut filling = self.filling();
        let mut found = 0_u64;
        let mut salvaged = self.salvage_pages(named).await?;
        while let Some(salvaged) = salvaged.recv().await {
            match salvaged {
                Salvaged::Document(number, document) => {
                    found += 1;
                    if number.is_some_and(|number| is_deleted_everywhere(named, number)) {
                        continue;
                    }
                    filling.memtable.insert_encoded(&document)?;
                    filling.numbers.push(number);
                    let bytes = filling.memtable.bytes_used() - filling.empty_bytes;
                    if bytes >= self.settings.memtable_budget_bytes.max(1) {
                        let full = std::mem::replace(&mut filling, self.filling());
                        rebuilt.parts.extend(self.finish(full, stored).await?);
                    }
                }
                Salvaged::Lost(Some(numbers)) => {
                    rebuilt.lost_numbers.extend((numbers.start.0..numbers.end.0).map(DocId));
                }
                _ => {}
            }
        }
        rebuilt.parts.extend(self.finish(filling, stored).await?);
        let documents = u64::from(named.handle.entry.documents);
        rebuilt.lost_unnumbered = documents.saturating_sub(found + rebuilt.lost_numbers.len() as u64);
        self.report.rebuilt_segments += 1;
        self.report.rebuilt_documents +=
            rebuilt.parts.iter().map(|part| u64::from(part.built.handle.entry.documents)).sum::<u64>();
        Ok(rebuilt)
    }

    fn filling(&self) -> Filling {
        let memtable = Memtable::new(self.analyzer.clone());
        Filling { empty_bytes: memtable.bytes_used(), memtable, numbers: Vec::new() }
    }

    async fn finish(&self, filling: Filling, stored: &mut Stored) -> Result<Option<Part>> {
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

    /// Returns the CIDs of lost documents, as far as they can be read.
    pub(super) async fn cids(&self, named: &NamedSegment, documents: Vec<DocId>) -> Result<Vec<cid::Cid>> {
        let Some(segment) = named.segment.clone() else { return Ok(Vec::new()) };
        let pass = Pass::new(self.objects, [Arc::clone(&named.handle)]).await?;
        let read = move || {
            let of = |document: &DocId| segment.cids(*document..DocId(document.0 + 1), &pass);
            documents.iter().flat_map(of).map(|(_, cid)| cid).collect()
        };
        if self.objects.environment.is_single_threaded() {
            return Ok(read());
        }
        let cut_off = |_| Error::new(ErrorKind::Closed, "the repair was aborted");
        tokio::task::spawn_blocking(read).await.map_err(cut_off)
    }

    /// Returns the documents of a segment that are live in one of the other segments, too. A
    /// segment whose deletes are lost does not know that a newer version replaced them.
    pub(super) async fn replaced_documents(
        &self,
        entry: &SegmentEntry,
        others: &[(SegmentEntry, Deletes)],
    ) -> Result<Deletes> {
        let objects = self.objects;
        let handle = Arc::new(SegmentHandle::new(entry.clone()));
        let segment = objects.fetch_segment(&handle).await?;
        let named = NamedSegment { handle, deletes: HashMap::new(), segment: Some(segment), has_lost_pages: false };
        let cids = self.cids(&named, (0..entry.documents).map(DocId).collect()).await?;
        let (mut segments, mut handles) = (Vec::new(), HashMap::new());
        for (other, deletes) in others {
            let handle = Arc::new(SegmentHandle::new(other.clone()));
            segments.push((objects.fetch_segment(&handle).await?, deletes.clone()));
            handles.insert(handle.id(), handle);
        }
        let view = ReadView::new(self.analyzer.clone(), segments, Vec::new())?;
        let cache = PageCache::new(self.settings.cache_budget_bytes, self.settings.parallel_transfers);
        let mut deletes = Deletes::new();
        const TOGETHER: usize = 1024;
        for (number, cids) in cids.chunks(TOGETHER).enumerate() {
            let found = cache.resolve(objects, &handles, |pages| view.locate(cids, pages)).await?;
            for (index, _) in found.iter().enumerate().filter(|(_, found)| found.is_some()) {
                let document = u32::try_from(number * TOGETHER + index).expect("a segment has fewer documents");
                deletes.insert(DocId(document));
            }
        }
        Ok(deletes)
    }
}

fn is_deleted_everywhere(named: &NamedSegment, number: DocId) -> bool {
    named.deletes.values().all(|deletes| deletes.as_ref().is_some_and(|deletes| deletes.contains(number)))
}
