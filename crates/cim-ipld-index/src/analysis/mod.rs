//! Analysis: from text to the words that are indexed.

mod bigrams;
mod language;
mod unicode;

use std::fmt;
use std::sync::Arc;

pub use language::Language;
pub use unicode::UnicodeWords;
pub(crate) use unicode::{Scratch, fold_keyword};

/// The longest word that is indexed, in bytes after folding; longer ones take a position but cannot be found.
pub const MAX_WORD_BYTES: usize = 255;

/// Cuts text into words, for indexing and for searching alike.
///
/// The default is [`UnicodeWords`] without stemming; any [`Analyze`] will do. All parts of an index must have the same:
/// each segment records its [`identity`](Self::identity), and parts of different ones refuse each other.
///
/// ```
/// use cim_ipld_index::{Analyzer, Language, UnicodeWords};
///
/// let words = Analyzer::default().words("The Café's 2nd-best CRÈME");
/// assert_eq!(words, ["the", "cafe's", "2nd", "best", "creme"]);
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
    /// Returns the name under which segments record the analyzer; equal names mean equal words, so whatever changes words
    /// changes the name.
    fn identity(&self) -> &str;

    /// Calls `each` for every word, in the order of their positions, and returns the number of positions the text takes.
    ///
    /// A word that is left out may take a position, so that no phrase closes over it. A word of no bytes, one of more than
    /// [`MAX_WORD_BYTES`] and one out of order are not indexed.
    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32;
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
        self.analyze(text, &mut Scratch::default(), |token| words.push(token.word.to_owned()));
        words
    }

    /// Calls `each` for every word that is indexed and returns the number of positions the text takes.
    #[inline]
    pub(crate) fn analyze(&self, text: &str, scratch: &mut Scratch, each: impl FnMut(Token<'_>)) -> u32 {
        match &self.kind {
            Kind::Unicode(words) => words.visit(text, scratch, each),
            Kind::Other(other) => checked(&**other, text, each),
        }
    }

    /// Returns a word as its beginning is looked for, where [`analyze`](Self::analyze) leaves it out.
    pub(crate) fn fold(&self, word: &str) -> Option<String> {
        match &self.kind {
            Kind::Unicode(_) => unicode::fold_one(word),
            Kind::Other(_) => None,
        }
    }
}

