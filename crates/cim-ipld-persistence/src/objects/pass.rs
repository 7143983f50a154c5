//! A sequential pass over whole segments. Pages are fetched from the store as the index core
//! requests them, and dropped once it has moved past them.
//!
//! When merging or verifying, the index core requests the pages of a class roughly once and in
//! order. Therefore it is sufficient to hold a few pages of each class, regardless of the size of
//! the segments. If these exceed the buffer, the pages of the class that was used least recently
//! are dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use cim_ipld_index::{Page, PageClass, PageId, PageSource, SegmentId};
use futures::stream::{self, StreamExt};
use tokio::runtime::Handle;

use super::Objects;
use super::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The maximum number of pages of a class that are fetched at once, and the maximum number of
/// earlier pages that are kept.
const WINDOW_PAGES: u32 = 4;
/// The number of classes of one segment whose pages are requested alternately: a table and the two
/// streams to which its entries refer, and the lengths.
const CLASSES_AT_ONCE: usize = 4;
/// The size of most pages.
const PAGE_BYTES: usize = 64 << 10;

/// A page source that blocks until a page is fetched. Use it on blocking threads only.
pub(crate) struct Pass {
    objects: Arc<Objects>,
    segments: HashMap<SegmentId, Arc<SegmentHandle>>,
    source: Source,
    /// At most [`WINDOW_PAGES`], less if the buffer is small.
    window_pages: u32,
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
    windows: HashMap<(SegmentId, PageClass), Window>,
    /// The total size of the pages in all windows.
    held_bytes: usize,
    /// The number of requests so far.
    requests: u64,
    read: HashSet<(SegmentId, PageId)>,
    bytes: u64,
    failed: Option<Error>,
}

/// Consecutive pages of a class.
#[derive(Default)]
struct Window {
    pages: BTreeMap<u32, Page>,
    /// The number of the last request for one of them.
    used: u64,
}

impl State {
    fn find(&mut self, segment: SegmentId, page: PageId) -> Option<Page> {
        self.requests += 1;
        let window = self.windows.get_mut(&(segment, page.class))?;
        let found = window.pages.get(&page.ordinal)?;
        window.used = self.requests;
        Some(found.clone())
    }

    /// Holds the fetched pages of a class, and drops pages that are not `near` them. If the windows
    /// together exceed `buffer_bytes`, those used least recently are dropped.
    fn hold(
        &mut self,
        class: (SegmentId, PageClass),
        near: Range<u32>,
        fetched: Vec<(u32, Page)>,
        buffer_bytes: usize,
    ) {
        let window = self.windows.entry(class).or_default();
        window.used = self.requests;
        let before = held_bytes(&window.pages);
        window.pages.retain(|ordinal, _| near.contains(ordinal));
        window.pages.extend(fetched);
        self.held_bytes = self.held_bytes - before + held_bytes(&window.pages);
        while self.held_bytes > buffer_bytes {
            let others = self.windows.iter().filter(|(of, window)| **of != class && !window.pages.is_empty());
            let Some(least) = others.min_by_key(|(_, window)| window.used).map(|(of, _)| *of) else { return };
            self.held_bytes -= self.windows.remove(&least).map_or(0, |window| held_bytes(&window.pages));
        }
    }
}

fn held_bytes(pages: &BTreeMap<u32, Page>) -> usize {
    pages.values().map(|page| page.len()).sum()
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
        let windows = 2 * CLASSES_AT_ONCE * segments.len().max(1);
        let window_pages = u32::try_from(objects.pass_bytes / PAGE_BYTES / windows).unwrap_or(WINDOW_PAGES);
        let segments = segments.into_iter().map(|handle| (handle.id(), handle)).collect();
        Ok(Self {
            objects: Arc::clone(objects),
            segments,
            source,
            window_pages: window_pages.clamp(1, WINDOW_PAGES),
            state: RefCell::default(),
        })
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
        let end = handle.page_count(class).min(first.saturating_add(self.window_pages)).max(first.saturating_add(1));
        let fetched: Vec<(u32, Page)> = match &self.source {
            Source::Fetched(pages) => {
                let missing =
                    || Err(Error::new(ErrorKind::Damaged, "a page was requested that its segment does not have"));
                vec![(first, pages.get(&(segment, page)).cloned().unwrap_or_else(missing)?)]
            }
            Source::Runtime(runtime) => {
                let fetched: Vec<(u32, Result<Page>)> = runtime.block_on(
                    stream::iter(first..end)
                        .map(|ordinal| async move {
                            (ordinal, self.objects.fetch_page(handle, PageId::new(class, ordinal)).await)
                        })
                        .buffered(self.window_pages as usize)
                        .collect(),
                );
                let mut pages = Vec::with_capacity(fetched.len());
                for (ordinal, page) in fetched {
                    match page {
                        Err(error) if ordinal == first => return Err(error),
                        // Reported if the page is requested.
                        Err(_) => {}
                        Ok(page) => pages.push((ordinal, page)),
                    }
                }
                pages
            }
        };
        let state = &mut *self.state.borrow_mut();
        for (ordinal, page) in &fetched {
            if state.read.insert((segment, PageId::new(class, *ordinal))) {
                state.bytes += page.len() as u64;
            }
        }
        let requested = fetched[0].1.clone();
        let near = first.saturating_sub(self.window_pages)..end;
        state.hold((segment, class), near, fetched, self.objects.pass_bytes);
        Ok(requested)
    }
}

impl PageSource for Pass {
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
        if let Some(page) = self.state.borrow_mut().find(segment, page) {
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
