//! Runs searches: short ones at once, long ones on a blocking thread, where they can be cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cim_ipld_index::{self as index, Cancellation, Progress, Query, SearchOptions, SearchResults};

use super::Engine;
use crate::history::state::View;
use crate::objects::page_cache::Pinned;
use crate::{Error, ErrorKind, Result};

/// The units of work that a search may do on the task that awaits it, which take about as long as
/// handing it to a blocking thread costs. A longer search is begun again there.
const WORK_ON_TASK: u64 = 1 << 16;

impl Engine {
    /// Searches the published view. If a page is missing because a newer manifest has replaced it,
    /// the search is repeated on the newer view.
    pub(super) async fn find(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            match self.find_in(&view, query, options).await {
                Err(error) => self.shared.wait_for_newer_manifest(view.manifest.generation(), error).await?,
                found => return found,
            }
        }
    }

    async fn find_in(&self, view: &Arc<View>, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        let (objects, cache) = (&self.shared.objects, &self.shared.cache);
        let stays_on_task = objects.environment.is_single_threaded() || options.limits.work <= WORK_ON_TASK;
        let limits = options.limits.clone();
        let short = options.clone().limits(if stays_on_task { limits } else { limits.work(WORK_ON_TASK) });
        let mut long: Option<LongSearch> = None;
        let mut pages = cache.pinned();
        loop {
            let progress = match &long {
                None => match view.read_view.search(query, &short, &pages) {
                    Err(error) if error.kind() == index::ErrorKind::QueryTooExpensive && !stays_on_task => {
                        long = Some(LongSearch::new(view, query, options));
                        continue;
                    }
                    progress => progress?,
                },
                Some(long) => {
                    let progress;
                    (pages, progress) = long.run(pages).await?;
                    progress?
                }
            };
            match progress {
                Progress::Ready(results) => return Ok(results),
                Progress::Need(needed) => cache.pin(objects, &view.segments, needed, &mut pages).await?,
            }
        }
    }
}

/// A search on a blocking thread. When it is dropped, its thread stops.
struct LongSearch {
    view: Arc<View>,
    query: Arc<Query>,
    options: Arc<SearchOptions>,
    is_dropped: Arc<AtomicBool>,
}

impl LongSearch {
    fn new(view: &Arc<View>, query: &Query, options: &SearchOptions) -> Self {
        let (query, options) = (Arc::new(query.clone()), Arc::new(options.clone()));
        Self { view: Arc::clone(view), query, options, is_dropped: Arc::default() }
    }

    /// Searches with these pages, and returns them with the progress.
    async fn run(&self, pages: Pinned) -> Result<(Pinned, index::Result<Progress<SearchResults>>)> {
        let (view, query, options) = (Arc::clone(&self.view), Arc::clone(&self.query), Arc::clone(&self.options));
        let is_dropped = Arc::clone(&self.is_dropped);
        let cancellation = Cancellation::when(move || is_dropped.load(Ordering::Relaxed));
        let search = move || {
            let progress = view.read_view.search_until(&query, &options, &pages, &cancellation);
            (pages, progress)
        };
        let cut_off = |_| Error::new(ErrorKind::Closed, "the search was aborted");
        tokio::task::spawn_blocking(search).await.map_err(cut_off)
    }
}

impl Drop for LongSearch {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}
