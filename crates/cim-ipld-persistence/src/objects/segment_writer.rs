//! Stores the pages of a segment while a blocking thread builds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Key, Precondition};
use cim_ipld_envelope::{ObjectNames, SealOptions};
use cim_ipld_index::{DocId, Page, PageClass, PageId, PageSink, PageSinkError, Segment, SegmentId, SegmentSummary};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::Objects;
use super::segments::{SegmentHandle, page_digest};
use crate::format::digest::ShortDigest;
use crate::format::manifest::SegmentEntry;
use crate::format::name_secret::NameSecret;
use crate::{Error, ErrorKind, Result};

/// The objects stored for a manifest that is not published yet. If that manifest is never
/// published, they are garbage.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    objects: Vec<(Bucket, Key)>,
}

impl Stored {
    pub(crate) fn add(&mut self, bucket: &Bucket, keys: Vec<Key>) {
        self.objects.extend(keys.into_iter().map(|key| (bucket.clone(), key)));
    }

    /// Adds the objects of `other`.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.objects.append(&mut other.objects);
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Removes and returns the objects added after the first `len` ones.
    pub(crate) fn split_off(&mut self, len: usize) -> Self {
        Self { objects: self.objects.split_off(len) }
    }

    pub(crate) async fn discard(self, objects: &Objects) {
        for bucket in objects.layout.buckets() {
            let keys = self.objects.iter().filter(|(of, _)| of == bucket).map(|(_, key)| key.clone());
            objects.discard(bucket, &keys.collect::<Vec<_>>()).await;
        }
    }
}

/// A segment whose pages are stored, but which no manifest names yet.
pub(crate) struct Built {
    /// `None` if there was no live document.
    pub(crate) segment: Option<BuiltSegment>,
    /// For each input, the new ids of its documents.
    pub(crate) document_maps: Vec<Vec<Option<DocId>>>,
}

/// A new, opened segment.
#[derive(Clone, Debug)]
pub(crate) struct BuiltSegment {
    pub(crate) segment: Arc<Segment>,
    pub(crate) handle: Arc<SegmentHandle>,
}

/// Runs `build` on a blocking thread and stores its pages as they are completed. Pages that contain
/// text are sealed with the options `text`.
pub(crate) async fn store_segment(
    objects: &Objects,
    text: &SealOptions,
    stored: &mut Stored,
    build: impl FnOnce(&mut dyn PageSink) -> Result<SegmentSummary> + Send + 'static,
) -> Result<Built> {
    let secret = NameSecret(objects.environment.random());
    let names = secret.names();
    let mut transfer = Transfer { objects, text, names, headers: Vec::new(), digests: BTreeMap::new() };
    let summary = if objects.environment.is_single_threaded() {
        let mut pages = Pages(Vec::new());
        let summary = build(&mut pages);
        transfer.receive(futures::stream::iter(pages.0), stored).await?;
        summary?
    } else {
        let (pages, finished) = mpsc::channel(objects.parallel_transfers);
        let builder = tokio::task::spawn_blocking(move || build(&mut Channel(pages)));
        let finished = futures::stream::unfold(finished, |mut pages| async move { Some((pages.recv().await?, pages)) });
        let transferred = transfer.receive(finished, stored).await;
        let summary = builder.await.map_err(|_| Error::new(ErrorKind::Closed, "building a segment was aborted"))?;
        // A failed transfer also ends the build, whose error then only states that its pages are no
        // longer received. The error of the transfer takes precedence.
        transferred?;
        summary?
    };
    if summary.document_count == 0 {
        // No manifest will name the pages of an empty segment.
        std::mem::take(stored).discard(objects).await;
        return Ok(Built { segment: None, document_maps: summary.document_maps });
    }
    let segment = transfer.finish(&summary, secret, stored).await?;
    Ok(Built { segment: Some(segment), document_maps: summary.document_maps })
}

struct Channel(mpsc::Sender<(PageId, Page)>);

