//! Splits query text into the words that the index stores.

use super::emit::beginning;
use super::word_delimiter::without_hyphens;
use super::{Analyzer, Form, Mode, Scratch};

/// The words of a piece of query text, in their indexed form.
///
/// One word is a term query; several are a phrase query with the given positions. If the text also
/// has a compound form that its words alone do not distinguish, such as `C++` or `node.js`, that
/// form is in `compounds`, and documents that contain it rank higher.
///
/// ```
/// use cim_ipld_index::Analyzer;
///
/// let cut = Analyzer::default().query_words("node.js");
/// let words: Vec<_> = cut.words.iter().map(|word| (word.text.as_str(), word.position)).collect();
/// assert_eq!(words, [("node", 0), ("js", 1)]);
/// assert_eq!(cut.compounds[0].text, "node.js");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueryWords {
    /// The words, in order of position.
    pub words: Vec<QueryWord>,
    /// The compound forms, each at the position of its first word.
    pub compounds: Vec<QueryWord>,
    /// The hyphenated text as one word, if the index also stores hyphenated words that way. It is
    /// an alternative to the other words.
    pub joined: Option<QueryWord>,
}

/// One word of a query.
///
/// ```
/// use cim_ipld_index::{Analyzer, QueryWord};
///
/// let cut = Analyzer::default().query_words("Moby-Dick");
/// let QueryWord { text, position, .. } = &cut.words[1];
/// assert_eq!((text.as_str(), *position), ("dick", 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryWord {
    /// The word in its indexed form.
    pub text: String,
    /// The number of positions before the word in the query text.
    pub position: u32,
}

/// The words of a query text whose last word is a prefix or fuzzy.
///
/// ```
/// use cim_ipld_index::Analyzer;
///
/// let cut = Analyzer::from_spec(&"en".parse()?)?.query_prefix("net installa").expect("it has words");
/// assert_eq!((cut.before[0].text.as_str(), cut.last.text.as_str()), ("net", "installa"));
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryPrefix {
    /// The words before the last.
    pub before: Vec<QueryWord>,
    /// The last word, folded but not stemmed.
    pub last: QueryWord,
}

impl Analyzer {
    /// Splits a piece of query text into words in their indexed form.
    pub fn query_words(&self, text: &str) -> QueryWords {
        let mut cut = self.cut(text);
        if let super::Kind::Unicode(words) = &self.kind
            && words.spec().joined
        {
            let mut joined = without_hyphens(text).map(|joined| self.cut(&joined).words).unwrap_or_default();
            cut.joined = joined.pop().filter(|_| joined.is_empty());
        }
        cut
    }

    fn cut(&self, text: &str) -> QueryWords {
        let mut cut = QueryWords::default();
        self.visit(text, Mode::Query, &mut Scratch::default(), |form, token| {
            let word = QueryWord { text: token.word.to_owned(), position: token.position };
            match form {
                Form::Word => cut.words.push(word),
                Form::Compound => cut.compounds.push(word),
                Form::Unstemmed => {}
            }
        });
        cut
    }

    /// Splits a piece of query text whose last word is incomplete. Returns `None` if it has no
    /// word.
    pub fn query_prefix(&self, text: &str) -> Option<QueryPrefix> {
        let (mut before, mut last): (Vec<QueryWord>, Option<QueryWord>) = (Vec::new(), None);
        self.visit(text, Mode::Query, &mut Scratch::default(), |form, token| {
            let word = QueryWord { text: token.word.to_owned(), position: token.position };
            match form {
                Form::Word => before.push(word),
                Form::Unstemmed => last = Some(word),
                Form::Compound => {}
            }
        });
        // The prefix may itself be a stop word.
        let Some(stem) = before.pop() else {
            return Some(QueryPrefix { before, last: QueryWord { text: self.fold(text)?, position: 0 } });
        };
        let mut last = last.filter(|unstemmed| unstemmed.position == stem.position).unwrap_or(stem);
        last.text.truncate(beginning(&last.text).len());
        Some(QueryPrefix { before, last })
    }
}
