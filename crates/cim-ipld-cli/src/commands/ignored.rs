//! The counts of ignored catalog entries, by reason.

use cim_ipld::persistence::IgnoredEntries;
use serde::Serialize;

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct IgnoredJson {
    junk: u64,
    retired: u64,
    stale: u64,
    duplicate: u64,
    closed: u64,
    replayed: u64,
}

impl From<IgnoredEntries> for IgnoredJson {
    fn from(ignored: IgnoredEntries) -> Self {
        let IgnoredEntries { junk, retired, stale, duplicate, closed, replayed, .. } = ignored;
        Self { junk, retired, stale, duplicate, closed, replayed }
    }
}

impl IgnoredJson {
    /// Returns the nonzero counts, such as `2 junk, 1 stale`, or `None` if all are zero.
    pub(super) fn summary(self) -> Option<String> {
        let Self { junk, retired, stale, duplicate, closed, replayed } = self;
        let reasons = [
            (junk, "junk"),
            (retired, "retired"),
            (stale, "stale"),
            (duplicate, "duplicate"),
            (closed, "closed"),
            (replayed, "replayed"),
        ];
        let some: Vec<String> = reasons
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        (!some.is_empty()).then(|| some.join(", "))
    }
}
