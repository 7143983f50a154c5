//! A sequential pass over whole segments. Pages are fetched from the store as the index core
//! requests them, and dropped once it has moved past them.
//!
//! When merging or verifying, the index core requests the pages of a class roughly once and in
//! order. Therefore it is sufficient to hold a few pages of each class, regardless of the size of
//! the segments.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cim_ipld_index::{Page, PageClass, PageId, PageSource, SegmentId};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::Objects;
use super::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The number of pages of a class that are fetched at once, and the number of earlier pages that
/// are kept.
const WINDOW_PAGES: u32 = 4;

/// A page source that blocks until a page is fetched. Use it on blocking threads only.
pub(crate) struct Pass {
    objects: Arc<Objects>,
    segments: HashMap<SegmentId, Arc<SegmentHandle>>,
    source: Source,
    state: RefCell<State>,
}

enum Source {
    /// Pages are fetched on this runtime while the computation blocks.
    Runtime(Handle),
    /// All pages were fetched in advance, because there is only one thread.
    Fetched(HashMap<(SegmentId, PageId), Result<Page>>),
}

#[derive(Default)]
struct State {
    windows: HashMap<(SegmentId, PageClass), BTreeMap<u32, Page>>,
    read: HashSet<(SegmentId, PageId)>,
    bytes: u64,
    failed: Option<Error>,
}

impl Pass {
    /// Must be called on the runtime that performs the I/O of the store.
    ///
    /// # Errors
    /// `UnsupportedVersion` if a segment has pages of an unknown class.
    pub(crate) async fn new(
        objects: &Arc<Objects>,
        segments: impl IntoIterator<Item = Arc<SegmentHandle>>,
    ) -> Result<Self> {
        let segments: Vec<_> = segments.into_iter().collect();
        let source = if objects.environment.is_single_threaded() {
            let mut fetched = HashMap::new();
            for handle in &segments {
                for page in handle.pages() {
                    let page = page?;
                    fetched.insert((handle.id(), page), objects.fetch_page(handle, page).await);
                }
            }
            Source::Fetched(fetched)
        } else {
            Source::Runtime(Handle::current())
        };
        let segments = segments.into_iter().map(|handle| (handle.id(), handle)).collect();
        Ok(Self { objects: Arc::clone(objects), segments, source, state: RefCell::default() })
    }

    /// Returns the result of a computation over these pages. Fetch errors take precedence over
    /// missing-page errors.
    pub(crate) fn outcome<T>(&self, result: cim_ipld_index::Result<T>) -> Result<T> {
        match self.state.borrow_mut().failed.take() {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }

    /// Returns the number and the total size of the pages read.
    pub(crate) fn pages_and_bytes_read(&self) -> (u64, u64) {
        let state = self.state.borrow();
        (state.read.len() as u64, state.bytes)
    }

    /// Reads the pages that were not requested, and returns the errors of those that cannot be
    /// read.
    pub(crate) fn read_rest(&self) -> Vec<Error> {
        let (mut rest, mut errors) = (Vec::new(), Vec::new());
        for handle in self.segments.values() {
            for page in handle.pages() {
                match page {
                    Ok(page) if self.state.borrow().read.contains(&(handle.id(), page)) => {}
                    Ok(page) => rest.push((handle, page)),
                    Err(error) => errors.push(error),
                }
            }
        }
        let fetched: Vec<_> =
            match &self.source {
                Source::Fetched(pages) => {
                    let of = |(handle, page): (&Arc<SegmentHandle>, PageId)| {
                        let key = (handle.id(), page);
                        (key, pages[&key].clone().map(|page| page.len() as u64))
                    };
                    rest.into_iter().map(of).collect()
                }
                Source::Runtime(runtime) => runtime.block_on(
                    stream::iter(rest)
                        .map(|(handle, page)| async move {
                            ((handle.id(), page), self.objects.fetch_page(handle, page).await)
                        })
                        .buffer_unordered(self.objects.parallel_transfers)
                        .map(|(key, fetched)| (key, fetched.map(|page| page.len() as u64)))
                        .collect(),
                ),
            };
        let state = &mut *self.state.borrow_mut();
        for (key, fetched) in fetched {
            match fetched {
                Ok(bytes) => {
                    state.read.insert(key);
                    state.bytes += bytes;
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Fetches a page and the ones that follow it. Pages that are far from it are dropped.
    fn fetch(&self, (segment, page): (SegmentId, PageId)) -> Result<Page> {
        let handle = self.segments.get(&segment).ok_or_else(|| {
            Error::new(ErrorKind::Damaged, "a page was requested of a segment that this pass does not read")
        })?;
        let (first, class) = (page.ordinal, page.class);
        let end = handle.page_count(class).min(first.saturating_add(WINDOW_PAGES)).max(first.saturating_add(1));
        let fetched: Vec<(u32, Page)> = match &self.source {
            Source::Fetched(pages) => {
                let missing =
                    || Err(Error::new(ErrorKind::Damaged, "a page was requested that its segment does not have"));
                vec![(first, pages.get(&(segment, page)).cloned().unwrap_or_else(missing)?)]
            }
            Source::Runtime(runtime) => runtime.block_on(
                stream::iter(first..end)
                    .map(|ordinal| async move {
                        let page = self.objects.fetch_page(handle, PageId::new(class, ordinal)).await?;
                        Ok::<_, Error>((ordinal, page))
                    })
                    .buffered(WINDOW_PAGES as usize)
                    .try_collect(),
            )?,
        };
        let state = &mut *self.state.borrow_mut();
        let window = state.windows.entry((segment, class)).or_default();
        window.retain(|ordinal, _| (first.saturating_sub(WINDOW_PAGES)..end).contains(ordinal));
        for (ordinal, page) in &fetched {
            if state.read.insert((segment, PageId::new(class, *ordinal))) {
                state.bytes += page.len() as u64;
            }
        }
        window.extend(fetched);
        Ok(window[&first].clone())
    }
}

impl PageSource for Pass {
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
        let cached = |state: &State| state.windows.get(&(segment, page.class))?.get(&page.ordinal).cloned();
        if let Some(page) = cached(&self.state.borrow()) {
            return Some(page);
        }
        match self.fetch((segment, page)) {
            Ok(page) => Some(page),
            Err(error) => {
                self.state.borrow_mut().failed.get_or_insert(error);
                None
            }
        }
    }
}
