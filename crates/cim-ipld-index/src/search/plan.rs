//! From a query to what must be looked up: words folded, phrases cut, boosts multiplied out.

use crate::analysis::{Analyzer, Scratch};
use crate::query::{Field, Node};

/// What to evaluate, naming words by their place in the list of leaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    Nothing,
    All,
    Leaf {
        leaf: usize,
        boost: f32,
    },
    /// Leaves with the places of their words in the phrase.
    Phrase {
        leaves: Vec<(usize, u32)>,
        slop: u32,
        boost: f32,
    },
    Bool {
        must: Vec<Plan>,
        should: Vec<Plan>,
        must_not: Vec<Plan>,
    },
}

/// One or more words of one field that score as one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) field: Field,
    pub(crate) want: Want,
    pub(crate) needs_positions: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Want {
    Word(String),
    Prefix(String),
    Fuzzy(String, u8),
}

/// Makes the plan of a query's text part. Parts that have no words in them, such as `--`, do not count.
pub(crate) fn plan(root: Option<&Node>, analyzer: &Analyzer) -> (Plan, Vec<Leaf>) {
    let mut planner = Planner { analyzer, scratch: Scratch::default(), leaves: Vec::new() };
    let plan = match root {
        None => Plan::All,
        Some(node) => planner.node(node, 1.0).unwrap_or(Plan::Nothing),
    };
    (plan, planner.leaves)
}

struct Planner<'a> {
    analyzer: &'a Analyzer,
    scratch: Scratch,
    leaves: Vec<Leaf>,
}

impl Planner<'_> {
    fn node(&mut self, node: &Node, boost: f32) -> Option<Plan> {
        match node {
            Node::All => Some(Plan::All),
            Node::Words { field, text, slop } => self.words(field, text, *slop, boost),
            Node::Prefix { field, text } => self.last_word(field, text, boost, Want::Prefix),
            Node::Fuzzy { field, text, distance } => {
                self.last_word(field, text, boost, |word| Want::Fuzzy(word, *distance))
            }
            Node::Boost(node, factor) => self.node(node, boost * factor),
            Node::Bool { must, should, must_not } => {
                let mut nodes = |nodes: &[Node]| nodes.iter().filter_map(|node| self.node(node, boost)).collect();
                let (must, should, must_not): (Vec<_>, Vec<_>, Vec<_>) = (nodes(must), nodes(should), nodes(must_not));
                match (must.is_empty(), should.is_empty()) {
                    (true, true) => None,
                    _ => Some(Plan::Bool { must, should, must_not }),
                }
            }
        }
    }

    fn words(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Option<Plan> {
        let words = self.cut(text);
        if let [(word, _)] = &words[..] {
            let leaf = self.leaf(field, Want::Word(word.clone()), false);
            return Some(Plan::Leaf { leaf, boost });
        }
        let (_, first) = *words.first()?;
        let leaves = words.into_iter().map(|(word, place)| (self.leaf(field, Want::Word(word), true), place - first));
        Some(Plan::Phrase { leaves: leaves.collect(), slop, boost })
    }

    /// A part whose last word is not exact; words before it must be there too.
    fn last_word(&mut self, field: &Field, text: &str, boost: f32, want: impl Fn(String) -> Want) -> Option<Plan> {
        let mut words = self.cut(text);
        let (last, _) = words.pop()?;
        let mut must: Vec<Plan> = Vec::new();
        for (word, _) in words {
            must.push(Plan::Leaf { leaf: self.leaf(field, Want::Word(word), false), boost });
        }
        let last = Plan::Leaf { leaf: self.leaf(field, want(last), false), boost };
        if must.is_empty() {
            return Some(last);
        }
        must.push(last);
        Some(Plan::Bool { must, should: Vec::new(), must_not: Vec::new() })
    }

    fn leaf(&mut self, field: &Field, want: Want, needs_positions: bool) -> usize {
        let leaf = Leaf { field: field.clone(), want, needs_positions };
        match self.leaves.iter().position(|known| *known == leaf) {
            Some(index) => index,
            None => {
                self.leaves.push(leaf);
                self.leaves.len() - 1
            }
        }
    }

    fn cut(&mut self, text: &str) -> Vec<(String, u32)> {
        let mut words = Vec::new();
        self.analyzer.analyze(text, &mut self.scratch, |token| words.push((token.word.to_owned(), token.position)));
        words
    }
}

impl Want {
    /// Says whether a word of a document is what is wanted.
    pub(crate) fn accepts(&self, word: &str) -> bool {
        match self {
            Self::Word(wanted) => wanted == word,
            Self::Prefix(prefix) => word.starts_with(prefix.as_str()),
            Self::Fuzzy(wanted, distance) => within_distance(wanted, word, usize::from(*distance)),
        }
    }
}

/// Says whether one word becomes the other by at most `limit` insertions, deletions and replacements of characters.
pub(crate) fn within_distance(a: &str, b: &str, limit: usize) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return false;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
        if row.iter().all(|distance| *distance > limit) {
            return false;
        }
    }
    row[b.len()] <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(within_distance(a, b, limit), expected, "{a} {b}");
            assert_eq!(within_distance(b, a, limit), expected, "{b} {a}");
        }
    }
}
