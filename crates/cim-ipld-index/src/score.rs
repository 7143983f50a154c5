//! BM25 scores, quantized field lengths, and score bounds that hold for any collection statistics.
//!
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with
//! Lucene's inverse document frequency, which is never negative.

use std::rc::Rc;

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// The lengths of the 256 codes: exact up to 40, then with four significant bits.
///
/// The same steps as Lucene's `SmallFloat.byte4ToInt`.
const LENGTHS: [u32; 256] = lengths();

/// The same lengths, multiplied by `B`.
const SCALED_LENGTHS: [f32; 256] = {
    let mut scaled = [0.0; 256];
    let mut code = 0;
    while code < 256 {
        scaled[code] = B * LENGTHS[code] as f32;
        code += 1;
    }
    scaled
};

/// Returns the code of the largest representable length that does not exceed `length`.
pub(crate) fn norm_of_length(length: u32) -> u8 {
    (LENGTHS.partition_point(|known| *known <= length) - 1) as u8
}

/// Returns the length of a code.
pub(crate) fn length_of_norm(norm: u8) -> u32 {
    LENGTHS[usize::from(norm)]
}

/// A score within a search, as an integer multiple of a unit, so that sums do not depend on the
/// order of addition.
///
/// The unit is a power of two, chosen so that all parts of a query together stay below 2^23. An
/// `f32` is exact up to 2^24, so sums and the scores they represent are exact.
pub(crate) type Points = u32;

/// The limit of the points of all parts of a query together: 2^23.
const MAX_POINTS: f32 = 8_388_608.0;

/// The value of a point in one search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    points_per_score: f32,
}

impl Scale {
    /// Creates the scale of a query whose parts score at most `ceiling` together.
    pub(crate) fn for_ceiling(ceiling: f32) -> Self {
        if !(ceiling > 0.0 && ceiling.is_finite()) {
            return Self { points_per_score: 1.0 };
        }
        // Rounding may increase the points of each of a query's many parts, so half of `MAX_POINTS`
        // is kept free for it.
        let exponent = (MAX_POINTS / 2.0 / ceiling).log2().floor().clamp(-100.0, 100.0);
        Self { points_per_score: exponent.exp2() }
    }

    /// Converts points to a score.
    pub(crate) fn score(self, points: Points) -> f32 {
        points as f32 / self.points_per_score
    }
}

/// The BM25 saturation constant of every length code in a field.
#[derive(Debug, Clone)]
pub(crate) struct Saturation(Rc<[f32; 256]>);

impl Saturation {
    /// Computes the constants of a field with this average length.
    pub(crate) fn new(average_length: f32) -> Self {
        let average = if average_length > 0.0 { average_length } else { 1.0 };
        Self(Rc::new(SCALED_LENGTHS.map(|scaled| K1 * (1.0 - B + scaled / average))))
    }
}

/// Returns the maximum score of a term that occurs in `document_frequency` of `documents`
/// documents.
pub(crate) fn term_weight(document_frequency: u64, documents: u64, boost: f32) -> f32 {
    let (df, n) = (document_frequency as f32, documents as f32);
    let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
    (boost * idf * (1.0 + K1)).clamp(0.0, f32::MAX)
}

/// Scores the postings of a term, from its weight in points and the saturation constant of each
/// length code.
#[derive(Debug, Clone)]
pub(crate) struct TermScorer {
    weight: f32,
    saturation: Saturation,
}

impl TermScorer {
    /// Creates the scorer of a term with this [`term_weight`]. The weight of a phrase is the sum of
    /// its terms' weights.
    pub(crate) fn new(weight: f32, saturation: Saturation, scale: Scale) -> Self {
        Self { weight: weight * scale.points_per_score, saturation }
    }

    /// Returns the points of one document.
    #[inline]
    pub(crate) fn points(&self, frequency: u32, norm: u8) -> Points {
        let frequency = frequency as f32;
        round(self.weight * (frequency / (frequency + self.saturation.0[usize::from(norm)])))
    }

    /// Computes the points of many documents, from their frequencies and the
    /// [`saturation`](Self::saturation) of each.
    #[inline]
    pub(crate) fn put_points(&self, frequencies: &[u32], saturations: &[f32], out: &mut [Points]) {
        for ((frequency, saturation), points) in frequencies.iter().zip(saturations).zip(out) {
            // Signed integers convert to floats four at a time. No valid frequency has the sign
            // bit.
            let frequency = (frequency & i32::MAX as u32) as i32 as f32;
            *points = round(self.weight * (frequency / (frequency + saturation)));
        }
    }

