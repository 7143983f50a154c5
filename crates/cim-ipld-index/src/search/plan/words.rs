//! The words of a query: cut as those of documents are, so that what is cut into several becomes a phrase of them.

use std::ops::Range;

use super::{Field, Pattern, Plan, Planner, Result, Want};
use crate::query::Piece;

impl Planner<'_> {
    pub(super) fn words(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Result<Option<Plan>> {
        let words = self.cut(text).into_iter().map(|(word, place)| (Want::Word(word), place)).collect();
        self.phrase(field, words, slop, boost)
    }

    pub(super) fn prefix(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Result<Option<Plan>> {
        self.last_word(field, text, slop, boost, Want::Prefix)
    }

    /// A phrase whose last word is not exact.
    pub(super) fn last_word(
        &mut self,
        field: &Field,
        text: &str,
        slop: u32,
        boost: f32,
        want: impl Fn(String) -> Want,
    ) -> Result<Option<Plan>> {
        let mut words = self.cut(text);
        // The beginning of a word may be a word that is left out.
        let last = words.pop().or_else(|| Some((self.analyzer.fold(text)?, 0)));
        let Some((last, place)) = last else { return Ok(None) };
        let mut wants: Vec<(Want, u32)> = words.into_iter().map(|(word, place)| (Want::Word(word), place)).collect();
        wants.push((want(last), place));
        self.phrase(field, wants, slop, boost)
    }

    /// Words with wildcards. Texts are cut where they are cut in documents; what a wildcard touches is one word.
    pub(super) fn like(&mut self, field: &Field, pattern: &Pattern, boost: f32) -> Result<Option<Plan>> {
        let (mut words, mut place) = (Vec::new(), 0);
        let mut word = Pattern::default();
        for piece in pattern.pieces() {
            let Piece::Text(text) = piece else {
                word.push(piece.clone());
                continue;
            };
            let mut end = 0;
            for (index, (token, range)) in self.tokens(text).into_iter().enumerate() {
                if index > 0 || range.start > 0 {
                    finish(&mut word, &mut words, &mut place);
                }
                word.push_text(&token);
                end = range.end;
            }
            if end < text.len() {
                finish(&mut word, &mut words, &mut place);
            }
        }
        finish(&mut word, &mut words, &mut place);
        self.phrase(field, words, 0, boost)
    }

    /// One word, or several at their places.
    fn phrase(&mut self, field: &Field, mut words: Vec<(Want, u32)>, slop: u32, boost: f32) -> Result<Option<Plan>> {
        if words.len() < 2 {
            let Some((want, _)) = words.pop() else { return Ok(None) };
            let leaf = self.leaf(field, want, false)?;
            return Ok(Some(Plan::Leaf { leaf, boost }));
        }
        let first = words[0].1;
        let leaves = words.into_iter().map(|(want, place)| Ok((self.leaf(field, want, true)?, place - first)));
        Ok(Some(Plan::Phrase { leaves: leaves.collect::<Result<_>>()?, slop, boost }))
    }

    /// Cuts a text into words without stems, each with its place in the text.
    fn tokens(&mut self, text: &str) -> Vec<(String, Range<usize>)> {
        let (analyzer, mut tokens) = (self.analyzer, Vec::new());
        analyzer.analyze(text, &mut self.scratch, |token| {
            let place = token.start..token.end;
            let folded = analyzer.fold(&text[place.clone()]);
            tokens.push((folded.unwrap_or_else(|| token.word.to_owned()), place));
        });
        tokens
    }

    fn cut(&mut self, text: &str) -> Vec<(String, u32)> {
        let mut words = Vec::new();
        self.analyzer.analyze(text, &mut self.scratch, |token| words.push((token.word.to_owned(), token.position)));
        words
    }
}

/// Ends a word with wildcards. One that is nothing but `*` is any word: only its place counts.
fn finish(word: &mut Pattern, words: &mut Vec<(Want, u32)>, place: &mut u32) {
    let word = std::mem::take(word);
    if word.is_empty() {
        return;
    }
    let want = match (word.as_text(), word.as_prefix()) {
        (_, Some("")) => None,
        (Some(text), _) => Some(Want::Word(text.to_owned())),
        (_, Some(prefix)) => Some(Want::Prefix(prefix.to_owned())),
        (None, None) => Some(Want::Like(word)),
    };
    words.extend(want.map(|want| (want, *place)));
    *place += 1;
}
