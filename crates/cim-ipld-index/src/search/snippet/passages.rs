//! Selects the passages of a text that a snippet shows.

use std::ops::Range;

use super::Match;
use crate::search::options::SnippetOptions;

/// The separator of passages.
pub(super) const ELLIPSIS: &str = " … ";

/// Selects the best passages, in text order and without overlap.
pub(super) fn passages(text: &str, options: &SnippetOptions, matches: &[Match]) -> Vec<Range<usize>> {
    let most = options.passages.max(1);
    let between = ELLIPSIS.chars().count();
    // Passages too short to read are not worth having.
    let most = most.min(options.max_chars / (4 * between)).max(1);
    let max_chars = (options.max_chars - between * (most - 1)) / most;
    let mut chosen: Vec<Range<usize>> = Vec::new();
    let mut rest: Vec<Match> = matches.to_vec();
    while chosen.len() < most && (chosen.is_empty() || !rest.is_empty()) {
        let window = best_window(&rest, max_chars);
        let mut passage = passage(text, max_chars, window.clone());
        rest.retain(|word| {
            word.place.start != window.start && (word.place.end <= passage.start || word.place.start >= passage.end)
        });
        for other in &chosen {
            if passage.start < other.end && other.start <= passage.start {
                passage.start = other.end;
            } else if passage.end > other.start && passage.start < other.start {
                passage.end = other.start;
            }
        }
        if passage.start < passage.end || chosen.is_empty() {
            chosen.push(passage);
        }
    }
    chosen.sort_by_key(|passage| passage.start);
    chosen.dedup_by(|next, passage| {
        let is_one = next.start == passage.end;
        if is_one {
            passage.end = next.end;
        }
        is_one
    });
    chosen
}

/// Returns the range of at most `len` bytes, from the start of one match to the end of another,
/// with the most distinct words and, among equals, the rarest ones, then the most occurrences.
fn best_window(matches: &[Match], len: usize) -> Range<usize> {
    let leaves = matches.iter().map(|word| word.leaf + 1).max().unwrap_or_default();
    let mut occurrences = vec![0u64; leaves];
    matches.iter().for_each(|word| occurrences[word.leaf] += 1);
    let rarity = |leaf: usize| (1 << 32) / occurrences[leaf];
    // The number of occurrences of each word within the window, and the rarity of all of them.
    let mut within = vec![0u32; leaves];
    let (mut distinct, mut rare, mut end) = (0, 0, 0);
    let mut best = None;
    for (first, word) in matches.iter().enumerate() {
        while let Some(next) = matches.get(end).filter(|next| end <= first || next.place.end <= word.place.start + len)
        {
            if within[next.leaf] == 0 {
                (distinct, rare) = (distinct + 1, rare + rarity(next.leaf));
            }
            within[next.leaf] += 1;
            end += 1;
        }
        let score = (distinct, rare, end - first);
        if best.as_ref().is_none_or(|(known, _)| score > *known) {
            best = Some((score, word.place.start..matches[end - 1].place.end));
        }
        within[word.leaf] -= 1;
        if within[word.leaf] == 0 {
            (distinct, rare) = (distinct - 1, rare - rarity(word.leaf));
        }
    }
    best.map_or(0..0, |(_, window)| window)
}

/// Returns the passage of at most `max_chars` characters that shows a window and, as far as there
/// is room, what precedes and follows it. It is extended or cut to word boundaries.
fn passage(text: &str, max_chars: usize, window: Range<usize>) -> Range<usize> {
    let room = max_chars.saturating_sub(text[window.clone()].chars().count());
    let lead = (max_chars / 4).min(room);
    let start = window.start;
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

/// Collapses a passage to one line, and returns the new ranges of the matches.
pub(super) fn on_one_line(text: &str, passage: Range<usize>, matches: &[Match]) -> (String, Vec<Range<usize>>) {
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
