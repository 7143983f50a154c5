//! The objects of a segment in the store: pages, the table of page digests, deletes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_backend::{Bucket, Key};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions};
use cim_ipld_index::{Deletes, Page, PageClass, PageId, Segment, SegmentId};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::chunked::Chunked;
use super::layout::Layout;
use super::{Address, Objects, kind};
use crate::format::digest::{Digest, ShortDigest};
use crate::format::manifest::{DeletesEntry, SegmentEntry};
use crate::{Error, ErrorKind, Result};

/// The number of page digests per object.
const TABLE_CHUNK_PAGES: u32 = 8192;
/// The class code from which the names of digest tables are derived. No page class uses it.
const TABLE_CLASS: u8 = 0xff;

/// A segment of a manifest, with everything needed to name, locate and authenticate its objects.
#[derive(Debug)]
pub(crate) struct SegmentHandle {
    pub(crate) entry: SegmentEntry,
    names: ObjectNames,
    /// The index of the first page of each class in the table of digests, by class code.
    first: BTreeMap<u8, u32>,
    pages: u32,
    digests: std::sync::OnceLock<Arc<[ShortDigest]>>,
    /// False if the table of digests is lost. Only the seals authenticate the pages then.
    has_digests: bool,
}

impl SegmentHandle {
    pub(crate) fn new(entry: SegmentEntry) -> Self {
        let names = entry.secret.names();
        let (mut first, mut pages) = (BTreeMap::new(), 0_u32);
        for (class, count) in &entry.pages {
            first.insert(*class, pages);
            pages = pages.saturating_add(*count);
        }
        Self { entry, names, first, pages, digests: std::sync::OnceLock::new(), has_digests: true }
    }

    /// Returns the handle of a segment that was just built, whose digests are known.
    pub(crate) fn built(entry: SegmentEntry, digests: Arc<[ShortDigest]>) -> Self {
        let handle = Self::new(entry);
        let _ = handle.digests.set(digests);
        handle
    }

    /// Returns the handle of a segment whose table of digests is lost.
    pub(crate) fn without_digests(entry: SegmentEntry) -> Self {
        Self { has_digests: false, ..Self::new(entry) }
    }

    /// Returns the handle of the same segment under another entry, such as one with new deletes.
    pub(crate) fn with_entry(&self, entry: SegmentEntry) -> Self {
        match self.digests.get() {
            Some(digests) if self.entry.digests == entry.digests => Self::built(entry, Arc::clone(digests)),
            _ => Self::new(entry),
        }
    }

    pub(crate) fn id(&self) -> SegmentId {
        SegmentId(self.entry.id)
    }

    /// Returns all pages, class by class.
    pub(crate) fn pages(&self) -> impl Iterator<Item = Result<PageId>> + '_ {
        self.entry.pages.iter().flat_map(|&(code, count)| {
            (0..count).map(move |ordinal| {
                let class = PageClass::from_code(code).ok_or_else(|| {
                    let message = format!("a segment has pages of the unknown class {code}");
                    Error::new(ErrorKind::UnsupportedVersion, message)
                })?;
                Ok(PageId { class, ordinal })
            })
        })
    }

    pub(crate) fn page_count(&self, class: PageClass) -> u32 {
        self.entry.pages.iter().find(|(code, _)| *code == class.code()).map_or(0, |(_, count)| *count)
    }

    pub(crate) fn page_name(&self, page: PageId) -> String {
        self.names.name(page.class.code(), page.ordinal)
    }

    pub(crate) fn table_chunks(&self) -> u32 {
        self.pages.div_ceil(TABLE_CHUNK_PAGES)
    }

    pub(crate) fn table_name(&self, chunk: u32) -> String {
        self.names.name(TABLE_CLASS, chunk)
    }

    /// Returns all objects of the segment except its deletes, lazily.
    pub(crate) fn objects<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = Result<(&'a Bucket, Key)>> + 'a {
        let pages = self.pages().map(move |page| {
            let page = page?;
            Ok((layout.objects(page.class.sub_index()), Key::new(&self.page_name(page))?))
        });
        let tables = (0..self.table_chunks()).map(|chunk| Ok((&layout.metadata, Key::new(&self.table_name(chunk))?)));
        pages.chain(tables)
    }
}

/// Returns the digest of the content of a page.
pub(crate) fn page_digest(page: &[u8]) -> ShortDigest {
    Digest::of("cim/v1/page", &[page]).short()
}

fn table_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/pages", &[bytes])
}

impl DeletesEntry {
    pub(crate) fn chunked(&self) -> Chunked {
        Chunked { kind: kind::DELETES, secret: self.secret, chunk_count: self.chunk_count }
    }
}

