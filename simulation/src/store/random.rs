//! The only source of chance: a sequence of numbers that a seed determines.

use std::ops::RangeInclusive;
use std::time::Duration;

/// `SplitMix64` (Steele, Lea and Flood 2014): not for secrets, the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The output function of `SplitMix64`: numbers that follow each other give numbers that have
/// nothing in common.
pub(crate) fn mix(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// How often something happens, out of 1000 times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u16);

impl Rate {
    /// Does not happen.
    pub const NEVER: Self = Self(0);
    /// Happens each time.
    pub const ALWAYS: Self = Self(1000);

    /// Returns a rate of `count` out of 1000; more than 1000 is each time.
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

    /// A number below `bound`; 0 when `bound` is 0. The bias of the remainder is far below what a
    /// fault rate notices.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let number = self.next();
        if bound == 0 { 0 } else { number % bound }
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Whether something of this rate happens now. A rate of zero draws nothing, so that faults
    /// which a run does not have leave its other choices as they are.
    pub(crate) fn happens(&mut self, rate: Rate) -> bool {
        rate.0 > 0 && self.below(1000) < u64::from(rate.0)
    }

    /// A duration in whole milliseconds, which is how finely tokio's timers tell time.
    pub(crate) fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start()).as_millis() as u64;
        *range.start() + Duration::from_millis(self.below(span + 1))
    }
}
