//! Segments as objects of the store: their names, their pages, their deletes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Key, Precondition};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions, random};
use cim_ipld_index::{Deletes, Page, PageClass, PageId, Segment, SegmentId};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::format::manifest::{DeletesEntry, SegmentEntry};
use crate::layout::Layout;
use crate::objects::{Address, Objects, kind};
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};

const DELETES_CHUNK_BYTES: usize = 128 << 10;

/// A segment of the manifest: what names and locates its objects.
#[derive(Debug)]
pub(crate) struct SegmentHandle {
    pub(crate) entry: SegmentEntry,
    names: ObjectNames,
}

impl SegmentHandle {
    pub(crate) fn new(entry: SegmentEntry) -> Self {
        let names = ObjectNames::from_secret(entry.secret);
        Self { entry, names }
    }

    pub(crate) fn id(&self) -> SegmentId {
        SegmentId(self.entry.id)
    }

    /// Every page, class by class.
    pub(crate) fn pages(&self) -> impl Iterator<Item = Result<PageId>> + '_ {
        self.entry.pages.iter().flat_map(|&(code, count)| {
            (0..count).map(move |ordinal| {
                let class = PageClass::from_code(code).ok_or_else(|| {
                    let message = format!("a segment has pages of class {code}, which this software does not know");
                    Error::new(ErrorKind::UnsupportedVersion, message)
                })?;
                Ok(PageId { class, ordinal })
            })
        })
    }

    pub(crate) fn page_count(&self, class: PageClass) -> u32 {
        self.entry.pages.iter().find(|(code, _)| *code == class.code()).map_or(0, |(_, count)| *count)
    }

    /// Whether the manifest says that there is such a page: a damaged page may ask for another one that never was.
    fn has(&self, page: PageId) -> bool {
        page.ordinal < self.page_count(page.class)
    }

    pub(crate) fn page_name(&self, page: PageId) -> String {
        self.names.name(page.class.code(), page.ordinal)
    }

    /// Removes every object of a segment that nothing names any more.
    pub(crate) async fn remove(&self, shared: &Shared) -> Result<()> {
        for (bucket, keys) in self.objects(&shared.objects.layout)? {
            shared.objects.discard(&bucket, &keys).await;
        }
        Ok(())
    }

    /// Every object of the segment, by bucket: what to remove when nothing names it any more.
    pub(crate) fn objects(&self, layout: &Layout) -> Result<HashMap<Bucket, Vec<Key>>> {
        let mut objects: HashMap<Bucket, Vec<Key>> = HashMap::new();
        for page in self.pages() {
            let page = page?;
            let bucket = layout.objects(page.class.sub_index());
            objects.entry(bucket.clone()).or_default().push(Key::new(&self.page_name(page))?);
        }
        if let Some(deletes) = &self.entry.deletes {
            objects.entry(layout.metadata.clone()).or_default().extend(deletes.keys()?);
        }
        Ok(objects)
    }
}

impl DeletesEntry {
    fn names(&self) -> impl Iterator<Item = String> {
        let names = ObjectNames::from_secret(self.secret);
        (0..self.chunks).map(move |chunk| names.name(0, chunk))
    }

    pub(crate) fn keys(&self) -> Result<Vec<Key>> {
        self.names().map(|name| Ok(Key::new(&name)?)).collect()
    }
}

impl Objects {
    pub(crate) async fn fetch_page(&self, segment: &SegmentHandle, page: PageId) -> Result<Page> {
        if !segment.has(page) {
            let message = format!("page {page:?} is asked for, but its segment has no such page");
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        let opened = self.fetch(&page_address(&self.layout, page, &segment.page_name(page))).await?;
        Ok(Page::from(opened.to_vec()))
    }

    pub(crate) fn seal_page(&self, name: &str, page: PageId, bytes: &[u8], options: &SealOptions) -> Result<Bytes> {
        self.seal(&page_address(&self.layout, page, name), bytes, options)
    }

    /// Opens the resident part of a segment: its header pages and its deletes.
    pub(crate) async fn fetch_segment(
        &self,
        handle: &SegmentHandle,
        parallel: usize,
    ) -> Result<(Arc<Segment>, Deletes)> {
        let headers: Vec<Page> = stream::iter(0..handle.page_count(PageClass::Header))
            .map(|ordinal| self.fetch_page(handle, PageId::new(PageClass::Header, ordinal)))
            .buffered(parallel)
            .try_collect()
            .await?;
        let segment = Segment::open(handle.id(), &headers)?;
        Ok((Arc::new(segment), self.fetch_deletes(handle, parallel).await?))
    }

    pub(crate) async fn fetch_deletes(&self, handle: &SegmentHandle, parallel: usize) -> Result<Deletes> {
        let Some(entry) = &handle.entry.deletes else { return Ok(Deletes::default()) };
        let chunks: Vec<Bytes> = stream::iter(entry.names())
            .map(|name| async move { self.fetch(&deletes_address(&self.layout, &name)).await })
            .buffered(parallel)
            .try_collect()
            .await?;
        let deletes = Deletes::from_bytes(&chunks.concat())?;
        if deletes.len() != entry.documents {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the deletes of a segment are not as many as the manifest says",
            ));
        }
        Ok(deletes)
    }

    /// Stores deletes under names of their own: two processes that fold the same segment never touch each other's.
    pub(crate) async fn store_deletes(&self, deletes: &Deletes, options: &SealOptions) -> Result<DeletesEntry> {
        let bytes = deletes.to_bytes();
        let entry = DeletesEntry {
            secret: random(),
            chunks: u32::try_from(bytes.chunks(DELETES_CHUNK_BYTES).len()).expect("deletes have far fewer chunks"),
            documents: deletes.len(),
        };
        for (name, chunk) in entry.names().zip(bytes.chunks(DELETES_CHUNK_BYTES)) {
            let sealed = self.seal(&deletes_address(&self.layout, &name), chunk, options)?;
            self.write(&self.layout.metadata, &Key::new(&name)?, sealed, Precondition::Absent).await?;
        }
        Ok(entry)
    }
}

fn page_address<'a>(layout: &'a Layout, page: PageId, name: &'a str) -> Address<'a> {
    Address {
        bucket: layout.objects(page.class.sub_index()),
        kind: ObjectKind::PAGE,
        name,
        generation: u64::from(page.class.code()) << 32 | u64::from(page.ordinal),
    }
}

fn deletes_address<'a>(layout: &'a Layout, name: &'a str) -> Address<'a> {
    Address { bucket: &layout.metadata, kind: kind::DELETES, name, generation: 0 }
}
