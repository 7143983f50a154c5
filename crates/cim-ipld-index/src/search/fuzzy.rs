//! Words a few edits away from another: which are, and which pages of a dictionary can hold one.
//!
//! Wagner and Fischer, "The String-to-String Correction Problem" (1974), a row for each character of the word that is
//! looked at. A row whose least distance is above the limit has no way back, so the rest of the word is not looked at; and
//! words that share their beginning share its rows.

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fuzzy {
    word: Vec<char>,
    limit: u8,
}

/// Looks at one word after another; the more they share with the one before, the less there is to do.
pub(crate) struct Matcher<'a> {
    fuzzy: &'a Fuzzy,
    /// The characters that were looked at, and behind each, as behind none, the row.
    seen: Vec<char>,
    rows: Vec<Row>,
}

/// The distances of what was read to every beginning of the word.
type Row = Vec<u8>;

impl Fuzzy {
    pub(crate) fn new(word: &str, limit: u8) -> Self {
        Self { word: word.chars().collect(), limit }
    }

    pub(crate) fn matcher(&self) -> Matcher<'_> {
        Matcher { fuzzy: self, seen: Vec::new(), rows: vec![self.first_row()] }
    }

    /// Says whether any text from `low` up to, not including, `high` is near enough; `None` is no bound.
    pub(crate) fn reaches(&self, low: Option<&str>, high: Option<&str>) -> bool {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        self.reaches_from(&self.first_row(), low.map(chars).as_deref(), high.map(chars).as_deref())
    }

    /// As [`reaches`](Self::reaches), for what follows the characters that led to `row`.
    fn reaches_from(&self, row: &Row, low: Option<&[char]>, high: Option<&[char]>) -> bool {
        let (low, high) = (low.filter(|low| !low.is_empty()), high);
        if !self.is_alive(row) || high.is_some_and(<[char]>::is_empty) {
            return false;
        }
        if low.is_none() && (high.is_none() || self.is_match(row)) {
            return true;
        }
        let next = [low, high].map(|bound| bound.and_then(|bound| bound.first().copied()));
        let [first, last] = next;
        if let Some((first, low)) = first.zip(low)
            && last.is_none_or(|last| first <= last)
        {
            let high = high.filter(|_| Some(first) == last).map(|high| &high[1..]);
            if self.reaches_from(&self.step(row, Some(first)), Some(&low[1..]), high) {
                return true;
            }
        }
        if let Some((last, high)) = last.zip(high)
            && first != Some(last)
            && first.is_none_or(|first| first < last)
            && self.reaches_from(&self.step(row, Some(last)), None, Some(&high[1..]))
        {
            return true;
        }
        let is_between = |c: char| first.is_none_or(|first| c > first) && last.is_none_or(|last| c < last);
        let is_other = match (first, last) {
            (first, Some(last)) => first.map_or(0, |first| first as u32 + 1) < last as u32,
            (_, None) => true,
        };
        self.word.iter().filter(|c| is_between(**c)).any(|c| self.is_alive(&self.step(row, Some(*c))))
            || is_other && self.is_alive(&self.step(row, None))
    }

    fn first_row(&self) -> Row {
        (0..=self.word.len()).map(|distance| self.cap(distance)).collect()
    }

    /// Returns the row behind one more character; `None` is one that the word does not have.
    fn step(&self, row: &Row, c: Option<char>) -> Row {
        let mut next = Row::with_capacity(row.len());
        self.put_step(row, c, &mut next);
        next
    }

    fn put_step(&self, row: &[u8], c: Option<char>, next: &mut Row) {
        next.clear();
        let mut left = self.cap(usize::from(row[0]) + 1);
        next.push(left);
        for (index, own) in self.word.iter().enumerate() {
            let replaced = row[index] + u8::from(Some(*own) != c);
            left = replaced.min(row[index + 1] + 1).min(left + 1).min(self.limit + 1);
            next.push(left);
        }
    }

    /// All distances above the limit are the same, so that a row fits into bytes.
    fn cap(&self, distance: usize) -> u8 {
        distance.min(usize::from(self.limit) + 1) as u8
    }

    fn is_alive(&self, row: &Row) -> bool {
        row.iter().any(|distance| *distance <= self.limit)
    }

    fn is_match(&self, row: &Row) -> bool {
        row.last().is_some_and(|distance| *distance <= self.limit)
    }
}

