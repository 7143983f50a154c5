//! What tells a changed file from an unchanged one without reading it.

use std::fmt;
use std::fs::Metadata;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cim_ipld::index::Timestamp;

/// The longest time within which a file can change twice and keep the same time: the resolution of
/// file systems that store whole seconds (two seconds on FAT), and that of the clock of the others.
const COARSE_TICK: Duration = Duration::from_secs(2);
const FINE_TICK: Duration = Duration::from_millis(50);

/// The size and the modification time of a file.
///
/// A file that was modified within a tick of being read may change once more without another stamp.
/// Its stamp is unsettled, and such a file is read again in any case, as is one from the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified_ns: i128,
    size: u64,
    is_settled: bool,
}

impl Stamp {
    /// Returns the stamp of a file that is about to be read at `now`.
    pub(crate) fn of(metadata: &Metadata, now: SystemTime) -> Self {
        let modified = metadata.modified().ok();
        let is_settled = metadata.is_file() && modified.is_some_and(|modified| is_settled(modified, now));
        let modified_ns = modified.map_or(0, nanoseconds);
        Self { modified_ns, size: metadata.len(), is_settled }
    }

    /// Returns this stamp, unsettled if the file has changed since.
    pub(crate) fn unless_changed(self, metadata: &Metadata) -> Self {
        let same =
            metadata.len() == self.size && metadata.modified().is_ok_and(|at| nanoseconds(at) == self.modified_ns);
        Self { is_settled: self.is_settled && same, ..self }
    }

    /// Returns whether a file that had this stamp when it was read and now has the stamp `now` need
    /// not be read again.
    pub(crate) fn proves_unchanged(&self, now: &Self) -> bool {
        self.is_settled && self.size == now.size && self.modified_ns == now.modified_ns
    }

    pub(super) fn modified(&self) -> Timestamp {
        Timestamp(i64::try_from(self.modified_ns.div_euclid(1_000_000)).unwrap_or_default())
    }
}

fn is_settled(modified: SystemTime, now: SystemTime) -> bool {
    let is_coarse = nanoseconds(modified).rem_euclid(1_000_000_000) == 0;
    let tick = if is_coarse { COARSE_TICK } else { FINE_TICK };
    now.duration_since(modified).is_ok_and(|age| age > tick)
}

fn nanoseconds(time: SystemTime) -> i128 {
    // A `SystemTime` has 64 bits of seconds, so its nanoseconds fit.
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// The time in nanoseconds, `?` if the stamp is unsettled, and the size.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = if self.is_settled { "" } else { "?" };
        write!(f, "{}{doubt} {}", self.modified_ns, self.size)
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (modified, size) = text.split_once(' ').ok_or(())?;
        let settled = modified.strip_suffix('?');
        Ok(Self {
            modified_ns: settled.unwrap_or(modified).parse().map_err(drop)?,
            size: size.parse().map_err(drop)?,
            is_settled: settled.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_within_a_tick_of_the_reading_proves_nothing() {
        let at = |seconds, nanoseconds| UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        for (modified, now, expected) in [
            (at(100, 1), at(101, 0), true),
            (at(100, 1), at(100, 20_000_000), false),
            (at(100, 0), at(101, 0), false),
            (at(100, 0), at(103, 0), true),
            (at(100, 1), at(99, 0), false),
            (at(100, 1), at(0, 0), false),
        ] {
            assert_eq!(is_settled(modified, now), expected, "{modified:?} {now:?}");
        }
    }

    #[test]
    fn stamps_are_read_as_they_were_written() {
        for (modified_ns, is_settled) in [(1_700_000_000_123_456_789, true), (-1, false)] {
            let stamp = Stamp { modified_ns, size: 7, is_settled };
            assert_eq!(stamp.to_string().parse(), Ok(stamp));
            assert_eq!(stamp.proves_unchanged(&stamp), is_settled);
            for other in [Stamp { size: 8, ..stamp }, Stamp { modified_ns: 0, ..stamp }] {
                assert!(!stamp.proves_unchanged(&other));
            }
        }
        assert_eq!("1?".parse::<Stamp>(), Err(()));
    }
}