/// Takes from an analyzer that is not ours only what an index can hold.
fn checked(analyze: &dyn Analyze, text: &str, mut each: impl FnMut(Token<'_>)) -> u32 {
    let mut next = 0;
    let mut words_there: Vec<String> = Vec::new();
    let positions = analyze.analyze(text, &mut |token| {
        let is_place = token.start <= token.end && text.get(token.start..token.end).is_some();
        // No more positions than bytes, as with words that do not overlap, and a few for words made up.
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
    });
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
mod tests {
    use super::unicode::fold;
    use super::*;
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    #[test]
    fn words_are_cut_and_folded() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  --  ", &[]),
            ("Hello, World!", &["hello", "world"]),
            ("foo_bar baz-qux", &["foo_bar", "baz", "qux"]),
            ("can't 3.14 a.b 1,000;2", &["can't", "3.14", "a.b", "1,000;2"]),
            ("__ _a_", &["_a_"]),
            ("Straße ΣΊΣΥΦΟΣ İstanbul", &["strasse", "σισυφοσ", "istanbul"]),
            ("Ångström naïve ﬁne", &["angstrom", "naive", "fine"]),
        ];
        for (text, words) in cases {
            assert_eq!(Analyzer::default().words(text), *words, "{text:?}");
        }
    }

    #[test]
    fn a_word_that_is_too_long_takes_a_position_but_is_not_indexed() {
        let text = format!("a {} b", "x".repeat(MAX_WORD_BYTES + 1));
        let mut seen = Vec::new();
        let positions = Analyzer::default().analyze(&text, &mut Scratch::default(), |token| {
            seen.push((token.word.to_owned(), token.position));
        });
        assert_eq!(seen, [("a".to_owned(), 0), ("b".to_owned(), 2)]);
        assert_eq!(positions, 3);
    }

    #[test]
    fn east_asian_text_is_cut_into_pairs() {
        let cases: &[(&str, &[&str])] = &[
            ("東京都", &["東京", "京都"]),
            ("東 京都", &["東", "京都"]),
            ("한국어 한", &["한국", "국어", "한"]),
            ("ﾊﾟｿｺﾝ", &["パソ", "ソコ", "コン"]),
            ("私はRustを", &["私は", "rust", "を"]),
            ("漢字とカナ", &["漢字", "字と", "とカ", "カナ"]),
            ("𠮷野家", &["𠮷野", "野家"]),
            ("ガ\u{304b}\u{3099}", &["ガが"]),
        ];
        for (text, words) in cases {
            assert_eq!(Analyzer::default().words(text), *words, "{text:?}");
        }
        let decomposed: String = unicode_normalization::UnicodeNormalization::nfd("한국어").collect();
        assert_eq!(Analyzer::default().words(&decomposed), ["한국", "국어"]);
    }

    #[test]
    fn stems_and_frequent_words_are_those_of_the_language() {
        // The stems are part of the identity: a release of the dependency that gives others is another analyzer.
        let cases: &[(Language, &str, &[&str])] = &[
            (
                Language::English,
                "The Connections were being generously fishing",
                &["connect", "were", "be", "generous", "fish"],
            ),
            (Language::German, "Die Häuser und der Automaten", &["haus", "automat"]),
            (Language::French, "les chevaux étaient généreusement", &["cheval", "etaient", "gener"]),
            (Language::Greek, "και οι θάλασσες", &["θαλασσ"]),
            (Language::Russian, "красивые и книги", &["красив", "книг"]),
            (Language::Spanish, "las canciones", &["cancion"]),
        ];
        for (language, text, words) in cases {
            let analyzer = Analyzer::from(UnicodeWords::default().stem(*language).leave_out(*language));
            assert_eq!(analyzer.words(text), *words, "{text:?}");
        }
    }

    #[test]
    fn identities_tell_analyzers_apart() {
        let words = UnicodeWords::default;
        let all = [
            words(),
            words().stem(Language::English),
            words().stem(Language::German),
            words().leave_out(Language::English),
            words().leave_out_words(["x", "y"]),
            words().stem(Language::English).leave_out(Language::English),
        ];
        let identities: std::collections::BTreeSet<_> = all.iter().map(|words| words.identity()).collect();
        assert_eq!(identities.len(), all.len());
        let swapped = words().leave_out_words(["y", "x"]).stem(Language::English);
        assert_eq!(Analyzer::from(swapped), words().stem(Language::English).leave_out_words(["X", "y", "x"]).into());
    }

    #[test]
    fn words_left_out_keep_their_positions() {
        let analyzer = Analyzer::from(UnicodeWords::default().leave_out(Language::English));
        let mut seen = Vec::new();
        let positions = analyzer.analyze("the cat and the dog is", &mut Scratch::default(), |token| {
            seen.push((token.word.to_owned(), token.position));
        });
        assert_eq!((seen, positions), (vec![("cat".to_owned(), 1), ("dog".to_owned(), 4)], 6));
    }

    /// Breaks every rule.
    #[derive(Debug)]
    struct Unruly;

    impl Analyze for Unruly {
        fn identity(&self) -> &str {
            "unruly"
        }

        fn analyze(&self, _: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
            let long = "x".repeat(MAX_WORD_BYTES + 1);
            let tokens =
                [("a", 0, 0, 1), ("b", 0, 0, 1), ("a", 0, 0, 1), ("", 1, 0, 1), (&long, 1, 0, 1), ("c", 2, 0, 1)];
            let wrong = [("d", 1, 0, 1), ("e", 3, 1, 0), ("f", 3, 0, 2), ("g", u32::MAX, 0, 1), ("h", 3, 0, 99)];
            for (word, position, start, end) in tokens.into_iter().chain(wrong) {
                each(Token { word, position, start, end });
            }
            u32::MAX
        }
    }

    #[test]
    fn an_analyzer_of_another_gives_only_what_an_index_can_hold() {
        let mut seen = Vec::new();
        let positions = Analyzer::new(Unruly).analyze("aéb", &mut Scratch::default(), |token| {
            seen.push((token.word.to_owned(), token.position));
        });
        assert_eq!(seen, [("a".to_owned(), 0), ("b".to_owned(), 0), ("c".to_owned(), 2)]);
        assert_eq!(positions, 5);
    }

    proptest! {
        #[test]
        fn the_ascii_path_cuts_as_the_unicode_path_does(text in "[\\x00-\\x7f]{0,60}") {
            let expected: Vec<String> =
                text.unicode_words().map(|word| word.to_ascii_lowercase()).collect();
            prop_assert_eq!(Analyzer::default().words(&text), expected);
        }

        #[test]
        fn tokens_name_their_place(text in "\\PC{0,60}") {
            Analyzer::default().analyze(&text, &mut Scratch::default(), |token| {
                let mut folded = String::new();
                fold(&text[token.start..token.end], &mut folded);
                assert_eq!(folded, token.word);
            });
        }

        #[test]
        fn stemming_takes_any_text(text in prop_oneof!["\\PC{0,60}", "[a-zäöüßéèçñåøæ' ]{0,60}", "[α-ωά-ώ ]{0,40}", "[а-яё ]{0,40}"]) {
            for language in Language::ALL {
                let analyzer = Analyzer::from(UnicodeWords::default().stem(language));
                analyzer.analyze(&text, &mut Scratch::default(), |token| {
                    assert!(text.get(token.start..token.end).is_some() && !token.word.is_empty());
                });
            }
        }
    }
}
