//! A pass over whole segments: pages are fetched from the store as the index core asks for them, and let go behind it.
//!
//! The index core asks for the pages of a class about once and in order when it merges or verifies, so a few pages of each
//! class are all that has to be held, however large the segments are.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cim_ipld_index::{Page, PageClass, PageId, PageSource, SegmentId};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use crate::segments::SegmentHandle;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};

/// So many pages of a class are fetched at once; as many behind them are kept.
const WINDOW_PAGES: u32 = 4;

/// Blocks until a page is there: to be used on a thread for blocking work alone.
pub(crate) struct Pass {
    shared: Arc<Shared>,
    segments: HashMap<SegmentId, Arc<SegmentHandle>>,
    runtime: Handle,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    windows: HashMap<(SegmentId, PageClass), BTreeMap<u32, Page>>,
    read: HashSet<(SegmentId, PageId)>,
    bytes: u64,
    failed: Option<Error>,
}

impl Pass {
    /// Must be called on the runtime that the store's work is done on.
    pub(crate) fn new(shared: &Arc<Shared>, segments: impl IntoIterator<Item = Arc<SegmentHandle>>) -> Self {
        Self {
            shared: Arc::clone(shared),
            segments: segments.into_iter().map(|handle| (handle.id(), handle)).collect(),
            runtime: Handle::current(),
            state: RefCell::default(),
        }
    }

    /// What came of a computation over these pages: why a page could not be had goes before that it could not.
    pub(crate) fn outcome<T>(&self, result: cim_ipld_index::Result<T>) -> Result<T> {
        match self.state.borrow_mut().failed.take() {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }

    /// How many pages were read, and the sum of their bytes.
    pub(crate) fn read(&self) -> (u64, u64) {
        let state = self.state.borrow();
        (state.read.len() as u64, state.bytes)
    }

    /// Reads the pages that nobody asked for; returns what is wrong with those that cannot be read.
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
        let objects = &self.shared.objects;
        let fetched: Vec<_> = self.runtime.block_on(
            stream::iter(rest)
                .map(|(handle, page)| async move { ((handle.id(), page), objects.fetch_page(handle, page).await) })
                .buffer_unordered(self.shared.settings.parallel_transfers.max(1))
                .map(|(key, fetched)| (key, fetched.map(|page| page.len() as u64)))
                .collect(),
        );
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

    /// Fetches a page and those after it; keeps what is near.
    fn fetch(&self, (segment, page): (SegmentId, PageId)) -> Result<Page> {
        let handle = self.segments.get(&segment).ok_or_else(|| {
            Error::new(ErrorKind::Damaged, "a page is asked for of a segment that this pass does not read")
        })?;
        let (first, class) = (page.ordinal, page.class);
        let end = handle.page_count(class).min(first.saturating_add(WINDOW_PAGES)).max(first.saturating_add(1));
        let fetched: Vec<(u32, Page)> = self.runtime.block_on(
            stream::iter(first..end)
                .map(|ordinal| async move {
                    let page = self.shared.objects.fetch_page(handle, PageId::new(class, ordinal)).await?;
                    Ok::<_, Error>((ordinal, page))
                })
                .buffered(WINDOW_PAGES as usize)
                .try_collect(),
        )?;
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
        let at_hand = |state: &State| state.windows.get(&(segment, page.class))?.get(&page.ordinal).cloned();
        if let Some(page) = at_hand(&self.state.borrow()) {
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
