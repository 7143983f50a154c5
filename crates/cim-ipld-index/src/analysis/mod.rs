//! Analysis: turns text into the words that are indexed.

mod bigrams;
mod emit;
mod fold;
mod language;
mod query;
mod spec;
mod tokenize;
mod unicode;
mod word_delimiter;

use std::fmt;
use std::sync::Arc;

pub(crate) use fold::fold_keyword;
pub use language::Language;
pub use query::{QueryPrefix, QueryWord, QueryWords};
pub use spec::{AnalyzerSpec, Cjk, WordsSpec};
pub(crate) use tokenize::Scratch;
pub use unicode::UnicodeWords;

use crate::error::{Error, ErrorKind, Result};

/// The maximum length of an indexed word, in bytes after folding. [`UnicodeWords`] shortens a word
/// of more than 200 bytes to a prefix of at most 200 bytes and a digest of the whole word, so that
/// the word is found by prefix and by exact match.
pub const MAX_WORD_BYTES: usize = 255;

/// Splits text into words, for both indexing and searching.
///
/// The default is [`UnicodeWords`] without stemming; any [`Analyze`] implementation can be used.
/// All parts of an index must share one analyzer: each segment records the analyzer's
/// [`identity`](Self::identity), and parts with different identities cannot be combined.
///
/// ```
/// use cim_ipld_index::{Analyzer, Language, UnicodeWords};
///
/// let words = Analyzer::default().words("The Café's 2nd-best CRÈME");
/// assert_eq!(words, ["the", "cafe", "s", "2nd", "best", "creme"]);
///
/// let english = Analyzer::from(UnicodeWords::default().stem(Language::English).leave_out(Language::English));
/// assert_eq!(english.words("The whales were singing"), ["whale", "were", "sing"]);
/// ```
#[derive(Clone)]
pub struct Analyzer {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// A known type, so that tokens are produced without dynamic dispatch.
    Unicode(Arc<UnicodeWords>),
    Other(Arc<dyn Analyze>),
}

/// An algorithm that splits text into words.
///
/// ```
/// use cim_ipld_index::{Analyze, Analyzer, MemoryIndex, Token};
///
/// /// Words between commas.
/// #[derive(Debug)]
/// struct Commas;
///
/// impl Analyze for Commas {
///     fn identity(&self) -> &str {
///         "example.org commas/1"
///     }
///
///     fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
///         let (mut position, mut start) = (0, 0);
///         for word in text.split(',') {
///             each(Token { word: &word.to_lowercase(), position, start, end: start + word.len() });
///             (position, start) = (position + 1, start + word.len() + 1);
///         }
///         position
///     }
/// }
///
/// let analyzer = Analyzer::new(Commas);
/// assert_eq!(analyzer.words("Moby Dick,Whale"), ["moby dick", "whale"]);
/// let index = MemoryIndex::with_analyzer(analyzer);
/// ```
pub trait Analyze: fmt::Debug + Send + Sync {
    /// Returns the name under which segments record the analyzer. Equal names must mean equal
    /// words, so any change to the words must change the name.
    fn identity(&self) -> &str;

    /// Calls `each` with every word, in order of position, and returns the number of positions that
    /// the text takes.
    ///
    /// A word that is left out may still take a position, so that no phrase matches across it.
    /// Empty words, words longer than [`MAX_WORD_BYTES`] and words out of order are not indexed.
    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32;

    /// Splits a piece of query text. The default implementation calls [`analyze`](Self::analyze).
    /// Override this method if the index contains more words than a query should require, such as
    /// synonyms or word parts. If the query has several words at one position, a document matches
    /// only if it has all of them at one position.
    fn analyze_query(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        self.analyze(text, each)
    }
}

/// The form of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    /// A word. It counts towards the length of its field, and phrases and scores are based on it.
    Word,
    /// A compound form of several words, or of a word with punctuation (`node.js`, `C++`), at the
    /// position of its first word.
    Compound,
    /// A word before stemming, for prefix, wildcard and fuzzy queries. Either all words are also
    /// indexed in this form, or none are.
    Unstemmed,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Word, Self::Compound, Self::Unstemmed];
}

/// The purpose of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Indexing: all words by which the text can be found.
    Index,
    /// Searching: the fewest words that find the text.
    Query,
}

/// One word of a text.
///
/// ```
/// use cim_ipld_index::{Analyze, Token, UnicodeWords};
///
/// let mut spans = Vec::new();
/// UnicodeWords::default().analyze("Call me", &mut |Token { word, position, start, end }| {
///     spans.push((word.to_owned(), position, start..end));
/// });
/// assert_eq!(spans, [("call".to_owned(), 0, 0..4), ("me".to_owned(), 1, 5..7)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The word in its indexed form.
    pub word: &'a str,
    /// The number of positions before the word. In a document, words at the same position are
    /// alternatives; in a query, all of them are required.
    pub position: u32,
    /// The start of the word in the text, in bytes.
    pub start: usize,
    /// The end of the word in the text, in bytes.
    pub end: usize,
}