impl Matcher<'_> {
    /// Says whether a word is near enough.
    pub(crate) fn accepts(&mut self, word: &str) -> bool {
        let mut chars = word.chars().peekable();
        let shared = self.seen.iter().take_while(|seen| chars.next_if_eq(seen).is_some()).count();
        self.seen.truncate(shared);
        for c in chars {
            if !self.fuzzy.is_alive(&self.rows[self.seen.len()]) {
                return false;
            }
            self.seen.push(c);
            if self.rows.len() == self.seen.len() {
                self.rows.push(Row::new());
            }
            let (before, after) = self.rows.split_at_mut(self.seen.len());
            self.fuzzy.put_step(&before[self.seen.len() - 1], Some(c), &mut after[0]);
        }
        self.fuzzy.is_match(&self.rows[self.seen.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By definition.
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
            ("kitten", "sitten", 1, true),
            ("kitten", "kittens", 1, true),
            ("kitten", "itten", 1, true),
            ("kitten", "sitting", 2, false),
            ("straße", "strasse", 2, true),
            ("é", "e", 1, true),
            ("", "ab", 2, true),
            ("", "abc", 2, false),
        ];
        for (a, b, limit, expected) in cases {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(Fuzzy::new(a, limit).matcher().accepts(b), expected, "{a} {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_matcher_agrees_with_the_definition(
            word in "[abcé]{0,6}",
            mut others in proptest::collection::vec("[abcdé]{0,7}", 1..30),
            limit in 0u8..3,
            is_sorted in any::<bool>(),
        ) {
            if is_sorted {
                others.sort();
            }
            let fuzzy = Fuzzy::new(&word, limit);
            let mut matcher = fuzzy.matcher();
            for other in &others {
                prop_assert_eq!(matcher.accepts(other), is_near(&word, other, limit), "{} {}", word, other);
            }
        }

        #[test]
        fn a_range_that_holds_a_near_word_is_never_passed_over(
            word in "[abc]{0,5}",
            bounds in ("[abcd]{0,4}", "[abcd]{0,4}"),
            others in proptest::collection::vec("[abcd]{0,6}", 1..60),
            limit in 1u8..3,
        ) {
            let (low, high) = (bounds.0.as_str(), bounds.1.as_str());
            let fuzzy = Fuzzy::new(&word, limit);
            for other in &others {
                if is_near(&word, other, limit) {
                    prop_assert!(fuzzy.reaches(None, None));
                    prop_assert!(low > other.as_str() || fuzzy.reaches(Some(low), None), "{} {} {}", word, other, low);
                    prop_assert!(high <= other.as_str() || fuzzy.reaches(None, Some(high)), "{} {} {}", word, other, high);
                    let is_inside = low <= other.as_str() && other.as_str() < high;
                    prop_assert!(!is_inside || fuzzy.reaches(Some(low), Some(high)), "{} {} {:?}", word, other, bounds);
                }
            }
        }
    }

    #[test]
    fn most_ranges_are_passed_over() {
        let fuzzy = Fuzzy::new("whale", 1);
        for (low, high) in [("ab", "ac"), ("mab", "max"), ("wib", "wic"), ("whalesa", "whalesz"), ("whalf", "whalf")] {
            assert!(!fuzzy.reaches(Some(low), Some(high)), "{low} {high}");
        }
        for (low, high) in [("a", "c"), ("wa", "wh"), ("whald", "whalf"), ("shal", "shb"), ("hale", "half"), ("", "zz")]
        {
            assert!(fuzzy.reaches(Some(low), Some(high)), "{low} {high}");
        }
    }
}
