//! The words of a query, cut as the index cuts its texts.

use super::emit::beginning;
use super::word_delimiter::without_hyphens;
use super::{Analyzer, Form, Mode, Scratch};

/// The words that a piece of query text stands for, in the form in which an index holds them.
///
/// One word is looked up; several are a phrase, each at its position. Where the text has a form of
/// its own that its words do not tell apart from others, such as `C++` or `node.js`, that form is
/// in `whole`: documents that have it match better.
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
    /// The words, in the order of their positions.
    pub words: Vec<QueryWord>,
    /// The forms of their own, each at the position of its first word.
    pub compounds: Vec<QueryWord>,
    /// The text as one word, where an index finds words that hyphens join by either: as good as all
    /// of the others.
    pub joined: Option<QueryWord>,
}

/// One word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryWord {
    /// The word as an index holds it.
    pub text: String,
    /// The number of positions before it in the query text.
    pub position: u32,
}

/// The words of a query text whose last word is the beginning of a word, or is to be matched
/// otherwise by its letters.
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
    /// The last word: folded, never reduced to its stem.
    pub last: QueryWord,
}

impl Analyzer {
    /// Cuts a piece of query text into the words that an index of this analyzer holds.
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

    /// Cuts a piece of query text whose last word is incomplete; `None` if it has no word.
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
        // The beginning of a word may be a word that is left out.
        let Some(stem) = before.pop() else {
            return Some(QueryPrefix { before, last: QueryWord { text: self.fold(text)?, position: 0 } });
        };
        let mut last = last.filter(|unstemmed| unstemmed.position == stem.position).unwrap_or(stem);
        last.text.truncate(beginning(&last.text).len());
        Some(QueryPrefix { before, last })
    }
}
