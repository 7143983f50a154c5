//! Plans the words of a query. They are split like those of documents, so that a text of several
//! words becomes a phrase.

use std::ops::Range;

use super::{COMPOUND_BOOST, Field, Pattern, Plan, Planner, Result, TermSelector, any, product};
use crate::analysis::{Form, Mode, Scratch};
use crate::query::Piece;

/// A word in one of its forms, with its position in a phrase.
type Placed = (Form, TermSelector, u32);

impl Planner<'_> {
    /// Plans a word or adjacent words. Documents with the same compound form get a higher score.
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

    /// Plans a phrase whose last word is a prefix.
    pub(super) fn prefix(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Result<Option<Plan>> {
        self.beginning(field, text, (slop, boost), TermSelector::Prefix)
    }

    /// Plans a phrase whose last word is a prefix or fuzzy; `want` returns the selector of that
    /// word.
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

    /// Plans words with wildcards. Literals are split as in documents, but text adjacent to a
    /// wildcard is one word.
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

    /// Plans a single word, or several at their positions.
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

    /// Splits a text into unstemmed words, each with its range in the text.
    fn tokens(&self, text: &str) -> Vec<(String, Range<usize>)> {
        let (wanted, mut tokens) = (self.analyzer.unstemmed_form(), Vec::new());
        self.analyzer.visit(text, Mode::Query, &mut Scratch::default(), |form, token| {
            if form == wanted {
                tokens.push((token.word.to_owned(), token.start..token.end));
            }
        });
        if tokens.is_empty() {
            // A part of a word may be a stop word.
            tokens.extend(self.analyzer.fold(text).map(|folded| (folded, 0..text.len())));
        }
        tokens
    }
}

/// Completes a word with wildcards. A word of only `*` matches any word: only its position counts.
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
