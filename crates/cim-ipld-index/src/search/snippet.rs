//! Snippets: the passages of a text with the most distinct words of the query.

mod passages;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::plan::{Leaf, Plan, Planned, TermMatcher, TermSelector};
use crate::analysis::{Analyzer, Form, Scratch};
use crate::budget::meter::Meter;
use crate::document::text_field::Field;
use crate::error::Result;
use crate::search::options::SnippetOptions;
use crate::search::results::Snippet;
use passages::{ELLIPSIS, on_one_line, passages};

/// The size of a section of a text, in bytes. A text is scanned section by section, until one has
/// all words of the query.
const SECTION_BYTES: usize = 256 * 1024;
/// The maximum number of sections to scan from the first match on.
const MAX_SECTIONS: usize = 16;
/// The number of bytes of a text that are compared with one word of the query for a unit of work.
const BYTES_PER_UNIT: u64 = 8;

/// Generates the snippets of one search.
pub(super) struct SnippetGenerator<'q> {
    options: &'q SnippetOptions,
    highlights: Highlights,
    leaves: &'q [Leaf],
    analyzer: &'q Analyzer,
}

/// The maximum number of words that are compared to find the phrases in a text. After that, no
/// further occurrences are highlighted.
const MAX_PHRASE_STEPS: usize = 1 << 18;

/// What to highlight: single words, and words that are highlighted only as part of their phrase.
#[derive(Debug, Default)]
struct Highlights {
    words: BTreeSet<usize>,
    phrases: Vec<Phrase>,
}

#[derive(Debug)]
struct Phrase {
    /// Leaves with the positions of their words in the phrase.
    leaves: Vec<(usize, u32)>,
    slop: u32,
}

/// An occurrence of a query word in the text.
#[derive(Debug, Clone, PartialEq)]
struct Match {
    place: Range<usize>,
    leaf: usize,
    position: u32,
}

impl Highlights {
    /// Collects the words and phrases of a plan, except excluded ones.
    fn of(plan: &Plan, leaves: &[Leaf]) -> Self {
        let mut highlights = Self::default();
        highlights.add(plan, leaves);
        highlights
    }

    fn add(&mut self, plan: &Plan, leaves: &[Leaf]) {
        // The words of a compound form are highlighted on their own.
        let is_text =
            |leaf: &usize| !matches!(leaves[*leaf].field, Field::Attribute(_)) && leaves[*leaf].form != Form::Compound;
        match plan {
            Plan::Leaf { leaf, .. } if is_text(leaf) => drop(self.words.insert(*leaf)),
            Plan::Phrase { leaves: words, slop, .. } if words.iter().all(|(leaf, _)| is_text(leaf)) => {
                self.phrases.push(Phrase { leaves: words.clone(), slop: *slop });
            }
            Plan::Bool { must, should, .. } => must.iter().chain(should).for_each(|part| self.add(part, leaves)),
            Plan::Nothing | Plan::All | Plan::Set(_) | Plan::Leaf { .. } | Plan::Phrase { .. } => {}
        }
    }

