//! Words within a small edit distance of a given word.
//!
//! This is the automaton of Schulz and Mihov, "Fast string correction with Levenshtein automata"
//! (2002), with bit-parallel states. After `n` characters, only the positions `n - limit` to
//! `n + limit` of the word are reachable with at most `limit` edits, so that a state is a few bits
//! for each number of edits, whatever the length of the word.

mod matcher;

pub(crate) use matcher::Matcher;

/// The maximum number of edits.
const MAX_LIMIT: u8 = 2;
/// Padding before and after the word. It equals no character.
const NONE: u32 = u32::MAX;

/// The automaton for one word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LevenshteinAutomaton {
    /// The characters of the word, padded with [`NONE`]: `limit` times before the word, and after
    /// it as often as a window at its end requires.
    padded: Vec<u32>,
    len: usize,
    limit: usize,
}

/// The state after some characters.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    /// The number of characters read.
    depth: usize,
    /// For each number of edits, the positions of the word that can be reached with it: bit `b` is
    /// position `depth + b - limit`.
    ///
    /// A position after the end of the word is only set if the end is set for the same number of
    /// edits, and leads only to further positions after the end, so it never changes a result.
    places: [u8; MAX_LIMIT as usize + 1],
}

impl LevenshteinAutomaton {
    /// Creates the automaton of words within `limit` edits, at most two.
    pub(crate) fn new(word: &str, limit: u8) -> Self {
        let limit = usize::from(limit.min(MAX_LIMIT));
        let mut padded = vec![NONE; limit];
        padded.extend(word.chars().map(u32::from));
        let len = padded.len() - limit;
        padded.resize(padded.len() + 2 * limit + 1, NONE);
        Self { padded, len, limit }
    }

    /// Returns the word.
    pub(crate) fn text(&self) -> String {
        self.padded[self.limit..self.limit + self.len].iter().filter_map(|c| char::from_u32(*c)).collect()
    }

    /// Returns the initial state.
    fn start(&self) -> State {
        let mut places = [0; MAX_LIMIT as usize + 1];
        for (edits, places) in places.iter_mut().enumerate().take(self.limit + 1) {
            *places = ((2 << edits) - 1) << self.limit;
        }
        State { depth: 0, places }
    }

    /// Returns the state after one more character. `state` must be alive.
    #[inline]
    fn step(&self, state: State, c: char) -> State {
        let equal = self.window(state).iter().enumerate().fold(0, |equal, (bit, own)| {
            // Collects bits instead of branching on each character.
            equal | u8::from(*own == u32::from(c)) << bit
        });
        let mut places = [state.places[0] & equal; MAX_LIMIT as usize + 1];
        for edits in 1..=self.limit {
            let before = state.places[edits - 1];
            // In this order: a match, a substitution, an insertion, a deletion.
            let kept = state.places[edits] & equal;
            places[edits] = kept | before | before >> 1 | places[edits - 1] << 1;
        }
        State { depth: state.depth + 1, places }
    }

    /// Returns the characters of the word at the positions of a live state.
    #[inline]
    fn window(&self, state: State) -> &[u32] {
        &self.padded[state.depth..state.depth + 2 * self.limit + 1]
    }

    /// Returns whether more characters can lead to a match.
    #[inline]
    fn is_alive(&self, state: State) -> bool {
        state.places[self.limit] != 0
    }

    /// Returns whether the state stays alive after any character.
    #[inline]
    fn is_free(&self, state: State) -> bool {
        self.limit > 0 && state.places[self.limit - 1] != 0
    }

    #[inline]
    fn is_match(&self, state: State) -> bool {
        let end = (self.len + self.limit).wrapping_sub(state.depth);
        end <= 2 * self.limit && state.places[self.limit] >> end & 1 == 1
    }

    /// Returns the smallest character above `above` after which a live state stays alive.
    fn next_char(&self, state: State, above: Option<char>) -> Option<char> {
        if self.is_free(state) {
            return match above {
                None => Some('\0'),
                Some(above) => (above..=char::MAX).nth(1),
            };
        }
        let reached = state.places[self.limit];
        let own = self.window(state).iter().enumerate().filter(|(bit, _)| reached >> bit & 1 == 1);
        let own = own.filter_map(|(_, own)| char::from_u32(*own));
        own.filter(|own| above.is_none_or(|above| *own > above)).min()
    }

    /// Appends the smallest string that completes a live state to a match.
    fn complete(&self, mut state: State, out: &mut Vec<u8>) {
        while !self.is_match(state) {
            let reached = state.places[self.limit];
            if reached.is_power_of_two() && !self.is_free(state) {
                // Only the rest of the word remains.
                let place = state.depth + reached.trailing_zeros() as usize;
                let rest = &self.padded[place..self.limit + self.len];
                rest.iter().filter_map(|own| char::from_u32(*own)).for_each(|c| put_char(out, c));
                return;
            }
            let Some(c) = self.next_char(state, None) else { return };
            put_char(out, c);
            state = self.step(state, c);
        }
    }
}

