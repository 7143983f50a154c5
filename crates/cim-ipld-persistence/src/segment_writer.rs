//! Stores the pages of a segment while it is being built, on a thread of its own.

use std::sync::Arc;

use cim_ipld_backend::{Bucket, Key, Precondition};
use cim_ipld_envelope::{ObjectNames, SealOptions, random};
use cim_ipld_index::{DocId, Page, PageClass, PageId, PageSink, PageSinkError, Segment, SegmentId, SegmentSummary};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::format::manifest::SegmentEntry;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};

/// What has been stored so far for a manifest that does not stand yet: garbage, if it never will.
#[derive(Default)]
pub(crate) struct Stored {
    objects: Vec<(Bucket, Key)>,
}

impl Stored {
    pub(crate) fn add(&mut self, bucket: &Bucket, keys: Vec<Key>) {
        self.objects.extend(keys.into_iter().map(|key| (bucket.clone(), key)));
    }

    pub(crate) async fn discard(self, shared: &Shared) {
        for bucket in shared.objects.layout.buckets() {
            let keys = self.objects.iter().filter(|(of, _)| of == bucket).map(|(_, key)| key.clone());
            shared.objects.discard(bucket, &keys.collect::<Vec<_>>()).await;
        }
    }
}

/// A segment whose pages are stored and that no manifest names yet.
pub(crate) struct Built {
    /// `None` when nothing was alive to be put into it.
    pub(crate) segment: Option<(Arc<Segment>, SegmentEntry)>,
    /// For each input, where each of its documents went.
    pub(crate) document_maps: Vec<Vec<Option<DocId>>>,
}

/// Runs `build` on a thread of its own and stores its pages as they are finished.
pub(crate) async fn store_segment(
    shared: &Shared,
    stored: &mut Stored,
    build: impl FnOnce(&mut dyn PageSink) -> Result<SegmentSummary> + Send + 'static,
) -> Result<Built> {
    let (pages, finished) = mpsc::channel(shared.settings.parallel_transfers.max(1));
    let builder = tokio::task::spawn_blocking(move || build(&mut Channel(pages)));
    let secret = random();
    let mut transfer = Transfer { shared, names: ObjectNames::from_secret(secret), headers: Vec::new() };
    let transferred = transfer.receive(finished, stored).await;
    let summary = builder.await.map_err(|_| Error::new(ErrorKind::Closed, "building a segment was cut off"))?;
    // A transfer that failed also ends the build, which then only says that nobody takes its pages.
    transferred?;
    let summary = summary?;
    if summary.document_count == 0 {
        // Its pages are of no use, and no manifest will ever name them.
        std::mem::take(stored).discard(shared).await;
        return Ok(Built { segment: None, document_maps: summary.document_maps });
    }
    let id: [u8; 16] = random();
    transfer.headers.sort_unstable_by_key(|(ordinal, _)| *ordinal);
    let headers: Vec<Page> = transfer.headers.into_iter().map(|(_, page)| page).collect();
    let segment = Segment::open(SegmentId(id), &headers)?;
    let entry = SegmentEntry {
        id,
        secret,
        pages: summary.pages.iter().map(|(class, count)| (class.code(), *count)).collect(),
        documents: summary.document_count,
        bytes: summary.bytes,
        deletes: None,
    };
    Ok(Built { segment: Some((Arc::new(segment), entry)), document_maps: summary.document_maps })
}

struct Channel(mpsc::Sender<(PageId, Page)>);

impl PageSink for Channel {
    fn page(&mut self, id: PageId, bytes: Vec<u8>) -> std::result::Result<(), PageSinkError> {
        self.0.blocking_send((id, bytes.into())).map_err(|_| "the pages are no longer wanted".into())
    }
}

struct Transfer<'a> {
    shared: &'a Shared,
    names: ObjectNames,
    headers: Vec<(u32, Page)>,
}

impl Transfer<'_> {
    async fn receive(&mut self, mut pages: mpsc::Receiver<(PageId, Page)>, stored: &mut Stored) -> Result<()> {
        let shared = self.shared;
        let mut transfers = FuturesUnordered::new();
        while let Some((id, page)) = pages.recv().await {
            let name = self.names.name(id.class.code(), id.ordinal);
            let key = Key::new(&name)?;
            let bucket = shared.objects.layout.objects(id.class.sub_index());
            if id.class == PageClass::Header {
                self.headers.push((id.ordinal, page.clone()));
            }
            stored.objects.push((bucket.clone(), key.clone()));
            transfers.push(async move {
                let sealed = shared.objects.seal_page(&name, id, &page, &page_options(shared, id.class))?;
                shared.objects.write(bucket, &key, sealed, Precondition::Absent).await
            });
            while transfers.len() >= shared.settings.parallel_transfers.max(1) {
                transfers.next().await.transpose()?;
            }
        }
        while let Some(revision) = transfers.next().await {
            revision?;
        }
        Ok(())
    }
}

/// Postings, positions and bitmaps are packed already; only what holds text is worth compressing.
fn page_options(shared: &Shared, class: PageClass) -> SealOptions {
    match class {
        PageClass::Stored | PageClass::Dictionary => shared.text_options(),
        _ => SealOptions::default(),
    }
}