    /// Returns the occurrences of query words in the section with the most distinct ones, in order.
    fn matches(&self, text: &str, leaves: &[Leaf], analyzer: &Analyzer, meter: &Meter) -> Result<Vec<Match>> {
        let of_phrases = self.phrases.iter().flat_map(|phrase| phrase.leaves.iter().map(|(leaf, _)| *leaf));
        let wanted: BTreeSet<usize> = self.words.iter().copied().chain(of_phrases).collect();
        let distinct_words = wanted.len();
        let mut words: HashMap<(Form, &str), Vec<usize>> = HashMap::new();
        let mut patterns: Vec<(usize, TermMatcher<'_>)> = Vec::new();
        for leaf in wanted {
            match &leaves[leaf].want {
                TermSelector::Word(word) => words.entry((leaves[leaf].form, word)).or_default().push(leaf),
                pattern => patterns.push((leaf, pattern.matcher())),
            }
        }
        let (mut start, mut positions, mut scratch) = (0, 0, Scratch::default());
        let mut steps = MAX_PHRASE_STEPS;
        // The matches of the best section so far, and the number of its distinct words.
        let (mut best, mut sections) = ((0, Vec::new()), 0);
        // If a phrase is not in the text, it matched the title: highlighting its single words is
        // better than nothing.
        let mut words_alone = Vec::new();
        // Occurrences in the previous and the current section, because a phrase may span both.
        let mut matches: Vec<Match> = Vec::new();
        while start < text.len() && !(words.is_empty() && patterns.is_empty()) {
            let end = end_of_section(text, start);
            meter.charge_current((end - start) as u64 / BYTES_PER_UNIT * (1 + patterns.len() as u64))?;
            let before = matches.len();
            let taken = analyzer.analyze(&text[start..end], &mut scratch, |form, token| {
                let mut push = |leaf| {
                    let place = start + token.start..start + token.end;
                    matches.push(Match { place, leaf, position: positions + token.position });
                };
                words.get(&(form, token.word)).into_iter().flatten().copied().for_each(&mut push);
                for (leaf, matcher) in &mut patterns {
                    if leaves[*leaf].form == form && matcher.accepts(token.word) {
                        push(*leaf);
                    }
                }
            });
            let in_phrases = self.in_phrases(&matches, &mut steps);
            let is_marked =
                |word: &Match| self.words.contains(&word.leaf) || in_phrases.contains(&(word.leaf, word.position));
            let marked: Vec<Match> = matches.iter().filter(|word| is_marked(word)).cloned().collect();
            let distinct = marked.iter().map(|word| word.leaf).collect::<BTreeSet<usize>>().len();
            if distinct > best.0 {
                best = (distinct, marked);
            }
            sections += usize::from(best.0 > 0);
            if best.0 == distinct_words || sections == MAX_SECTIONS {
                break;
            }
            if words_alone.is_empty() {
                words_alone.clone_from(&matches);
            }
            matches.drain(..before);
            (start, positions) = (end, positions + taken);
        }
        Ok(if best.0 > 0 { best.1 } else { words_alone })
    }

    /// Returns the (leaf, position) pairs that are part of a phrase, as far as `steps` allow.
    fn in_phrases(&self, matches: &[Match], steps: &mut usize) -> BTreeSet<(usize, u32)> {
        let mut places: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        if !self.phrases.is_empty() {
            matches.iter().for_each(|word| places.entry(word.leaf).or_default().push(word.position));
        }
        let mut found = BTreeSet::new();
        for phrase in &self.phrases {
            let first = phrase.leaves.first().and_then(|(leaf, _)| places.get(leaf));
            for start in first.into_iter().flatten() {
                let Some(left) = steps.checked_sub(phrase.leaves.len()) else { return found };
                *steps = left;
                if let Some(words) = phrase.at(*start, &places) {
                    found.extend(words);
                }
            }
        }
        found
    }
}

impl Phrase {
    /// Returns the words of the phrase that starts at a position, each at the nearest occurrence,
    /// if the phrase is there.
    fn at(&self, start: u32, places: &BTreeMap<usize, Vec<u32>>) -> Option<Vec<(usize, u32)>> {
        let (mut at, mut spare) = (start, self.slop);
        let mut words = vec![(self.leaves[0].0, start)];
        for pair in self.leaves.windows(2) {
            let [(_, before), (leaf, place)] = [pair[0], pair[1]];
            let wanted = at + (place - before);
            let others = places.get(&leaf)?;
            at = *others.get(others.partition_point(|other| *other < wanted))?;
            spare = spare.checked_sub(at - wanted)?;
            words.push((leaf, at));
        }
        Some(words)
    }
}

impl<'q> SnippetGenerator<'q> {
    pub(super) fn new(options: &'q SnippetOptions, planned: &'q Planned, analyzer: &'q Analyzer) -> Self {
        let highlights = Highlights::of(&planned.plan, &planned.leaves);
        Self { options, highlights, leaves: &planned.leaves, analyzer }
    }

