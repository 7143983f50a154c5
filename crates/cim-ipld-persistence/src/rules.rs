//! The rules of the protocol by name. A simulation removes one at a time and must find the fault
//! that follows; in every other build none can be removed.

#![cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, dead_code, reason = "only a simulation names rules from outside")
)]

/// One rule of docs/protocol.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// What does not open is ignored.
    IgnoreJunk,
    /// A record of an epoch older than the order's is ignored.
    Epoch,
    /// A record that lags more than a window behind is ignored.
    Stale,
    /// A record of a writer whose sequence number is not above its highest is ignored.
    Duplicate,
    /// A record of a closed writer is ignored.
    Closed,
    /// A successor closes the writers that its pin remembers.
    Close,
    /// A record must have been sealed by a writer whose prefix is a prefix of this order.
    RecordChain,
    /// A record must know a manifest that is this one or an ancestor.
    RecordManifest,
    /// A manifest must descend from the known one.
    Ancestry,
    /// A manifest's order and this order are one chain.
    ManifestChain,
    /// A manifest of a generation that is not above the known one is ignored.
    Generation,
    /// A manifest sealed in an older epoch than the known one is ignored.
    ManifestEpoch,
    /// A write is acknowledged when the follower accepted its very bytes.
    ReadBack,
    /// After a gap in the revisions the manifest is read before anything is applied.
    GapRead,
    /// Before what was caught up with is published, the manifest is read once more.
    CaughtUpRead,
    /// Nothing is published before a resync has reached the position that was published before.
    ReachFormer,
    /// The watermark is the position that the fold's input holds.
    ExactWatermark,
    /// Only records dead at the previous watermark are trimmed.
    TrimDead,
    /// A restore writes a barrier first, and takes effect at its position.
    RestoreBarrier,
    /// A root older than the manifest names is refused.
    RootFloor,
    /// A record lands only while the root is the one its writer knows.
    Fence,
    /// A store older than the pin is refused.
    Pin,
    /// Nothing is published while the manifest's place is disturbed.
    Settle,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 23] = [
        Self::IgnoreJunk,
        Self::Epoch,
        Self::Stale,
        Self::Duplicate,
        Self::Closed,
        Self::Close,
        Self::RecordChain,
        Self::RecordManifest,
        Self::Ancestry,
        Self::ManifestChain,
        Self::Generation,
        Self::ManifestEpoch,
        Self::ReadBack,
        Self::GapRead,
        Self::CaughtUpRead,
        Self::ReachFormer,
        Self::ExactWatermark,
        Self::TrimDead,
        Self::RestoreBarrier,
        Self::RootFloor,
        Self::Fence,
        Self::Pin,
        Self::Settle,
    ];
}

/// Which rules hold: all of them, but for a simulation that removes some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// One bit for each rule.
    #[cfg(feature = "simulation")]
    removed: u32,
    #[cfg(feature = "simulation")]
    window: Option<u64>,
}

impl Rules {
    /// Returns all rules but one.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn without(rule: Rule) -> Self {
        Self::default().and_without(rule)
    }

    /// Removes one more: where two rules refuse the same thing, nothing goes wrong without one of
    /// them.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn and_without(mut self, rule: Rule) -> Self {
        self.removed |= 1 << rule as u32;
        self
    }

    /// Replaces the 4096 positions that a record may lag behind.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn with_window(mut self, positions: u64) -> Self {
        self.window = Some(positions.max(1));
        self
    }

    /// How many positions a record may lag behind.
    #[cfg(feature = "simulation")]
    pub(crate) fn window(self) -> u64 {
        self.window.unwrap_or(crate::format::window::WINDOW_POSITIONS)
    }

    /// How many positions a record may lag behind.
    #[cfg(not(feature = "simulation"))]
    #[expect(clippy::unused_self, reason = "the same calls in both builds")]
    pub(crate) const fn window(self) -> u64 {
        crate::format::window::WINDOW_POSITIONS
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn hold(self, rule: Rule) -> bool {
        self.removed & 1 << rule as u32 == 0
    }

    #[cfg(not(feature = "simulation"))]
    #[expect(clippy::unused_self, reason = "the same calls in both builds")]
    pub(crate) const fn hold(self, _: Rule) -> bool {
        true
    }
}
