//! Snippets: the passage of a text with the most different words of the query.

use std::ops::Range;

use super::plan::Leaf;
use crate::analysis::{Analyzer, Scratch};
use crate::search_options::SnippetOptions;
use crate::snapshot::Snippet;

/// How much of a text is looked at, in bytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// A word of the query in the text.
struct Match {
    place: Range<usize>,
    leaf: usize,
}

/// Cuts the best passage; `None` if the text is blank.
pub(super) fn cut(text: &str, options: &SnippetOptions, leaves: &[Leaf], analyzer: &Analyzer) -> Option<Snippet> {
    let text = &text[..floor_boundary(text, MAX_TEXT_BYTES)];
    let mut matches = Vec::new();
    let mut matchers: Vec<_> = leaves.iter().map(|leaf| leaf.want.matcher()).collect();
    analyzer.analyze(text, &mut Scratch::default(), |token| {
        if let Some(leaf) = matchers.iter_mut().position(|matcher| matcher.accepts(token.word)) {
            matches.push(Match { place: token.start..token.end, leaf });
        }
    });
    let passage = passage(text, options.max_chars, best_start(&matches, options.max_chars));
    let (text, highlights) = on_one_line(text, passage, &matches);
    (!text.is_empty()).then_some(Snippet { text, highlights })
}

/// Where the stretch of `len` bytes with the most different words starts, and if equal the most words.
fn best_start(matches: &[Match], len: usize) -> usize {
    let score = |first: &usize| {
        let within = matches[*first..].iter().take_while(|word| word.place.end <= matches[*first].place.start + len);
        let (mut seen, mut count) = (0u64, 0usize);
        within.take(1000).for_each(|word| {
            seen |= 1 << (word.leaf % 64);
            count += 1;
        });
        (seen.count_ones(), count, std::cmp::Reverse(*first))
    };
    (0..matches.len()).max_by_key(score).map_or(0, |first| matches[first].place.start)
}

/// The passage of at most `max_chars` characters around `start`: from a word's beginning to a word's end.
fn passage(text: &str, max_chars: usize, start: usize) -> Range<usize> {
    let lead = max_chars / 4;
    let earliest = text[..start].char_indices().rev().take(lead).last().map_or(start, |(at, _)| at);
    let from = match text[..earliest].chars().next_back() {
        None => earliest,
        Some(before) if before.is_whitespace() => earliest,
        Some(_) => text[earliest..start].find(char::is_whitespace).map_or(start, |at| earliest + at),
    };
    let to = text[from..].char_indices().nth(max_chars).map_or(text.len(), |(at, _)| from + at);
    if to == text.len() || text[to..].starts_with(char::is_whitespace) {
        return from..to;
    }
    from..text[from..to].rfind(char::is_whitespace).map_or(to, |at| from + at)
}

/// Puts a passage on one line and says where the matches then stand.
fn on_one_line(text: &str, passage: Range<usize>, matches: &[Match]) -> (String, Vec<Range<usize>>) {
    let mut line = String::with_capacity(passage.len());
    let mut highlights: Vec<Range<usize>> = Vec::new();
    let mut matches = matches.iter().skip_while(|word| word.place.start < passage.start).peekable();
    for (at, c) in text[passage.clone()].char_indices().map(|(at, c)| (passage.start + at, c)) {
        while matches.next_if(|word| word.place.end <= at).is_some() {}
        if let Some(word) = matches.peek().filter(|word| word.place.contains(&at) && word.place.end <= passage.end) {
            if at == word.place.start {
                highlights.push(line.len()..line.len());
            }
            line.push(c);
            if let Some(last) = highlights.last_mut() {
                last.end = line.len();
            }
        } else if c.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    (line, highlights)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Field;
    use crate::search::plan::Want;
    use proptest::prelude::*;

    fn leaf(word: &str) -> Leaf {
        Leaf { field: Field::Any, want: Want::Word(word.to_owned()), needs_positions: false }
    }

    fn snippet(text: &str, words: &[&str], max_chars: usize) -> Option<Snippet> {
        let leaves: Vec<Leaf> = words.iter().map(|word| leaf(word)).collect();
        cut(text, &SnippetOptions::default().max_chars(max_chars), &leaves, &Analyzer::default())
    }

    #[test]
    fn the_passage_with_the_most_different_words_wins() {
        let text = format!("whale whale whale. {} The white\n\n  WHALE is here.", "Filler words follow. ".repeat(20));
        let snippet = snippet(&text, &["white", "whale"], 60).unwrap();
        assert!(snippet.text.contains("The white WHALE is here."), "{snippet:?}");
        let marked: Vec<&str> = snippet.highlights.iter().map(|range| &snippet.text[range.clone()]).collect();
        assert_eq!(marked, ["white", "WHALE"]);
    }

    #[test]
    fn a_text_without_matches_gives_its_beginning() {
        assert_eq!(snippet("one two three", &["x"], 7).unwrap().text, "one two");
        assert_eq!(snippet(" \n ", &["x"], 7), None);
    }

    proptest! {
        #[test]
        fn snippets_keep_their_length_and_mark_words(text in "[a-zé \\n]{0,200}", max_chars in 1usize..50) {
            if let Some(snippet) = snippet(&text, &["a", "e", "bé"], max_chars) {
                prop_assert!(snippet.text.chars().count() <= max_chars);
                for range in &snippet.highlights {
                    prop_assert!(["a", "e", "é", "bé", "be"].contains(&&snippet.text[range.clone()]));
                }
            }
        }
    }
}
