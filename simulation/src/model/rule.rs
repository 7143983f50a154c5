//! The rules of the protocol. Each can be removed to find the property that depends on it.

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A record under a key older than the newest epoch of the order is ignored.
    Retired,
    /// A record is ignored if the position that it attests is more than the window behind.
    Stale,
    /// A record is ignored if a record of the same writer with the same or a higher sequence number
    /// was accepted within the window.
    Duplicate,
    /// A record is ignored if its writer was closed by a record within the window.
    Closed,
    /// A record is accepted only if the order that it attests is a prefix of this order.
    OrderAttestation,
    /// A record is accepted only if the manifest that it attests is the known one or an ancestor of
    /// it.
    ManifestAttestation,
    /// A manifest is adopted only if the known one is its ancestor.
    Ancestry,
    /// A manifest is adopted only if its order is a prefix of the order of the process, or the
    /// other way round.
    ManifestOrder,
    /// A restarted process publishes nothing before it has reached the state of its pin.
    Pin,
    /// The first record of a restarted process closes writers and contains no operation.
    ClosingRecord,
    /// A process closes every writer with unknown outcomes, not only its last one.
    CloseAll,
    /// After a gap in the revisions, a follower reads the manifest before it applies the next
    /// entry.
    GapRead,
    /// `Lost` and `Forked` are final only if the manifest, when reread, has not changed.
    FinalVerdict,
    /// Nothing is published before the watch has passed the last revision that the leader had when
    /// the watch began.
    CaughtUp,
    /// If a watch passes the last revision that the leader had when it began, and no entry had that
    /// revision, something was removed: the manifest is read before anything is published.
    CaughtUpRead,
    /// A record is stored only while the root is the one known to its writer.
    RootFence,
    /// A refused record is sealed again only after the follower has passed the new root, because an
    /// earlier attempt may have stored it before the root changed.
    RefusalWaits,
    /// A watch ends if its bucket is recreated, and the process reads the manifest.
    WatchIdentity,
    /// A replay starts after the last folded record only if that record is still at the revision
    /// that the manifest gives for it.
    ScanRevision,
    /// Only records covered by the predecessor of the newest manifest are trimmed.
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

/// The rules in force in a run: all of them, or all but a few.
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
