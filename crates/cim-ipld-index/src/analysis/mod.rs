//! Analysis: from text to the words that are indexed.

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

/// The longest word that is indexed, in bytes after folding. Of a longer one the beginning is
/// indexed, with a digest of the whole, so that it is found by both.
pub const MAX_WORD_BYTES: usize = 255;

/// Cuts text into words, for indexing and for searching alike.
///
/// The default is [`UnicodeWords`] without stemming; any [`Analyze`] will do. All parts of an index
/// must have the same: each segment records its [`identity`](Self::identity), and parts of
/// different ones refuse each other.
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
    /// Known here, so that a word costs no call through a table.
    Unicode(Arc<UnicodeWords>),
    Other(Arc<dyn Analyze>),
}

/// A way to cut text into words.
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
    /// Returns the name under which segments record the analyzer; equal names mean equal words, so
    /// whatever changes words changes the name.
    fn identity(&self) -> &str;

    /// Calls `each` for every word, in the order of their positions, and returns the number of
    /// positions the text takes.
    ///
    /// A word that is left out may take a position, so that no phrase closes over it. A word of no
    /// bytes, one of more than [`MAX_WORD_BYTES`] and one out of order are not indexed.
    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32;

    /// Cuts a piece of a query; as [`analyze`](Self::analyze) unless the index holds more words
    /// than a query should ask for, such as synonyms or parts of words. Words at one position must
    /// then all be at one position of a document.
    fn analyze_query(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        self.analyze(text, each)
    }
}

/// What a token is to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    /// A word: it counts for the length of its field, phrases and scores are made of it.
    Word,
    /// A form of its own of several words or of a word with signs (`node.js`, `C++`), at the first
    /// one's position.
    Compound,
    /// A word before it is reduced to its stem, for what looks at the letters of words. All words
    /// have it, or none has.
    Unstemmed,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Word, Self::Compound, Self::Unstemmed];
}

/// What a text is cut for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For an index: whatever can find the text.
    Index,
    /// For a query: what finds it in the fewest words.
    Query,
}

/// One word of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The word as it is indexed.
    pub word: &'a str,
    /// The number of positions before it; words at one position stand for each other.
    pub position: u32,
    /// Where it starts in the text, in bytes.
    pub start: usize,
    /// Where it ends in the text, in bytes.
    pub end: usize,
}

impl Analyzer {
    /// Makes an analyzer of your own.
    pub fn new(analyze: impl Analyze + 'static) -> Self {
        Self { kind: Kind::Other(Arc::new(analyze)) }
    }

    /// Returns the name under which segments record this analyzer; equal names mean equal words.
    pub fn identity(&self) -> &str {
        match &self.kind {
            Kind::Unicode(words) => words.identity(),
            Kind::Other(other) => other.identity(),
        }
    }

    /// Returns the words of `text` as they are indexed.
    pub fn words(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        self.analyze(text, &mut Scratch::default(), |form, token| {
            if form == Form::Word {
                words.push(token.word.to_owned());
            }
        });
        words
    }

    /// Makes the analyzer of a description.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnalyzerMismatch`](crate::ErrorKind::AnalyzerMismatch) if it is one of an
    /// application: only the application has it.
    pub fn from_spec(spec: &AnalyzerSpec) -> Result<Self> {
        match spec {
            AnalyzerSpec::Words(words) => Ok(UnicodeWords::of_spec(words.clone()).into()),
            AnalyzerSpec::Custom(identity) => Err(Error::new(
                ErrorKind::AnalyzerMismatch,
                format!("the index has the analyzer `{identity}` of an application, which must be given to open it"),
            )),
        }
    }

    /// Returns the description of the analyzer.
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

    /// Calls `each` for every token that is indexed and returns the number of positions the text
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

    /// The form of the words whose letters are looked at: by prefixes, wildcards and fuzzy words.
    pub(crate) fn unstemmed_form(&self) -> Form {
        match &self.kind {
            Kind::Unicode(words) if words.has_stems() => Form::Unstemmed,
            Kind::Unicode(_) | Kind::Other(_) => Form::Word,
        }
    }

    /// Returns a word as its beginning is looked for, where [`analyze`](Self::analyze) leaves it
    /// out.
    pub(crate) fn fold(&self, word: &str) -> Option<String> {
        match &self.kind {
            Kind::Unicode(_) => tokenize::fold_one(word),
            Kind::Other(_) => None,
        }
    }
}

/// Takes from an analyzer that is not ours only what an index can hold.
fn checked(analyze: &dyn Analyze, mode: Mode, text: &str, mut each: impl FnMut(Token<'_>)) -> u32 {
    let mut next = 0;
    let mut words_there: Vec<String> = Vec::new();
    let mut take = |token: Token<'_>| {
        let is_place = token.start <= token.end && text.get(token.start..token.end).is_some();
        // No more positions than bytes, as with words that do not overlap, and a few for words made
        // up.
        let is_position = token.position >= next && token.position as usize <= text.len();
        if is_place && is_position && (1..=MAX_WORD_BYTES).contains(&token.word.len()) {
            if token.position > next {
                words_there.clear();
            }
            next = token.position;
            // An index holds a word once at a position.
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
