//! The only source of randomness: a sequence of numbers determined by a seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// `SplitMix64` (Steele, Lea and Flood 2014): not for secrets, the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The output function of `SplitMix64`: consecutive inputs give uncorrelated outputs.
pub(crate) fn mix(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A rate in permille.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u16);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Every time.
    pub const ALWAYS: Self = Self(1000);

    /// Returns a rate of `count` in 1000. A count above 1000 means every time.
    #[must_use]
    pub const fn per_mille(count: u16) -> Self {
        Self(if count > 1000 { 1000 } else { count })
    }
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0. The bias of the remainder is
    /// negligible.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let number = self.next();
        if bound == 0 { 0 } else { number % bound }
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Returns whether an event of this rate happens now. A rate of zero draws no number, so that
    /// disabled faults do not affect the other choices of a run.
    pub(crate) fn happens(&mut self, rate: Rate) -> bool {
        rate.0 > 0 && self.below(1000) < u64::from(rate.0)
    }

    /// Returns a duration in whole milliseconds, the resolution of the timers of tokio.
    pub(crate) fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start()).as_millis() as u64;
        *range.start() + Duration::from_millis(self.below(span + 1))
    }
}