impl Objects {
    /// Fetches a page and checks its digest, reading the table of digests if necessary.
    pub(crate) async fn fetch_page(&self, segment: &SegmentHandle, page: PageId) -> Result<Page> {
        // A damaged page may refer to a page that does not exist.
        if page.ordinal >= segment.page_count(page.class) {
            let message = format!("page {page:?} was requested, but its segment has no such page");
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        let name = segment.page_name(page);
        let address = page_address(&self.layout, page, &name);
        // The page is fetched first, because a missing page is a more specific error than a missing
        // digest.
        let opened = self.fetch(&address).await?;
        if !segment.has_digests {
            return Ok(Page::from(opened.to_vec()));
        }
        let digests = self.fetch_digests(segment).await?;
        let place = segment.first.get(&page.class.code()).and_then(|first| first.checked_add(page.ordinal));
        if place.and_then(|place| digests.get(place as usize)) != Some(&page_digest(&opened)) {
            return Err(address.damaged("differs from the page with which its segment was built"));
        }
        Ok(Page::from(opened.to_vec()))
    }

    /// Returns the digests of all pages, in the order of the classes of the entry.
    pub(crate) async fn fetch_digests(&self, segment: &SegmentHandle) -> Result<Arc<[ShortDigest]>> {
        if let Some(digests) = segment.digests.get() {
            return Ok(Arc::clone(digests));
        }
        let chunks: Vec<bytes::Bytes> = stream::iter(0..segment.table_chunks())
            .map(|chunk| async move {
                let name = segment.table_name(chunk);
                self.fetch(&table_address(&self.layout, &name, chunk)).await
            })
            .buffered(self.parallel_transfers)
            .try_collect()
            .await?;
        let table = chunks.concat();
        if table.len() as u64 != u64::from(segment.pages) * 16 || table_digest(&table) != segment.entry.digests {
            let message = "the digests of a segment's pages are not those that the manifest names";
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        let digests = table.chunks_exact(16).map(|bytes| ShortDigest(bytes.try_into().expect("16 bytes"))).collect();
        Ok(Arc::clone(segment.digests.get_or_init(|| digests)))
    }

    /// Seals the table of page digests of a new segment. Returns its digest for the manifest, and
    /// the objects to store.
    pub(crate) fn seal_digests(
        &self,
        names: &ObjectNames,
        digests: &[ShortDigest],
    ) -> Result<(Digest, Vec<(Key, bytes::Bytes)>)> {
        let table: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        let parts = table.chunks(TABLE_CHUNK_PAGES as usize * 16).enumerate();
        let sealed = parts.map(|(number, part)| {
            let chunk = u32::try_from(number).expect("a segment has fewer pages");
            let name = names.name(TABLE_CLASS, chunk);
            let sealed = self.seal(&table_address(&self.layout, &name, chunk), part, &SealOptions::default())?;
            Ok((Key::new(&name)?, sealed))
        });
        Ok((table_digest(&table), sealed.collect::<Result<_>>()?))
    }

    pub(crate) fn seal_page(
        &self,
        name: &str,
        page: PageId,
        bytes: &[u8],
        options: &SealOptions,
    ) -> Result<bytes::Bytes> {
        self.seal(&page_address(&self.layout, page, name), bytes, options)
    }

    /// Fetches the header pages of a segment and opens it.
    pub(crate) async fn fetch_segment(&self, handle: &SegmentHandle) -> Result<Arc<Segment>> {
        let headers = stream::iter(0..handle.page_count(PageClass::Header))
            .map(|ordinal| {
                let page = PageId::new(PageClass::Header, ordinal);
                async move {
                    let name = handle.page_name(page);
                    self.fetch(&page_address(&self.layout, page, &name)).await
                }
            })
            .buffered(self.parallel_transfers)
            .try_collect::<Vec<_>>();
        // The digests are fetched concurrently with the headers, to save a round trip.
        let digests = async {
            match handle.has_digests {
                true => self.fetch_digests(handle).await.map(Some),
                false => Ok(None),
            }
        };
        let (headers, digests) = futures::future::try_join(headers, digests).await?;
        let first = handle.first.get(&PageClass::Header.code()).copied().unwrap_or(0) as usize;
        let matches = digests.is_none_or(|digests| {
            let expected = digests.get(first..first + headers.len()).unwrap_or_default();
            headers.iter().map(|header| page_digest(header)).eq(expected.iter().copied())
        });
        if !matches {
            let message = "the header of a segment differs from the one with which the segment was built";
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        let headers: Vec<Page> = headers.into_iter().map(|header| Page::from(header.to_vec())).collect();
        Ok(Arc::new(Segment::open(handle.id(), &headers)?))
    }

    pub(crate) async fn fetch_deletes(&self, entry: Option<&DeletesEntry>) -> Result<Deletes> {
        let Some(entry) = entry else { return Ok(Deletes::default()) };
        let bytes = self.fetch_chunked(&entry.chunked()).await?;
        let deletes = Deletes::from_bytes(&bytes)?;
        if deletes.len() != entry.documents || deletes_digest(&bytes) != entry.digest {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the deletes of a segment differ from those that the manifest names",
            ));
        }
        Ok(deletes)
    }

    pub(crate) async fn store_deletes(&self, deletes: &Deletes) -> Result<DeletesEntry> {
        let bytes = deletes.to_bytes();
        let chunked = self.store_chunked(kind::DELETES, &bytes, &SealOptions::default()).await?;
        let (digest, documents) = (deletes_digest(&bytes), deletes.len());
        Ok(DeletesEntry { secret: chunked.secret, chunk_count: chunked.chunk_count, documents, digest })
    }
}

fn deletes_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/deletes", &[bytes])
}

fn page_address<'a>(layout: &'a Layout, page: PageId, name: &'a str) -> Address<'a> {
    Address {
        bucket: layout.objects(page.class.sub_index()),
        kind: ObjectKind::PAGE,
        name,
        generation: u64::from(page.class.code()) << 32 | u64::from(page.ordinal),
    }
}

fn table_address<'a>(layout: &'a Layout, name: &'a str, chunk: u32) -> Address<'a> {
    Address { bucket: &layout.metadata, kind: kind::PAGE_DIGESTS, name, generation: u64::from(chunk) }
}
