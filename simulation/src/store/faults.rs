//! The kinds and rates of faults.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::random::Rate;

/// The faults of a store.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The delay of a request or response. Each is independent, so operations are reordered.
    pub delay: RangeInclusive<Duration>,
    /// How long a caller waits for an acknowledgement before it gets `OutcomeUnknown`.
    pub time_out: Duration,
    /// Operations that are not sent: `Unavailable`.
    pub unavailable: Rate,
    /// Writes that take effect and whose acknowledgement is lost: `OutcomeUnknown`.
    pub lost_acknowledgement: Rate,
    /// Writes that are lost: `OutcomeUnknown`.
    pub lost_write: Rate,
    /// Writes that take effect after their caller got `OutcomeUnknown`, up to `late` afterwards.
    /// Unless this rate is zero, half of the writes during which a client crashes are late too.
    pub late_landing: Rate,
    /// Writes that are sent twice, up to `late` apart. The second one takes effect if its
    /// precondition still holds.
    pub double_landing: Rate,
    /// The maximum delay of late and double writes.
    pub late: Duration,
    /// Removals of several keys that stop half-way: `OutcomeUnknown`.
    pub partial_delete: Rate,
    /// Watch batches that arrive late.
    pub lagging_watch: Rate,
    /// The delay of a lagging watch.
    pub lag: RangeInclusive<Duration>,
    /// Watches and scans that end with `Unavailable`.
    pub broken_stream: Rate,
    /// Operations before which the client is paused.
    pub pause: Rate,
    /// The duration of a pause.
    pub paused_for: RangeInclusive<Duration>,
    /// The additional lies of a dishonest store.
    pub lies: Lies,
}

/// The lies of a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lies {
    /// A read returns an older value of its key.
    pub older: Rate,
    /// A read, or an entry of a watch or scan, has the value of another key.
    pub substitute: Rate,
    /// A read finds nothing; an entry of a watch or scan is omitted.
    pub withhold: Rate,
    /// A watch or scan delivers an earlier value again, under its key.
    pub replay: Rate,
    /// The same, under another key.
    pub misplaced_replay: Rate,
    /// A watch or scan delivers an entry of random bytes.
    pub junk: Rate,
    /// A write is acknowledged with an arbitrary revision and dropped.
    pub dropped_write: Rate,
    /// A write takes effect and is acknowledged with another revision.
    pub wrong_revision: Rate,
    /// A watch or scan reports that it has caught up before it has delivered all writes that were
    /// acknowledged when it began.
    pub early_caught_up: Rate,
}

const fn milliseconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

impl Faults {
    /// Returns no faults: operations succeed immediately.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            delay: milliseconds(0, 0),
            time_out: Duration::from_secs(5),
            unavailable: Rate::NEVER,
            lost_acknowledgement: Rate::NEVER,
            lost_write: Rate::NEVER,
            late_landing: Rate::NEVER,
            double_landing: Rate::NEVER,
            late: Duration::from_secs(60),
            partial_delete: Rate::NEVER,
            lagging_watch: Rate::NEVER,
            lag: milliseconds(0, 0),
            broken_stream: Rate::NEVER,
            pause: Rate::NEVER,
            paused_for: milliseconds(0, 0),
            lies: Lies::NONE,
        }
    }

    /// Returns the faults of an honest store behind an unreliable network.
    #[must_use]
    pub const fn honest() -> Self {
        Self {
            delay: milliseconds(0, 40),
            unavailable: Rate::per_mille(10),
            lost_acknowledgement: Rate::per_mille(20),
            lost_write: Rate::per_mille(10),
            late_landing: Rate::per_mille(10),
            double_landing: Rate::per_mille(20),
            partial_delete: Rate::per_mille(50),
            lagging_watch: Rate::per_mille(100),
            lag: milliseconds(50, 3000),
            broken_stream: Rate::per_mille(5),
            pause: Rate::per_mille(5),
            paused_for: milliseconds(100, 90_000),
            ..Self::none()
        }
    }

    /// Returns the faults of a lying store behind a mostly reliable network.
    #[must_use]
    pub const fn adversarial() -> Self {
        Self {
            delay: milliseconds(0, 20),
            lost_acknowledgement: Rate::per_mille(5),
            late_landing: Rate::per_mille(5),
            double_landing: Rate::per_mille(10),
            lagging_watch: Rate::per_mille(50),
            lag: milliseconds(10, 500),
            lies: Lies {
                older: Rate::per_mille(10),
                substitute: Rate::per_mille(5),
                withhold: Rate::per_mille(5),
                replay: Rate::per_mille(30),
                misplaced_replay: Rate::per_mille(10),
                junk: Rate::per_mille(10),
                dropped_write: Rate::per_mille(10),
                wrong_revision: Rate::per_mille(20),
                early_caught_up: Rate::per_mille(50),
            },
            ..Self::none()
        }
    }
}

impl Lies {
    /// Returns no lies.
    pub const NONE: Self = Self {
        older: Rate::NEVER,
        substitute: Rate::NEVER,
        withhold: Rate::NEVER,
        replay: Rate::NEVER,
        misplaced_replay: Rate::NEVER,
        junk: Rate::NEVER,
        dropped_write: Rate::NEVER,
        wrong_revision: Rate::NEVER,
        early_caught_up: Rate::NEVER,
    };
}