#[inline]
fn put_char(out: &mut Vec<u8>, c: char) {
    match c.is_ascii() {
        true => out.push(c as u8),
        false => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound::{Excluded, Unbounded};

    use super::*;
    use crate::automaton::{AcceptStatus, Automaton};
    use proptest::prelude::*;

    /// The edit distance by its definition.
    fn distance(a: &[char], b: &[char]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a @ ..], [y, b @ ..]) if x == y => distance(a, b),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => {
                1 + distance(a_rest, b_rest).min(distance(a, b_rest)).min(distance(a_rest, b))
            }
        }
    }

    fn is_near(a: &str, b: &str, limit: u8) -> bool {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        distance(&chars(a), &chars(b)) <= usize::from(limit)
    }

    #[test]
    fn distances_count_single_characters() {
        let cases = [
            ("kitten", "kitten", 0, true),
            ("kitten", "kittem", 0, false),
            ("kitten", "sitten", 1, true),
            ("kitten", "kittens", 1, true),
            ("kitten", "itten", 1, true),
            ("kitten", "sitting", 2, false),
            ("straße", "strasse", 2, true),
            ("é", "e", 1, true),
            ("漢字", "漢", 1, true),
            ("😀", "é", 1, true),
            ("", "ab", 2, true),
            ("", "abc", 2, false),
        ];
        for (a, b, limit, expected) in cases {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(LevenshteinAutomaton::new(a, limit).matcher().accepts(b), expected, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_long_word_is_no_different() {
        let word = "é".repeat(300);
        let fuzzy = LevenshteinAutomaton::new(&word, 2);
        for (other, expected) in [("é".repeat(298), true), ("é".repeat(297), false), ("é".repeat(302), true)] {
            assert_eq!(fuzzy.matcher().accepts(&other), expected, "{}", other.chars().count());
        }
    }

    #[test]
    fn keys_tell_the_next_one_that_can_be_near() {
        let fuzzy = LevenshteinAutomaton::new("whale", 1);
        let mut matcher = fuzzy.automaton(b"\x05".to_vec());
        let cases: [(&[u8], AcceptStatus, &[u8]); 12] = [
            (b"", AcceptStatus::Seek, b"\x05\0hale"),
            (b"\x04zz", AcceptStatus::Seek, b"\x05\0hale"),
            (b"\x05ab", AcceptStatus::Seek, b"\x05ahale"),
            (b"\x05ahz", AcceptStatus::Seek, b"\x05awhale"),
            (b"\x05b", AcceptStatus::Seek, b"\x05bhale"),
            (b"\x05hale", AcceptStatus::Accept, b""),
            (b"\x05whal", AcceptStatus::Accept, b""),
            (b"\x05wha", AcceptStatus::Reject, b""),
            (b"\x05whalebb\xff", AcceptStatus::Seek, b"\x05whalec"),
            (b"\x05wh\xff", AcceptStatus::Reject, b""),
            (b"\x05\xf4\x8f\xbf\xbfz", AcceptStatus::End, b""),
            (b"\x06", AcceptStatus::End, b""),
        ];
        for (key, status, target) in cases {
            assert_eq!(matcher.accept(key), status, "{key:?}");
            assert!(status != AcceptStatus::Seek || matcher.target() == target, "{key:?} to {:?}", matcher.target());
        }
    }

    /// Similar words, with characters of one to four bytes.
    const WORD: &str = "[abé漢😀]{0,6}";
    const OTHER: &str = "[abcéè漢😀]{0,7}";

    proptest! {
        #[test]
        fn a_matcher_agrees_with_the_definition(
            word in WORD,
            mut others in proptest::collection::vec(OTHER, 1..30),
            limit in 0u8..3,
            is_sorted in any::<bool>(),
        ) {
            if is_sorted {
                others.sort();
            }
            let fuzzy = LevenshteinAutomaton::new(&word, limit);
            let (mut matcher, mut automaton) = (fuzzy.matcher(), fuzzy.automaton(b"field".to_vec()));
            for other in &others {
                let expected = is_near(&word, other, limit);
                prop_assert_eq!(matcher.accepts(other), expected, "{} {}", word, other);
                let status = automaton.accept(format!("field{other}").as_bytes());
                prop_assert_eq!(status == AcceptStatus::Accept, expected, "{} {}", word, other);
            }
        }

        #[test]
        fn a_target_is_the_least_near_word_above_a_key(
            word in WORD,
            key in OTHER,
            others in proptest::collection::btree_set(OTHER, 1..200),
            limit in 0u8..3,
        ) {
            let fuzzy = LevenshteinAutomaton::new(&word, limit);
            let mut matcher = fuzzy.matcher();
            let status = matcher.accept(key.as_bytes());
            let target = std::str::from_utf8(matcher.target()).unwrap();
            let passed = match status {
                AcceptStatus::Accept | AcceptStatus::Reject => (Excluded(&key), Excluded(&key)),
                AcceptStatus::End => (Excluded(&key), Unbounded),
                AcceptStatus::Seek => {
                    prop_assert!(target > key.as_str() && is_near(&word, target, limit), "{} {} {}", word, key, target);
                    (Excluded(&key), Excluded(&target.to_owned()))
                }
            };
            if passed.1 != Excluded(&key) {
                let near = others.range::<String, _>(passed).find(|other| is_near(&word, other, limit));
                prop_assert_eq!(near, None, "passed over from {} by {}~{}", key, word, limit);
            }
        }

        #[test]
        fn a_beginning_tells_what_the_whole_key_tells(
            word in WORD,
            keys in proptest::collection::vec((OTHER, 0usize..12), 1..20),
            limit in 0u8..3,
        ) {
            let fuzzy = LevenshteinAutomaton::new(&word, limit);
            let (mut by_key, mut by_beginning) = (fuzzy.automaton(vec![7]), fuzzy.automaton(vec![7]));
            for (other, cut) in keys {
                let key = [&[7], other.as_bytes()].concat();
                let told = by_beginning.accept_prefix(&key[..cut.min(key.len())]);
                if let Some(told) = told {
                    prop_assert_eq!(told, by_key.accept(&key), "{} {}", word, other);
                    prop_assert_eq!(by_beginning.target(), by_key.target(), "{} {}", word, other);
                }
            }
        }
    }
}