impl PageSink for Channel {
    fn page(&mut self, id: PageId, bytes: Vec<u8>) -> std::result::Result<(), PageSinkError> {
        self.0.blocking_send((id, bytes.into())).map_err(|_| "the pages are no longer received".into())
    }
}

struct Pages(Vec<(PageId, Page)>);

impl PageSink for Pages {
    fn page(&mut self, id: PageId, bytes: Vec<u8>) -> std::result::Result<(), PageSinkError> {
        self.0.push((id, bytes.into()));
        Ok(())
    }
}

struct Transfer<'a> {
    objects: &'a Objects,
    text: &'a SealOptions,
    names: ObjectNames,
    headers: Vec<(u32, Page)>,
    digests: BTreeMap<(u8, u32), ShortDigest>,
}

impl Transfer<'_> {
    async fn receive(&mut self, pages: impl futures::Stream<Item = (PageId, Page)>, stored: &mut Stored) -> Result<()> {
        let objects = self.objects;
        let mut pages = std::pin::pin!(pages);
        let mut transfers = FuturesUnordered::new();
        while let Some((id, page)) = pages.next().await {
            let name = self.names.name(id.class.code(), id.ordinal);
            let key = Key::new(&name)?;
            let bucket = objects.layout.objects(id.class.sub_index());
            if id.class == PageClass::Header {
                self.headers.push((id.ordinal, page.clone()));
            }
            self.digests.insert((id.class.code(), id.ordinal), page_digest(&page));
            stored.objects.push((bucket.clone(), key.clone()));
            let options = self.options(id.class);
            transfers.push(async move {
                let sealed = objects.seal_page(&name, id, &page, &options)?;
                objects.write(bucket, &key, sealed, Precondition::Absent).await
            });
            while transfers.len() >= objects.parallel_transfers {
                transfers.next().await.transpose()?;
            }
        }
        while let Some(revision) = transfers.next().await {
            revision?;
        }
        Ok(())
    }

    /// Stores the digests of the pages and opens the segment.
    async fn finish(
        mut self,
        summary: &SegmentSummary,
        secret: NameSecret,
        stored: &mut Stored,
    ) -> Result<BuiltSegment> {
        let pages: Vec<(u8, u32)> = summary.pages.iter().map(|(class, count)| (class.code(), *count)).collect();
        let places = pages.iter().flat_map(|(class, count)| (0..*count).map(|ordinal| (*class, ordinal)));
        let digests: Option<Arc<[ShortDigest]>> = places.map(|place| self.digests.get(&place).copied()).collect();
        let digests =
            digests.ok_or_else(|| Error::new(ErrorKind::Damaged, "a new segment counts pages that were not built"))?;
        let (digest, tables) = self.objects.seal_digests(&self.names, &digests)?;
        let bucket = &self.objects.layout.metadata;
        stored.add(bucket, tables.iter().map(|(key, _)| key.clone()).collect());
        let writes = tables.into_iter().map(|(key, sealed): (Key, Bytes)| async move {
            self.objects.write(bucket, &key, sealed, Precondition::Absent).await
        });
        futures::future::try_join_all(writes).await?;
        let id: [u8; 16] = self.objects.environment.random();
        self.headers.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let headers: Vec<Page> = self.headers.into_iter().map(|(_, page)| page).collect();
        let segment = Arc::new(Segment::open(SegmentId(id), &headers)?);
        let (documents, bytes) = (summary.document_count, summary.bytes);
        let entry = SegmentEntry { id, secret, pages, digests: digest, documents, bytes, deletes: None };
        Ok(BuiltSegment { segment, handle: Arc::new(SegmentHandle::built(entry, digests)) })
    }

    /// Returns the seal options of a page class. Only pages that contain text are worth
    /// compressing; postings, positions and bitmaps are already packed.
    fn options(&self, class: PageClass) -> SealOptions {
        match class {
            PageClass::Stored | PageClass::Dictionary => *self.text,
            _ => SealOptions::default(),
        }
    }
}