    /// Returns the saturation constant of every length code.
    #[inline]
    pub(crate) fn saturation(&self) -> &[f32; 256] {
        &self.saturation.0
    }

    /// Returns an upper bound of the points of the postings within a bound.
    #[inline]
    pub(crate) fn upper(&self, bound: Bound) -> Points {
        let [a, b] = bound.pairs.map(|pair| self.upper_of(pair));
        a.max(b)
    }

    #[inline]
    fn upper_of(&self, pair: Pair) -> Points {
        // Rounding may lift a smaller score above a larger one by one point.
        if pair.frequency == u8::MAX { self.ceiling() } else { self.points(u32::from(pair.frequency), pair.norm) + 1 }
    }

    /// Returns an upper bound of the points of any document.
    pub(crate) fn ceiling(&self) -> Points {
        round(self.weight) + 1
    }
}

/// Rounds a number from 0 to 2^23 by adding 2^23, above which all floats are integers.
#[inline]
fn round(points: f32) -> Points {
    (points + MAX_POINTS).to_bits() - MAX_POINTS.to_bits()
}

/// A (frequency, length) pair whose score is an upper bound of the postings it stands for, whatever
/// the average length.
///
/// A score increases with `frequency / (a + b * length)` for some positive `a` and `b`. The pair
/// has the largest frequency `F` and the length `F * min(length / frequency)`, so that both `a / F`
/// and `b * length / F` are at most those of any posting. A frequency of 255 stands for any
/// frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pair {
    pub(crate) frequency: u8,
    pub(crate) norm: u8,
}

/// Two pairs that bound all postings of a block: one for the small frequencies and one for the
/// large ones. A single pair would have to bound both the shortest and the most frequent posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bound {
    pub(crate) pairs: [Pair; 2],
}

/// Computes the bound of the postings that are added.
#[derive(Debug, Clone)]
pub(crate) struct BoundBuilder {
    /// The minimum length code of the postings of each frequency; the last entry is for all larger
    /// ones.
    shortest: [u8; DISTINCT],
    /// The largest frequency.
    most: u32,
}

/// The number of frequency classes from which the pairs of a bound are computed: one for each lower
/// frequency, and one for all frequencies from this number on.
const DISTINCT: usize = 16;
const NONE: u8 = u8::MAX;

fn class_of(frequency: u32) -> usize {
    (frequency as usize).clamp(1, DISTINCT) - 1
}

impl Default for BoundBuilder {
    fn default() -> Self {
        Self { shortest: [NONE; DISTINCT], most: 0 }
    }
}

impl BoundBuilder {
    #[inline]
    pub(crate) fn add(&mut self, frequency: u32, norm: u8) {
        let class = class_of(frequency);
        self.shortest[class] = self.shortest[class].min(norm);
        self.most = self.most.max(frequency);
    }

    pub(crate) fn finish(&self) -> Bound {
        // A posting with both a lower frequency and a greater length than another posting is
        // dominated by that posting.
        let mut front = [(0u32, NONE); DISTINCT];
        let mut len = 0;
        let mut shortest = NONE;
        for class in (0..=class_of(self.most)).rev() {
            let norm = self.shortest[class];
            // `shortest` starts at `NONE`, which is also the code of the maximum length. If the
            // postings of the largest frequency have that code, `norm < shortest` would skip them;
            // `len == 0` ensures that they are taken.
            if norm < shortest || len == 0 {
                // The last class holds many frequencies; using the largest of them bounds them all.
                let frequency = if class + 1 == DISTINCT { self.most } else { class as u32 + 1 };
                front[len] = (frequency, norm);
                len += 1;
                shortest = norm;
            }
        }
        let front = &front[..len];
        let mut best = Bound { pairs: [pair_of(front), Pair::default()] };
        let mut least = f32::MAX;
        for split in 1..len {
            let pairs = [pair_of(&front[split..]), pair_of(&front[..split])];
            let worst = pairs.map(nominal).into_iter().fold(0.0, f32::max);
            if worst < least {
                (least, best) = (worst, Bound { pairs });
            }
        }
        best
    }
}

