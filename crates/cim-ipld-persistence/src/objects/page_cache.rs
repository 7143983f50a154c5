//! A cache of decrypted pages with a budget in bytes. Concurrent requests for a page share one
//! fetch.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cim_ipld_index::{Page, PageId, PageSource, Progress, SegmentId};
use futures::stream::{self, StreamExt, TryStreamExt};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::Objects;
use super::segments::SegmentHandle;
use crate::settings::MemoryBudget;
use crate::{Error, ErrorKind, Result};

type PageKey = (SegmentId, PageId);

/// The page cache of all segments of an index.
#[derive(Debug)]
pub(crate) struct PageCache {
    cache: Arc<Cache<PageKey, Page, ByBytes>>,
    parallel: usize,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<PageKey, Page> for ByBytes {
    fn weight(&self, _: &PageKey, page: &Page) -> u64 {
        // The key and the bookkeeping of the cache.
        const OVERHEAD_BYTES: u64 = 128;
        page.len() as u64 + OVERHEAD_BYTES
    }
}

impl PageCache {
    pub(crate) fn new(budget: &MemoryBudget) -> Self {
        const ABOUT_ONE_PAGE_BYTES: usize = 64 << 10;
        let options = OptionsBuilder::new()
            .estimated_items_capacity((budget.cache_bytes() / ABOUT_ONE_PAGE_BYTES).max(16))
            .weight_capacity(budget.cache_bytes() as u64)
            .build()
            .expect("both capacities are set");
        let cache = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { cache: Arc::new(cache), parallel: budget.parallel_transfers().get() }
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Runs a sans-I/O computation of the index core to completion: the pages that it requests are
    /// fetched in parallel, then it is run again. The pages of a computation are held until it
    /// completes, so that it makes progress even with a small cache.
    pub(crate) async fn resolve<T>(
        &self,
        objects: &Objects,
        segments: &HashMap<SegmentId, Arc<SegmentHandle>>,
        mut computation: impl FnMut(&dyn PageSource) -> cim_ipld_index::Result<Progress<T>>,
    ) -> Result<T> {
        let mut pinned = self.pinned();
        loop {
            match computation(&pinned)? {
                Progress::Ready(result) => return Ok(result),
                Progress::Need(pages) => self.pin(objects, segments, pages, &mut pinned).await?,
            }
        }
    }

    /// Returns the pages of a computation, none of which is pinned yet.
    pub(crate) fn pinned(&self) -> Pinned {
        Pinned { cache: Arc::clone(&self.cache), pages: RefCell::default() }
    }

    /// Fetches the pages that a computation requests in parallel, and pins them.
    pub(crate) async fn pin(
        &self,
        objects: &Objects,
        segments: &HashMap<SegmentId, Arc<SegmentHandle>>,
        pages: Vec<PageKey>,
        pinned: &mut Pinned,
    ) -> Result<()> {
        let needed: BTreeSet<PageKey> = pages.into_iter().collect();
        if needed.iter().all(|key| pinned.pages.get_mut().contains_key(key)) {
            let message = "a search requests the pages that it was just given: its segment is inconsistent";
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        let fetched: Vec<(PageKey, Page)> = stream::iter(needed)
            .map(|key| async move { Ok::<_, Error>((key, self.fetch(objects, segments, key).await?)) })
            .buffer_unordered(self.parallel)
            .try_collect()
            .await?;
        pinned.pages.get_mut().extend(fetched);
        Ok(())
    }

    pub(crate) async fn fetch(
        &self,
        objects: &Objects,
        segments: &HashMap<SegmentId, Arc<SegmentHandle>>,
        key: PageKey,
    ) -> Result<Page> {
        let (segment, page) = key;
        let handle = segments.get(&segment).ok_or_else(|| {
            Error::new(ErrorKind::Damaged, "a search requests a page of a segment that the manifest does not name")
        })?;
        self.cache.get_or_insert_async(&key, objects.fetch_page(handle, page)).await
    }
}

/// The cached pages, and those of one computation, which are held until it completes.
pub(crate) struct Pinned {
    cache: Arc<Cache<PageKey, Page, ByBytes>>,
    pages: RefCell<HashMap<PageKey, Page>>,
}

impl PageSource for Pinned {
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
        let key = (segment, page);
        if let Some(page) = self.pages.borrow().get(&key) {
            return Some(page.clone());
        }
        let bytes = self.cache.get(&key)?;
        self.pages.borrow_mut().insert(key, bytes.clone());
        Some(bytes)
    }
}
