//! BM25, field lengths in a byte, and bounds that hold whatever the statistics become.
//!
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the inverse document
//! frequency that Lucene uses, which is never negative.

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// The lengths that the 256 codes stand for: exact up to 40, then with four significant bits.
///
/// The same steps as Lucene's `SmallFloat.byte4ToInt`.
const LENGTHS: [u32; 256] = lengths();

/// Returns the code of the largest representable length that is not above `length`.
pub(crate) fn norm_of_length(length: u32) -> u8 {
    (LENGTHS.partition_point(|known| *known <= length) - 1) as u8
}

/// Returns the length that a code stands for.
pub(crate) fn length_of_norm(norm: u8) -> u32 {
    LENGTHS[usize::from(norm)]
}

/// What a term needs to score a document: its weight and, per length code, the saturation constant.
#[derive(Debug, Clone)]
pub(crate) struct TermScorer {
    weight: f32,
    saturation: Box<[f32; 256]>,
}

impl TermScorer {
    /// Prepares the scores of a term that `document_frequency` of `documents` documents have.
    pub(crate) fn new(document_frequency: u64, documents: u64, average_length: f32, boost: f32) -> Self {
        let (df, n) = (document_frequency as f32, documents as f32);
        let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
        let average = if average_length > 0.0 { average_length } else { 1.0 };
        let saturation = std::array::from_fn(|norm| K1 * (1.0 - B + B * LENGTHS[norm] as f32 / average));
        Self { weight: boost * idf * (1.0 + K1), saturation: Box::new(saturation) }
    }

    /// Prepares the scores of a phrase of these terms: rare is what all of them are together.
    pub(crate) fn sum(terms: &[Self]) -> Self {
        let weight = terms.iter().map(|term| term.weight).sum();
        let saturation = terms.first().map_or_else(|| Box::new([0.0; 256]), |term| term.saturation.clone());
        Self { weight, saturation }
    }

    /// Returns the score of one document.
    #[inline]
    pub(crate) fn score(&self, frequency: u32, norm: u8) -> f32 {
        let frequency = frequency as f32;
        self.weight * (frequency / (frequency + self.saturation[usize::from(norm)]))
    }

    /// Returns a score that no document within the bound exceeds.
    #[inline]
    pub(crate) fn upper(&self, bound: Bound) -> f32 {
        if bound.frequency == u8::MAX { self.weight } else { self.score(u32::from(bound.frequency), bound.norm) }
    }

    /// Returns a score that no document exceeds.
    pub(crate) fn ceiling(&self) -> f32 {
        self.weight
    }
}

/// A (frequency, length) pair that no posting of a block outscores, whatever the average length.
///
/// A score grows with `frequency / (a + b * length)` for some positive `a` and `b`. The pair takes the largest frequency
/// `F` and the length `F * min(length / frequency)`: then both `a / F` and `b * length / F` are at most those of any
/// posting. A frequency of 255 stands for any frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) frequency: u8,
    pub(crate) norm: u8,
}

/// Finds the bound of the postings that are added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoundBuilder {
    frequency: u32,
    /// The smallest length per occurrence, as a fraction.
    length: u64,
    per: u64,
}

impl Default for BoundBuilder {
    fn default() -> Self {
        Self { frequency: 0, length: u64::from(u32::MAX), per: 1 }
    }
}

impl BoundBuilder {
    #[inline]
    pub(crate) fn add(&mut self, frequency: u32, norm: u8) {
        self.frequency = self.frequency.max(frequency);
        let (length, per) = (u64::from(length_of_norm(norm)), u64::from(frequency));
        if length * self.per < self.length * per {
            (self.length, self.per) = (length, per);
        }
    }

    pub(crate) fn finish(self) -> Bound {
        if self.frequency >= u32::from(u8::MAX) {
            return Bound { frequency: u8::MAX, norm: 0 };
        }
        let length = (u64::from(self.frequency) * self.length / self.per).min(u64::from(u32::MAX));
        Bound { frequency: self.frequency as u8, norm: norm_of_length(length as u32) }
    }
}

impl Bound {
    pub(crate) fn to_word(self) -> u32 {
        u32::from(self.frequency) << 8 | u32::from(self.norm)
    }

    pub(crate) fn from_word(word: u32) -> Self {
        Self { frequency: (word >> 8) as u8, norm: word as u8 }
    }

    /// Says whether the bound covers a posting; see the type for the condition.
    #[cfg(test)]
    pub(crate) fn covers(self, frequency: u32, norm: u8) -> bool {
        if self.frequency == u8::MAX {
            return true;
        }
        let own = u64::from(self.frequency);
        frequency <= u32::from(self.frequency)
            && u64::from(length_of_norm(self.norm)) * u64::from(frequency) <= u64::from(length_of_norm(norm)) * own
    }
}

const fn lengths() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if code < 24 {
            code as u32
        } else {
            let float = code as u64 - 24;
            let bits = float & 7;
            let shift = float >> 3;
            let value = if shift == 0 { bits } else { (bits | 8) << (shift - 1) };
            (value + 24) as u32
        };
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn length_codes_have_the_known_steps() {
        assert_eq!(&LENGTHS[38..46], &[38, 39, 40, 42, 44, 46, 48, 50]);
        assert_eq!(&LENGTHS[47..52], &[54, 56, 60, 64, 68]);
        assert_eq!(LENGTHS[255], 2_013_265_944);
        assert!(LENGTHS.windows(2).all(|pair| pair[0] < pair[1]));
        for length in [0, 1, 40, 41, 42, 1000, u32::MAX] {
            let norm = norm_of_length(length);
            assert!(length_of_norm(norm) <= length);
            assert!(norm == 255 || length_of_norm(norm + 1) > length);
        }
    }

    #[test]
    fn scores_equal_the_formula_computed_by_hand() {
        // 10 documents, 2 have the term, average length 20; frequency 3 in a document of 15 words.
        let scorer = TermScorer::new(2, 10, 20.0, 1.0);
        let idf = (1.0f64 + 8.5 / 2.5).ln();
        let expected = idf * 3.0 * 2.2 / (3.0 + 1.2 * (0.25 + 0.75 * 15.0 / 20.0));
        assert!((f64::from(scorer.score(3, norm_of_length(15))) - expected).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn no_posting_outscores_its_bound_at_any_average_length(
            postings in proptest::collection::vec((1u32..400, 0u32..100_000), 1..128),
            average in 0.01f32..1e6,
        ) {
            let mut builder = BoundBuilder::default();
            postings.iter().for_each(|(frequency, length)| builder.add(*frequency, norm_of_length(*length)));
            let bound = builder.finish();
            let scorer = TermScorer::new(5, 100, average, 1.0);
            for (frequency, length) in postings {
                let norm = norm_of_length(length);
                prop_assert!(bound.covers(frequency, norm));
                prop_assert!(scorer.score(frequency, norm) <= scorer.upper(bound) * (1.0 + 1e-6));
            }
        }
    }
}
