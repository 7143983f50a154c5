//! Words by the rules of Unicode, with options.

use super::language::{Language, Stemmer};
use super::spec::{Cjk, WordsSpec};

/// Folds text, then splits it into words by the rules of Unicode (UAX #29) and at punctuation
/// inside them.
///
/// * Folding removes differences of compatibility forms (NFKC), case, invisible characters (soft
///   hyphens, joiners, direction marks), apostrophes, Arabic and Hebrew vowel points, and accents
///   of Latin and Greek letters: `Café` becomes `cafe`, `Straße` `strasse`, `Łódź` `lodz`. `й` and
///   `и` stay distinct.
/// * Words consist of letters and digits: `big_bad_wolf.txt` is four words, `l'avion` two, `v6.2.8`
///   four. A query with punctuation is split in the same way, and matches its words as a phrase.
///   `C++`, `C#`, `.NET` and `node.js` are additionally indexed as compound forms, which rank
///   higher.
/// * Hebrew acronyms keep their gershayim, and an emoji with its modifiers is one word.
/// * Chinese, Japanese and Korean text is indexed as bigrams of neighbouring characters and as
///   single characters: `東京`, `京都` and `都` all find `東京都`.
/// * A word longer than 200 bytes is indexed as a prefix and a digest.
/// * Optionally, words are stemmed and stop words left out, for one or several languages.
///
/// ```
/// use cim_ipld_index::{Analyzer, Language, UnicodeWords};
///
/// let german = Analyzer::from(UnicodeWords::default().stem(Language::German));
/// assert_eq!(german.words("Häuser_in 東京"), ["haus", "in", "東京", "東", "京"]);
/// ```
#[derive(Debug, Clone)]
pub struct UnicodeWords {
    spec: WordsSpec,
    stemmers: Vec<Stemmer>,
    left_out: Vec<String>,
    pub(super) identity: String,
}

impl Default for UnicodeWords {
    fn default() -> Self {
        Self::of_spec(WordsSpec::default())
    }
}

impl UnicodeWords {
    /// Creates the analyzer that a specification describes.
    pub fn of_spec(spec: WordsSpec) -> Self {
        let stemmers: Vec<Stemmer> = spec.stems.iter().map(|language| Stemmer::new(*language)).collect();
        let frequent = spec.stop_words.iter().flat_map(|language| language.frequent_words().split_whitespace());
        let mut left_out: Vec<String> = frequent.map(str::to_owned).chain(spec.left_out.iter().cloned()).collect();
        left_out.sort_unstable();
        left_out.dedup();
        let mut identity = "unicode-words/4 nfkc-folded cut-at-signs".to_owned();
        identity.push_str(if spec.cjk == Cjk::Bigrams { " cjk-bigrams" } else { " cjk-bigrams-unigrams" });
        identity.push_str(if spec.camel_case { " camel-case" } else { "" });
        identity.push_str(if spec.joined { " joined" } else { "" });
        for stemmer in &stemmers {
            identity.push_str(&format!(" {}", stemmer.identity()));
        }
        if !left_out.is_empty() {
            // FNV-1a over the words, each followed by a zero byte.
            let bytes = left_out.iter().flat_map(|word| word.bytes().chain([0]));
            let hash = bytes
                .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            identity.push_str(&format!(" without-{hash:016x}"));
        }
        Self { spec, stemmers, left_out, identity }
    }

    /// Stems words by the rules of a language, before accents are removed. Several languages are
    /// applied in the order in which they are added.
    #[must_use]
    pub fn stem(self, language: Language) -> Self {
        let languages: Vec<Language> = self.spec.stems.iter().copied().chain([language]).collect();
        Self::of_spec(WordsSpec { stems: WordsSpec::of_languages(languages).stems, ..self.spec })
    }

    /// Leaves out the stop words of a language. A word that is left out still takes a position.
    #[must_use]
    pub fn leave_out(mut self, language: Language) -> Self {
        self.spec.stop_words.insert(language);
        Self::of_spec(self.spec)
    }

    /// Leaves out these words, which are compared in lower case, accents included. A word that is
    /// left out still takes a position.
    #[must_use]
    pub fn leave_out_words<W: AsRef<str>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.spec.left_out.extend(words.into_iter().map(|word| word.as_ref().to_lowercase()));
        Self::of_spec(self.spec)
    }

    /// Also indexes the parts of camel-case words, so that `user` finds `getUserName`.
    #[must_use]
    pub fn camel_case(mut self) -> Self {
        self.spec.camel_case = true;
        Self::of_spec(self.spec)
    }

    /// Also indexes hyphenated words as one word, so that `wi-fi` and `wifi` find each other.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.spec.joined = true;
        Self::of_spec(self.spec)
    }

    pub(super) fn spec(&self) -> &WordsSpec {
        &self.spec
    }

    /// Returns whether words are only folded.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.stemmers.is_empty() && self.left_out.is_empty()
    }

    #[inline]
    pub(super) fn has_extras(&self) -> bool {
        self.spec.camel_case || self.spec.joined
    }

    pub(super) fn has_stems(&self) -> bool {
        !self.stemmers.is_empty()
    }

    pub(super) fn leaves_out(&self, word: &str) -> bool {
        self.left_out.binary_search_by(|known| known.as_str().cmp(word)).is_ok()
    }

    pub(super) fn drops_possessives(&self) -> bool {
        self.spec.stems.contains(&Language::English)
    }

    /// Reduces a lower-case word to its stem.
    pub(super) fn stem_word(&self, word: &mut String) {
        self.stemmers.iter().for_each(|stemmer| stemmer.stem(word));
    }
}
