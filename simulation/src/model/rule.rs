//! The rules of the protocol, each of which can be removed to see which property rests on it.

/// One rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A record under a key older than the newest epoch of the order is ignored.
    Retired,
    /// A record that attests a position more than the window behind is ignored.
    Stale,
    /// A record whose writer has an equal or higher sequence number in the window is ignored.
    Duplicate,
    /// A record of a writer that a record of the window closes is ignored.
    Closed,
    /// A record is accepted only where the order begins with the order that it attests.
    OrderAttestation,
    /// A record is accepted only where the manifest that it attests is the known one or an ancestor
    /// of it.
    ManifestAttestation,
    /// A manifest is taken up only when the known one is its ancestor.
    Ancestry,
    /// A manifest is taken up only when its order and the process's are on one chain.
    ManifestOrder,
    /// A restarted process publishes nothing before it has reached the state that its pin
    /// remembers.
    Pin,
    /// The first record of a restarted process carries no operation, only the writers that it
    /// closes.
    ClosingRecord,
    /// A process closes every writer whose outcomes are in doubt, not only its last one.
    CloseAll,
    /// A follower that meets a gap in the revisions reads the manifest before it applies the entry
    /// after the gap.
    GapRead,
    /// `Lost` and `Forked` are final only when the manifest, read again, has not moved on.
    FinalVerdict,
    /// Nothing is published before the watch has passed the last revision that the leader had when
    /// it began.
    CaughtUp,
    /// A watch that passes that revision without an entry there has met a gap: the manifest is
    /// read.
    CaughtUpRead,
    /// A record lands only while the root is the one that its writer knows.
    RootFence,
    /// A refused record is sealed again only after the follower has passed the new root: it may
    /// have landed before.
    RefusalWaits,
    /// A watch follows one bucket: when that is created anew the watch ends, and the process reads
    /// the manifest.
    WatchIdentity,
    /// The record of the scan hint locates the start of a replay only at the revision that the
    /// manifest gives.
    ScanRevision,
    /// Only records that the manifest before the newest one covers are trimmed.
    TrimPrevious,
}

impl Rule {
    #[cfg(test)]
    pub(crate) const ALL: &'static [Self] = &[
        Self::Retired,
        Self::Stale,
        Self::Duplicate,
        Self::Closed,
        Self::OrderAttestation,
        Self::ManifestAttestation,
        Self::Ancestry,
        Self::ManifestOrder,
        Self::Pin,
        Self::ClosingRecord,
        Self::CloseAll,
        Self::GapRead,
        Self::FinalVerdict,
        Self::CaughtUp,
        Self::CaughtUpRead,
        Self::RootFence,
        Self::RefusalWaits,
        Self::WatchIdentity,
        Self::ScanRevision,
        Self::TrimPrevious,
    ];
}

/// The rules of a run: all of them, or all but a few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    removed: &'static [Rule],
}

impl Rules {
    pub(crate) const ALL: Self = Self { removed: &[] };

    pub(crate) const fn without(removed: &'static [Rule]) -> Self {
        Self { removed }
    }

    pub(crate) fn hold(self, rule: Rule) -> bool {
        !self.removed.contains(&rule)
    }
}
