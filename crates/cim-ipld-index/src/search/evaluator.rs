//! Evaluates a query in windows of 4,096 documents: each part of the query marks its matches and
//! adds their points.
//!
//! The evaluator handles queries of any form. The common forms have faster implementations in
//! `bulk_scorer`.

use super::cursor::{Cursor, END, greatest, least};
use super::multi_phrase::MultiPhrase;
use super::phrase::Phrase;
use super::pool::Pooled;
use super::union::Union;
use super::window::{WINDOW, WINDOW_WORDS, Window};
use crate::budget::meter::Account;
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::score::TermScorer;

/// The evaluator of a part of a query over one source.
pub(crate) enum Evaluator<'a> {
    Nothing,
    /// Every document below this number, with score 0.
    All(u32),
    /// The documents of a set, with score 0.
    Set(BitSet),
    Term(Box<Term<'a>>),
    /// The union of several lists, whose frequencies add up.
    Union(Box<Union>),
    Phrase(Box<Phrase<'a>>),
    MultiPhrase(Box<MultiPhrase<'a>>),
    Any(Vec<Evaluator<'a>>, Account),
    Bool(Box<Bool<'a>>),
}

pub(crate) struct Term<'a> {
    pub(crate) cursor: Cursor<'a>,
    pub(crate) scorer: TermScorer,
}

pub(crate) struct Bool<'a> {
    pub(crate) must: Vec<Evaluator<'a>>,
    pub(crate) should: Vec<Evaluator<'a>>,
    pub(crate) must_not: Vec<Evaluator<'a>>,
    /// Working memory, created on first use.
    windows: Option<(Pooled<Window>, Pooled<Window>)>,
    account: Account,
}

impl Evaluator<'_> {
    pub(super) fn is_term(&self) -> bool {
        matches!(self, Self::Term(_))
    }

    /// Returns the first document at or after `from` that may match.
    pub(crate) fn next(&mut self, from: u32) -> Result<u32> {
        Ok(match self {
            Self::Nothing => END,
            Self::All(count) => {
                if from < *count {
                    from
                } else {
                    END
                }
            }
            Self::Set(set) => set.next(from).unwrap_or(END),
            Self::Term(term) => term.cursor.seek(from)?,
            Self::Union(union) => union.next(from),
            Self::Phrase(phrase) => phrase.next(from)?,
            Self::MultiPhrase(phrase) => phrase.next(from)?,
            Self::Any(parts, _) => least(parts.iter_mut().map(|part| part.next(from)))?,
            Self::Bool(parts) if parts.must.is_empty() => least(parts.should.iter_mut().map(|part| part.next(from)))?,
            Self::Bool(parts) => greatest(parts.must.iter_mut().map(|part| part.next(from)))?,
        })
    }

    /// Adds the matches and points of the documents in the window that begins at `start`. `start`
    /// must not decrease between calls.
    pub(crate) fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::All(count) => {
                let len = count.saturating_sub(start).min(WINDOW) as usize;
                for (index, word) in out.mask.iter_mut().enumerate().take(len.div_ceil(64)) {
                    *word |= if len >= index * 64 + 64 { u64::MAX } else { (1 << (len % 64)) - 1 };
                }
                Ok(())
            }
            Self::Set(set) => {
                let words = set.words().get((start / 64) as usize..).unwrap_or_default();
                out.mask.iter_mut().zip(words).for_each(|(mask, word)| *mask |= word);
                Ok(())
            }
            Self::Term(term) => {
                let Term { cursor, scorer } = &mut **term;
                cursor.visit(start, start + WINDOW, |cursor, end| {
                    let (documents, points) = cursor.points(scorer)?;
                    for (document, points) in documents[..end].iter().zip(points) {
                        out.add(document - start, *points);
                    }
                    Ok(())
                })
            }
            Self::Union(union) => {
                union.eval(start, out);
                Ok(())
            }
            Self::Phrase(phrase) => phrase.eval(start, out),
            Self::MultiPhrase(phrase) => phrase.eval(start, out),
            Self::Any(parts, account) => parts.iter_mut().try_for_each(|part| {
                account.charge(WINDOW_WORDS)?;
                part.eval(start, out)
            }),
            Self::Bool(parts) => parts.eval(start, out),
        }
    }
}

impl<'a> Bool<'a> {
    /// Returns whether it consists only of required terms.
    pub(super) fn has_only_terms_to_match(&self) -> bool {
        self.should.is_empty() && self.must_not.is_empty() && self.must.iter().all(Evaluator::is_term)
    }

    pub(crate) fn new(
        must: Vec<Evaluator<'a>>,
        should: Vec<Evaluator<'a>>,
        must_not: Vec<Evaluator<'a>>,
        account: Account,
    ) -> Self {
        Self { must, should, must_not, windows: None, account }
    }

    fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        let Self { must, should, must_not, windows, account } = self;
        // Each part clears and combines a window.
        account.charge((must.len() + should.len() + must_not.len()) * WINDOW_WORDS)?;
        let (own, part) = windows.get_or_insert_with(|| (Window::new(), Window::new()));
        for (index, wanted) in must.iter_mut().enumerate() {
            if index == 0 {
                wanted.eval(start, own)?;
                continue;
            }
            if own.is_empty() {
                return Ok(());
            }
            wanted.eval(start, part)?;
            own.retain(|word| part.mask[word]);
            own.absorb(part, false);
            part.clear();
        }
        for optional in should {
            optional.eval(start, part)?;
            own.absorb(part, must.is_empty());
            part.clear();
        }
        for unwanted in must_not {
            if own.is_empty() {
                break;
            }
            unwanted.eval(start, part)?;
            own.retain(|word| !part.mask[word]);
            part.clear();
        }
        out.absorb(own, true);
        own.clear();
        Ok(())
    }
}
