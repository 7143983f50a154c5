//! The words of a query: cut as those of documents are, so that what is cut into several becomes a
//! phrase of them.

use std::ops::Range;

use super::{COMPOUND_BOOST, Field, Pattern, Plan, Planner, Result, TermSelector, any, product};
use crate::analysis::{Form, Mode, Scratch};
use crate::query::Piece;

/// A word in one of its forms, and its place in a phrase.
type Placed = (Form, TermSelector, u32);

impl Planner<'_> {
    /// A word, or words that follow each other; what has the same form as a whole counts more.
    pub(super) fn words(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Result<Option<Plan>> {
        let cut = self.analyzer.query_words(text);
        let words = cut.words.into_iter().map(|word| (Form::Word, TermSelector::Word(word.text), word.position));
        let Some(mut words) = self.phrase(field, words.collect(), slop, boost)? else { return Ok(None) };
        if let Some(joined) = cut.joined {
            let leaf = self.leaf(field, (Form::Word, TermSelector::Word(joined.text)), false)?;
            words = any(vec![words, Plan::Leaf { leaf, boost }]);
        }
        let mut should = Vec::with_capacity(cut.compounds.len());
        for form in cut.compounds {
            let leaf = self.leaf(field, (Form::Compound, TermSelector::Word(form.text)), false)?;
            should.push(Plan::Leaf { leaf, boost: product(boost, COMPOUND_BOOST) });
        }
        let is_plain = should.is_empty();
        Ok(Some(if is_plain { words } else { Plan::Bool { must: vec![words], should, must_not: Vec::new() } }))
    }

    /// A phrase whose last word is the beginning of one.
    pub(super) fn prefix(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Result<Option<Plan>> {
        self.beginning(field, text, (slop, boost), TermSelector::Prefix)
    }

    /// A phrase whose last word is found by its letters.
    pub(super) fn beginning(
        &mut self,
        field: &Field,
        text: &str,
        (slop, boost): (u32, f32),
        want: impl Fn(String) -> TermSelector,
    ) -> Result<Option<Plan>> {
        let Some(cut) = self.analyzer.query_prefix(text) else { return Ok(None) };
        let before = cut.before.into_iter().map(|word| (Form::Word, TermSelector::Word(word.text), word.position));
        let mut words: Vec<Placed> = before.collect();
        words.push((self.analyzer.unstemmed_form(), want(cut.last.text), cut.last.position));
        self.phrase(field, words, slop, boost)
    }

    /// Words with wildcards. Texts are cut where they are cut in documents; what a wildcard touches
    /// is one word.
    pub(super) fn like(&mut self, field: &Field, pattern: &Pattern, (slop, boost): (u32, f32)) -> Result<Option<Plan>> {
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
        let form = self.analyzer.unstemmed_form();
        self.phrase(field, words.into_iter().map(|(want, place)| (form, want, place)).collect(), slop, boost)
    }

    /// One word, or several at their places.
    fn phrase(&mut self, field: &Field, mut words: Vec<Placed>, slop: u32, boost: f32) -> Result<Option<Plan>> {
        if words.len() < 2 {
            let Some((form, want, _)) = words.pop() else { return Ok(None) };
            let leaf = self.leaf(field, (form, want), false)?;
            return Ok(Some(Plan::Leaf { leaf, boost }));
        }
        let first = words[0].2;
        let leaves =
            words.into_iter().map(|(form, want, place)| Ok((self.leaf(field, (form, want), true)?, place - first)));
        Ok(Some(Plan::Phrase { leaves: leaves.collect::<Result<_>>()?, slop, boost }))
    }

    /// Cuts a text into words by their letters, each with its place in the text.
    fn tokens(&self, text: &str) -> Vec<(String, Range<usize>)> {
        let (wanted, mut tokens) = (self.analyzer.unstemmed_form(), Vec::new());
        self.analyzer.visit(text, Mode::Query, &mut Scratch::default(), |form, token| {
            if form == wanted {
                tokens.push((token.word.to_owned(), token.start..token.end));
            }
        });
        if tokens.is_empty() {
            // A part of a word may be a word that is left out.
            tokens.extend(self.analyzer.fold(text).map(|folded| (folded, 0..text.len())));
        }
        tokens
    }
}

/// Ends a word with wildcards. One that is nothing but `*` is any word: only its place counts.
fn finish(word: &mut Pattern, words: &mut Vec<(TermSelector, u32)>, place: &mut u32) {
    let word = std::mem::take(word);
    if word.is_empty() {
        return;
    }
    let want = match (word.as_text(), word.as_prefix()) {
        (_, Some("")) => None,
        (Some(text), _) => Some(TermSelector::Word(text.to_owned())),
        (_, Some(prefix)) => Some(TermSelector::Prefix(prefix.to_owned())),
        (None, None) => Some(TermSelector::Like(word)),
    };
    words.extend(want.map(|want| (want, *place)));
    *place += 1;
}
