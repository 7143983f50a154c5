//! The names of the snapshots that exports create so that the pages they have yet to read are not
//! removed.

use std::time::Duration;

use crate::format::snapshot::SnapshotRecord;

/// The start of the names of the snapshots that exports create.
pub(super) const PREFIX: &str = "cim/export/";

/// The time after which the snapshot of an export is taken for one that a dead process left. No
/// export takes that long.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Returns whether `name` is that of a snapshot with which an export keeps its pages.
pub(super) fn is_export_pin(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Returns whether the snapshot was left by an export that did not end.
pub(super) fn is_expired(record: &SnapshotRecord, now_ms: i64) -> bool {
    let lifetime_ms = i64::try_from(LIFETIME.as_millis()).expect("a week");
    is_export_pin(&record.name) && now_ms.saturating_sub(record.created_at_ms) > lifetime_ms
}
