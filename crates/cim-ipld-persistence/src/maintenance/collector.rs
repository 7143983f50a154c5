//! Collects the garbage automatically.
//!
//! The process that folds and merges also collects the garbage, so that usually one of several
//! processes does it. The age marks show when the last collection of any process began.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Maintenance;
use super::garbage::{GarbageOptions, GarbageReport, last_marked};
use crate::{ErrorKind, Result};

impl Maintenance {
    /// Collects the garbage after folds and merges of this process, until the engine is closed.
    /// What it removes was stored before the previous collection, at least `every` earlier.
    pub(crate) async fn keep_collecting(self: Arc<Self>, every: Duration) {
        let mut next = Instant::now();
        loop {
            self.worked.notified().await;
            if Instant::now() < next || self.shared.check().is_err() || !self.shared.published_last() {
                continue;
            }
            let wait = self.collect_if_due(every).await.unwrap_or_else(|error| {
                if error.kind() != ErrorKind::Closed {
                    tracing::warn!(%error, "the garbage was not collected");
                }
                every
            });
            next = Instant::now() + wait;
        }
    }

    /// Collects the garbage unless another process began to do so less than `every` ago. Returns
    /// the time until the next collection is due.
    async fn collect_if_due(&self, every: Duration) -> Result<Duration> {
        let objects = &self.shared.objects;
        let now = objects.environment.now().0;
        let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let last = last_marked(objects, &objects.layout.catalog).await?;
        let wait_ms = last.map_or(0, |last| last.saturating_add(every_ms).saturating_sub(now));
        if let Ok(wait_ms @ 1..) = u64::try_from(wait_ms) {
            return Ok(Duration::from_millis(wait_ms).min(every));
        }
        let options = GarbageOptions { grace_period: every, dry_run: false };
        let report = self.collect_garbage(&options, &|report| self.note_progress(report)).await?;
        self.note_progress(&report);
        Ok(every)
    }

    fn note_progress(&self, report: &GarbageReport) {
        let GarbageReport { examined, removed, young } = report;
        tracing::info!(
            examined = examined.objects,
            removed = removed.objects,
            removed_bytes = removed.bytes,
            young = young.objects,
            "collecting the garbage"
        );
        #[cfg(feature = "simulation")]
        self.shared.objects.environment.observe(|| crate::observer::Event::Collecting {
            examined: examined.objects,
            removed: removed.objects,
            removed_bytes: removed.bytes,
        });
    }
}