impl Analyzer {
    /// Creates an analyzer from a custom [`Analyze`] implementation.
    pub fn new(analyze: impl Analyze + 'static) -> Self {
        Self { kind: Kind::Other(Arc::new(analyze)) }
    }

    /// Returns the name under which segments record this analyzer. Equal names mean equal words.
    pub fn identity(&self) -> &str {
        match &self.kind {
            Kind::Unicode(words) => words.identity(),
            Kind::Other(other) => other.identity(),
        }
    }

    /// Returns the words of `text` in their indexed form.
    pub fn words(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        self.analyze(text, &mut Scratch::default(), |form, token| {
            if form == Form::Word {
                words.push(token.word.to_owned());
            }
        });
        words
    }

    /// Creates the analyzer that a specification describes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnalyzerMismatch`](crate::ErrorKind::AnalyzerMismatch) for an
    /// [`AnalyzerSpec::Custom`], which only the application can create.
    pub fn from_spec(spec: &AnalyzerSpec) -> Result<Self> {
        match spec {
            AnalyzerSpec::Words(words) => Ok(UnicodeWords::of_spec(words.clone()).into()),
            AnalyzerSpec::Custom(identity) => Err(Error::new(
                ErrorKind::AnalyzerMismatch,
                format!("the index uses the custom analyzer `{identity}`, which must be provided to open it"),
            )),
        }
    }

    /// Returns the specification of the analyzer.
    ///
    /// ```
    /// use cim_ipld_index::{Analyzer, AnalyzerSpec};
    ///
    /// assert_eq!(Analyzer::default().spec(), AnalyzerSpec::default());
    /// ```
    pub fn spec(&self) -> AnalyzerSpec {
        match &self.kind {
            Kind::Unicode(words) => AnalyzerSpec::Words(words.spec().clone()),
            Kind::Other(other) => AnalyzerSpec::Custom(other.identity().to_owned()),
        }
    }

    /// Calls `each` with every indexed token and returns the number of positions that the text
    /// takes.
    #[inline]
    pub(crate) fn analyze(&self, text: &str, scratch: &mut Scratch, each: impl FnMut(Form, Token<'_>)) -> u32 {
        self.visit(text, Mode::Index, scratch, each)
    }

    #[inline]
    pub(crate) fn visit(
        &self,
        text: &str,
        mode: Mode,
        scratch: &mut Scratch,
        mut each: impl FnMut(Form, Token<'_>),
    ) -> u32 {
        match &self.kind {
            Kind::Unicode(words) => words.visit(text, mode, scratch, each),
            Kind::Other(other) => checked(&**other, mode, text, |token| each(Form::Word, token)),
        }
    }

    /// Returns the form that prefix, wildcard and fuzzy queries match against.
    pub(crate) fn unstemmed_form(&self) -> Form {
        match &self.kind {
            Kind::Unicode(words) if words.has_stems() => Form::Unstemmed,
            Kind::Unicode(_) | Kind::Other(_) => Form::Word,
        }
    }

    /// Returns the folded form of a typed prefix for which [`analyze`](Self::analyze) yields no
    /// word, such as a stop word.
    pub(crate) fn fold(&self, word: &str) -> Option<String> {
        match &self.kind {
            Kind::Unicode(_) => tokenize::fold_one(word),
            Kind::Other(_) => None,
        }
    }
}

/// Passes on only those tokens of a custom analyzer that an index can store.
fn checked(analyze: &dyn Analyze, mode: Mode, text: &str, mut each: impl FnMut(Token<'_>)) -> u32 {
    let mut next = 0;
    let mut words_there: Vec<String> = Vec::new();
    let mut take = |token: Token<'_>| {
        let is_place = token.start <= token.end && text.get(token.start..token.end).is_some();
        // A text has at most one position more than it has bytes.
        let is_position = token.position >= next && token.position as usize <= text.len();
        if is_place && is_position && (1..=MAX_WORD_BYTES).contains(&token.word.len()) {
            if token.position > next {
                words_there.clear();
            }
            next = token.position;
            // An index stores a word once per position.
            if words_there.iter().all(|known| known != token.word) {
                words_there.push(token.word.to_owned());
                each(token);
            }
        }
    };
    let positions = match mode {
        Mode::Index => analyze.analyze(text, &mut take),
        Mode::Query => analyze.analyze_query(text, &mut take),
    };
    positions.max(next.saturating_add(1)).min(text.len() as u32 + 1)
}

impl Default for Analyzer {
    fn default() -> Self {
        UnicodeWords::default().into()
    }
}

impl From<UnicodeWords> for Analyzer {
    fn from(words: UnicodeWords) -> Self {
        Self { kind: Kind::Unicode(Arc::new(words)) }
    }
}

impl PartialEq for Analyzer {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Analyzer {}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Analyzer({})", self.identity())
    }
}

#[cfg(test)]
mod tests;
