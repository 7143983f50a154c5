use cid::Cid;

/// How [`EngineBuilder::repair`](crate::EngineBuilder::repair) works.
///
/// ```
/// use cim_ipld_persistence::RepairOptions;
///
/// assert!(!RepairOptions::default().dry_run);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairOptions {
    /// Whether to report what a repair would do, without changing the store. The repair is done in
    /// memory.
    pub dry_run: bool,
}

impl RepairOptions {
    /// Sets [`dry_run`](Self::dry_run).
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// The result of [`EngineBuilder::repair`](crate::EngineBuilder::repair).
///
/// ```
/// use cim_ipld_persistence::RepairReport;
///
/// let report = RepairReport::default();
/// assert!(report.is_complete() && !report.changed_history);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// The number of objects that were put back from a source.
    pub restored_objects: u64,
    /// The number of segments that were rebuilt from their stored documents.
    pub rebuilt_segments: u64,
    /// The number of documents in them.
    pub rebuilt_documents: u64,
    /// The number of documents whose own segment could not be repaired, and that were put back from
    /// a source or a snapshot, in the newest version that these have.
    pub returned_documents: u64,
    /// The number of journal records that were put back from a source.
    pub restored_records: u64,
    /// The number of journal records that follow lost ones, and whose writes were applied again.
    pub salvaged_records: u64,
    /// The number of journal records that are damaged or known to be missing. Their writes are
    /// lost.
    pub lost_records: u64,
    /// The CIDs of the documents of the index that are lost, as far as they are known.
    pub lost_documents: Vec<Cid>,
    /// The largest possible number of further documents of the index that are lost, and whose CIDs
    /// are lost, too.
    pub lost_unknown_documents: u64,
    /// The largest possible number of lost deletions. The documents concerned may be back.
    pub lost_deletions: u64,
    /// The number of snapshots whose records, and therefore names, are lost.
    pub lost_snapshots: u64,
    /// The snapshots that have lost documents or deletions.
    pub incomplete_snapshots: Vec<String>,
    /// Whether the order of writes was changed or cut off. A process or a pin that knows the former
    /// order refuses the index: open it once with
    /// [`EngineBuilder::accept_store`](crate::EngineBuilder::accept_store), which also keeps lost
    /// records from being accepted if they reappear.
    pub changed_history: bool,
}

impl RepairReport {
    /// Returns whether no document, write, deletion or snapshot is known to be lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lost_records == 0
            && self.lost_documents.is_empty()
            && self.lost_unknown_documents == 0
            && self.lost_deletions == 0
            && self.lost_snapshots == 0
            && self.incomplete_snapshots.is_empty()
    }

    /// Returns whether the repair changed nothing.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        *self == Self::default()
    }
}