    /// Returns the best passages, or `None` if the text is blank.
    pub(super) fn cut(&self, text: &str, meter: &Meter) -> Result<Option<Snippet>> {
        let matches = self.highlights.matches(text, self.leaves, self.analyzer, meter)?;
        let mut snippet = Snippet { text: String::new(), highlights: Vec::new() };
        for passage in passages(text, self.options, &matches) {
            let (line, marked) = on_one_line(text, passage, &matches);
            if line.is_empty() {
                continue;
            }
            if !snippet.text.is_empty() {
                snippet.text.push_str(ELLIPSIS);
            }
            let start = snippet.text.len();
            snippet.text.push_str(&line);
            snippet.highlights.extend(marked.into_iter().map(|range| range.start + start..range.end + start));
        }
        Ok((!snippet.text.is_empty()).then_some(snippet))
    }
}

/// Returns the end of the section that starts at `start`. It does not split a word, unless the word
/// is very long.
fn end_of_section(text: &str, start: usize) -> usize {
    let end = text.floor_char_boundary(start + SECTION_BYTES);
    if end == text.len() {
        return end;
    }
    text[start..end].rfind(char::is_whitespace).filter(|at| *at > 0).map_or(end, |at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Language, UnicodeWords};
    use crate::query::Query;
    use crate::search::plan::plan;
    use proptest::prelude::*;

    fn snippet_of(text: &str, query: &str, options: &SnippetOptions, analyzer: &Analyzer) -> Option<Snippet> {
        let query = Query::parse(query).unwrap();
        let planned = plan(&query.resolved(&|name| name == "note").unwrap(), analyzer, 4096).unwrap();
        SnippetGenerator::new(options, &planned, analyzer).cut(text, &Meter::unlimited()).unwrap()
    }

    fn snippet(text: &str, words: &[&str], max_chars: usize) -> Option<Snippet> {
        let options = SnippetOptions::default().max_chars(max_chars);
        snippet_of(text, &words.join(" "), &options, &Analyzer::default())
    }

    fn marked(snippet: &Snippet) -> Vec<&str> {
        snippet.highlights.iter().map(|range| &snippet.text[range.clone()]).collect()
    }

    #[test]
    fn the_passage_with_the_most_different_words_wins() {
        let text = format!("whale whale whale. {} The white\n\n  WHALE is here.", "Filler words follow. ".repeat(20));
        let snippet = snippet(&text, &["white", "whale"], 60).unwrap();
        assert!(snippet.text.contains("The white WHALE is here."), "{snippet:?}");
        assert_eq!(marked(&snippet), ["white", "WHALE"]);
    }

    #[test]
    fn the_rarer_word_is_shown_wherever_it_is() {
        let filler = "whale and nothing else. ".repeat(SECTION_BYTES / 12);
        let cases = [
            // Both words fit, with hardly any room before and after them.
            format!("Some words come first, and then a whale {} white one follows.", "x".repeat(40)),
            // Of two passages with a word each, the rarer word wins.
            format!("whale {} white {} whale", "x ".repeat(100), "x ".repeat(100)),
            // In another section.
            format!("{filler} white {filler}"),
            format!("{filler} the white whale {filler}"),
        ];
        for text in cases {
            let snippet = snippet(&text, &["white", "whale"], 60).unwrap();
            assert!(marked(&snippet).contains(&"white"), "{snippet:?}");
        }
    }

    #[test]
    fn a_text_without_matches_gives_its_beginning() {
        assert_eq!(snippet("one two three", &["x"], 7).unwrap().text, "one two");
        assert_eq!(snippet(" \n ", &["x"], 7), None);
    }

    #[test]
    fn what_is_marked_is_what_the_query_wants() {
        let text = "A white ship met the white whale. Whales sing, says tag:x of 東京都の海.";
        let english = Analyzer::from(UnicodeWords::default().stem(Language::English));
        let cases: &[(&str, &[&str])] = &[
            ("\"white whale\"", &["white", "whale"]),
            ("\"white the\"", &["white", "the", "white"]),
            ("\"ship white\"~2", &["ship", "white"]),
            ("\"white whale\" ship", &["ship", "white", "whale"]),
            ("white -ship", &["white", "white"]),
            ("whal*", &["whale", "Whales"]),
            ("shop~", &["ship"]),
            ("note:ship white", &["white", "white"]),
            ("京都", &["京都"]),
            ("東京都", &["東京都"]),
            ("size:>1", &[]),
        ];
        for (query, expected) in cases {
            let snippet = snippet_of(text, query, &SnippetOptions::default(), &Analyzer::default()).unwrap();
            assert_eq!(marked(&snippet), *expected, "{query}");
        }
        let stemmed = snippet_of(text, "whale singing", &SnippetOptions::default(), &english).unwrap();
        assert_eq!(marked(&stemmed), ["whale", "Whales", "sing"]);
    }

    #[test]
    fn a_match_is_found_wherever_it_is() {
        let filler = "white noise and nothing else. ".repeat(SECTION_BYTES / 20);
        let space = SECTION_BYTES - 12;
        let texts = [
            format!("{filler} The white whale at last. {filler}"),
            // At a section boundary.
            format!("{}the white whale at last", "x ".repeat(space / 2)),
            format!("{}the white whale at last", "東".repeat(SECTION_BYTES)),
        ];
        for text in texts {
            for query in ["whale", "\"white whale\"", "\"white whale at\" nowhere"] {
                let snippet = snippet_of(&text, query, &SnippetOptions::default(), &Analyzer::default()).unwrap();
                assert!(marked(&snippet).contains(&"whale"), "{query}: {snippet:?}");
            }
        }
        let text = format!("a white start. {filler}");
        let snippet = snippet_of(&text, "\"white whale\"", &SnippetOptions::default(), &Analyzer::default()).unwrap();
        assert_eq!(marked(&snippet)[0], "white");
        assert!(snippet.text.starts_with("a white start."));
    }

    #[test]
    fn several_passages_stand_in_the_order_of_the_text() {
        let filler = "Filler words follow and say nothing. ".repeat(10);
        let text = format!("The café opens. {filler} A second café closes. {filler} The last café, and a whale.");
        let options = SnippetOptions::default().max_chars(120).passages(3);
        let snippet = snippet_of(&text, "café whale", &options, &Analyzer::default()).unwrap();
        assert_eq!(marked(&snippet), ["café", "café", "café", "whale"]);
        assert_eq!(snippet.text.matches(" … ").count(), 2);
        assert!(snippet.text.starts_with("The café opens.") && snippet.text.chars().count() <= 120, "{snippet:?}");
    }

    proptest! {
        #[test]
        fn snippets_keep_their_length_and_mark_words(
            text in "[a-zé東京 \\n]{0,200}",
            max_chars in 1usize..60,
            passages in 0usize..5,
        ) {
            let options = SnippetOptions::default().max_chars(max_chars).passages(passages);
            if let Some(snippet) = snippet_of(&text, "a \"e bé\" 東京", &options, &Analyzer::default()) {
                prop_assert!(snippet.text.chars().count() <= max_chars, "{} {}", snippet.text, max_chars);
                prop_assert!(snippet.highlights.is_sorted_by(|a, b| a.end <= b.start));
                for word in marked(&snippet) {
                    let folded = word.replace('é', "e");
                    prop_assert!(["a", "e", "be"].contains(&&*folded) || folded.starts_with('東'), "{}", word);
                }
            }
        }
    }
}