/// Returns the pair for postings with these (frequency, length code), by decreasing frequency.
fn pair_of(front: &[(u32, u8)]) -> Pair {
    let most = front.first().map_or(0, |(frequency, _)| *frequency);
    let per = |&(frequency, norm): &(u32, u8)| (u64::from(length_of_norm(norm)), u64::from(frequency));
    let least = front.iter().map(per).reduce(|a, b| if a.0 * b.1 <= b.0 * a.1 { a } else { b });
    match least {
        None => Pair::default(),
        Some(_) if most >= u32::from(u8::MAX) => Pair { frequency: u8::MAX, norm: 0 },
        Some((length, frequency)) => {
            let length = (u64::from(most) * length / frequency).min(u64::from(u32::MAX));
            Pair { frequency: most as u8, norm: norm_of_length(length as u32) }
        }
    }
}

/// Returns a score for typical lengths, by which the split into two pairs is chosen.
fn nominal(pair: Pair) -> f32 {
    const USUAL_LENGTH: f32 = 64.0;
    let frequency = if pair.frequency == u8::MAX { f32::MAX } else { f32::from(pair.frequency) };
    frequency / (frequency + K1 * (1.0 - B + B * length_of_norm(pair.norm) as f32 / USUAL_LENGTH))
}

impl Bound {
    pub(crate) fn to_bytes(self) -> [u8; 4] {
        let [a, b] = self.pairs;
        [a.frequency, a.norm, b.frequency, b.norm]
    }

    pub(crate) fn from_bytes([a, b, c, d]: [u8; 4]) -> Self {
        Self { pairs: [Pair { frequency: a, norm: b }, Pair { frequency: c, norm: d }] }
    }

    /// Returns whether the bound covers a posting; see [`Pair`] for the condition.
    #[cfg(test)]
    pub(crate) fn covers(self, frequency: u32, norm: u8) -> bool {
        self.pairs.iter().any(|pair| {
            let own = u64::from(pair.frequency);
            pair.frequency == u8::MAX
                || frequency <= u32::from(pair.frequency)
                    && u64::from(length_of_norm(pair.norm)) * u64::from(frequency)
                        <= u64::from(length_of_norm(norm)) * own
        })
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
        // 10 documents, 2 of which contain the term, average length 20; frequency 3 in a document
        // of 15 words.
        let weight = term_weight(2, 10, 1.0);
        let scale = Scale::for_ceiling(weight);
        let scorer = TermScorer::new(weight, Saturation::new(20.0), scale);
        let idf = (1.0f64 + 8.5 / 2.5).ln();
        let expected = idf * 3.0 * 2.2 / (3.0 + 1.2 * (0.25 + 0.75 * 15.0 / 20.0));
        let score = scale.score(scorer.points(3, norm_of_length(15)));
        assert!((f64::from(score) - expected).abs() < 1e-6, "{score} {expected}");
    }

    #[test]
    fn points_stand_for_scores_exactly_and_their_sums_have_room() {
        for ceiling in [1e-9, 0.1, 1.0, 7.3, 110.0, 1e6, 1e12] {
            let scale = Scale::for_ceiling(ceiling);
            let points = round(ceiling * scale.points_per_score);
            assert!(points > 1 << 20 && points <= 1 << 22, "{ceiling}: {points}");
            assert_ne!(scale.score(points * 3), scale.score(points * 3 + 1));
            assert!((scale.score(points) / ceiling - 1.0).abs() < 1e-6);
        }
        for nothing in [0.0, f32::NAN, f32::INFINITY, -1.0] {
            assert_eq!(Scale::for_ceiling(nothing).score(7), 7.0);
        }
    }

    #[test]
    fn two_pairs_are_exact_where_one_would_be_far_off() {
        let mut builder = BoundBuilder::default();
        [(1, 8), (3, 60)].into_iter().for_each(|(frequency, length)| builder.add(frequency, norm_of_length(length)));
        let pairs = [Pair { frequency: 1, norm: norm_of_length(8) }, Pair { frequency: 3, norm: norm_of_length(60) }];
        assert_eq!(builder.finish(), Bound { pairs });
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
            prop_assert_eq!(Bound::from_bytes(bound.to_bytes()), bound);
            let weight = term_weight(5, 100, 1.0);
            let scorer = TermScorer::new(weight, Saturation::new(average), Scale::for_ceiling(weight));
            for (frequency, length) in postings {
                let norm = norm_of_length(length);
                prop_assert!(bound.covers(frequency, norm));
                prop_assert!(scorer.points(frequency, norm) <= scorer.upper(bound));
            }
        }
    }
}
