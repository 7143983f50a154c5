//! The rules of the protocol by name. A simulation removes them one at a time and must find the
//! resulting fault. In every other build, no rule can be removed.

#![cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, dead_code, reason = "only a simulation names rules from other crates")
)]

/// A rule of the protocol, as described in docs/protocol.md.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use cim_ipld_persistence::Rule;
///
/// assert!(Rule::ALL.contains(&Rule::Fence));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// An entry that cannot be decrypted or decoded is ignored.
    IgnoreJunk,
    /// A record whose epoch is older than that of the order is ignored.
    Epoch,
    /// A record that lags more than a window behind is ignored.
    Stale,
    /// A record is ignored unless its sequence number is higher than that of every accepted record
    /// of its writer.
    Duplicate,
    /// A record of a closed writer is ignored.
    Closed,
    /// A successor closes the writers recorded in its pin.
    Close,
    /// The history that a record's writer had applied must be a prefix of this order.
    RecordChain,
    /// A record must attest the current manifest or an ancestor of it.
    RecordManifest,
    /// A new manifest must descend from the known one.
    Ancestry,
    /// Either the order of a manifest must be a prefix of the order of this process, or the other
    /// way round.
    ManifestChain,
    /// A manifest is ignored unless its generation is higher than that of the known manifest.
    Generation,
    /// A manifest is ignored if it was sealed in an epoch older than that of the known manifest.
    ManifestEpoch,
    /// A write is acknowledged only when the follower has accepted exactly its bytes.
    ReadBack,
    /// After a gap in the revisions, the manifest is reread before the next entry is applied.
    GapRead,
    /// After catching up, the manifest is read once more before anything is published.
    CaughtUpRead,
    /// After a resync, nothing is published until the previously published position is reached.
    ReachFormer,
    /// The watermark of a fold is exactly the position at which its input was captured.
    ExactWatermark,
    /// Only records up to the previous watermark are trimmed.
    TrimDead,
    /// A restore first writes a barrier record, and takes effect at the position of that record.
    RestoreBarrier,
    /// A root older than the one named by the manifest is refused.
    RootFloor,
    /// A record is stored only while the root in the store is the one known to its writer.
    Fence,
    /// A store older than the pin is refused.
    Pin,
    /// A garbage collection publishes a manifest before it removes anything. What was stored for a
    /// manifest that was not published by then is stored again.
    CollectionFence,
    /// No manifest is published during the grace period that starts when the manifest entry is
    /// overwritten by something other than a published manifest.
    GracePeriod,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 24] = [
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
        Self::CollectionFence,
        Self::GracePeriod,
    ];
}

/// The set of rules in force: all of them, except in a simulation that removes some.
///
/// ```
/// # #[cfg(feature = "simulation")]
/// # fn main() {
/// use cim_ipld_persistence::{Rule, Rules};
///
/// let rules = Rules::without(Rule::Epoch).and_without(Rule::Stale);
/// # let _ = rules;
/// # }
/// # #[cfg(not(feature = "simulation"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// One bit for each rule.
    #[cfg(feature = "simulation")]
    removed: u32,
    #[cfg(feature = "simulation")]
    window: Option<u64>,
}

impl Rules {
    /// Returns all rules except `rule`.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn without(rule: Rule) -> Self {
        Self::default().and_without(rule)
    }

    /// Removes another rule. Where two rules prevent the same fault, both have to be removed to
    /// provoke it.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn and_without(mut self, rule: Rule) -> Self {
        self.removed |= 1 << rule as u32;
        self
    }

    /// Sets how many positions a record may lag behind, instead of 4096.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn with_window(mut self, positions: u64) -> Self {
        self.window = Some(positions.max(1));
        self
    }

    /// Returns how many positions a record may lag behind.
    #[cfg(feature = "simulation")]
    pub(crate) fn window(self) -> u64 {
        self.window.unwrap_or(crate::format::window::WINDOW_POSITIONS)
    }

    /// Returns how many positions a record may lag behind.
    #[cfg(not(feature = "simulation"))]
    #[expect(clippy::unused_self, reason = "the same calls in both builds")]
    pub(crate) const fn window(self) -> u64 {
        crate::format::window::WINDOW_POSITIONS
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn enforces(self, rule: Rule) -> bool {
        self.removed & 1 << rule as u32 == 0
    }

    #[cfg(not(feature = "simulation"))]
    #[expect(clippy::unused_self, reason = "the same calls in both builds")]
    pub(crate) const fn enforces(self, _: Rule) -> bool {
        true
    }
}
