//! Writers wait for folds and merges, so that memory stays within its limit.

use std::sync::atomic::Ordering;

use super::progress::Progress;
use super::shared::Shared;
use crate::{Error, ErrorKind, Result};

/// Waits while twice the memtable budget waits to be folded.
pub(super) async fn wait_for_room(shared: &Shared) -> Result<()> {
    shared.check()?;
    let settings = &shared.settings;
    if !settings.background {
        return Ok(());
    }
    let limit = settings.budget().memtable_bytes().saturating_mul(2);
    let has_room = |progress: &Progress| progress.memtable_bytes + progress.frozen_bytes < limit;
    if !shared.progress.read(has_room) {
        // Other processes may have a smaller memtable and no reason to fold.
        shared.folds.notify_one();
    }
    loop {
        let room = shared.progress.wait_until(has_room);
        if let Ok(room) = tokio::time::timeout(settings.write_timeout, room).await {
            return room;
        }
        // A merge of many segments may take longer.
        if !shared.is_merging_first.load(Ordering::Relaxed) {
            let message = "the memtable is full, and folding it did not finish within the write timeout";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
    }
}
