//! Words by the rules of Unicode: what is chosen of them.

use super::language::{Language, Stemmer};
use super::spec::{Cjk, WordsSpec};

/// Folds text, then cuts it into words by the rules of Unicode (UAX #29) and at every sign inside
/// them.
///
/// * Folding: compatibility forms (NFKC), case, what is not seen (soft hyphens, joiners, marks of
///   direction), apostrophes, the vowel points of Arabic and Hebrew, accents of Latin and Greek
///   letters: `Café` is `cafe`, `Straße` is `strasse`, `Łódź` is `lodz`. `й` is not `и`.
/// * Words are letters and digits: `big_bad_wolf.txt` is four words, `l'avion` two, `v6.2.8` four.
///   A query with such signs is cut in the same way and finds the words as a phrase. `C++`, `C#`,
///   `.NET` and `node.js` are forms of their own besides, which a query prefers.
/// * Hebrew acronyms keep their gershayim, and an emoji with all that belongs to it is one word.
/// * Chinese, Japanese and Korean: two neighbouring characters each (bigrams), and each by itself:
///   `東京都` is found by `東京`, `京都` and `都`.
/// * A word longer than 200 bytes is indexed by its beginning and a digest.
/// * By choice, words are reduced to their stems and frequent ones left out, by the rules of one or
///   several languages.
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
    /// Makes the words of a description.
    pub fn of_spec(spec: WordsSpec) -> Self {
        let stemmers: Vec<Stemmer> = spec.stems.iter().map(|language| Stemmer::new(*language)).collect();
        let frequent = spec.stop_words.iter().flat_map(|language| language.frequent_words().split_whitespace());
        let mut left_out: Vec<String> = frequent.map(str::to_owned).chain(spec.left_out.iter().cloned()).collect();
        left_out.sort_unstable();
        left_out.dedup();
        let mut identity = "unicode-words/3 nfkc-folded cut-at-signs".to_owned();
        identity.push_str(if spec.cjk == Cjk::Bigrams { " cjk-bigrams" } else { " cjk-bigrams-unigrams" });
        identity.push_str(if spec.camel_case { " camel-case" } else { "" });
        identity.push_str(if spec.joined { " joined" } else { "" });
        for stemmer in &stemmers {
            identity.push_str(&format!(" {}", stemmer.identity()));
        }
        if !left_out.is_empty() {
            // FNV-1a over the words and a zero behind each.
            let bytes = left_out.iter().flat_map(|word| word.bytes().chain([0]));
            let hash = bytes
                .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            identity.push_str(&format!(" without-{hash:016x}"));
        }
        Self { spec, stemmers, left_out, identity }
    }

    /// Reduces words to their stems by the rules of a language, before accents are folded. Several
    /// languages follow each other in the order in which they are given.
    #[must_use]
    pub fn stem(self, language: Language) -> Self {
        let languages: Vec<Language> = self.spec.stems.iter().copied().chain([language]).collect();
        Self::of_spec(WordsSpec { stems: WordsSpec::of_languages(languages).stems, ..self.spec })
    }

    /// Leaves out the most frequent words of a language; they keep their positions.
    #[must_use]
    pub fn leave_out(mut self, language: Language) -> Self {
        self.spec.stop_words.insert(language);
        Self::of_spec(self.spec)
    }

    /// Leaves out these words, compared in lower case with their accents; they keep their
    /// positions.
    #[must_use]
    pub fn leave_out_words<W: AsRef<str>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.spec.left_out.extend(words.into_iter().map(|word| word.as_ref().to_lowercase()));
        Self::of_spec(self.spec)
    }

    /// Indexes the parts of words in camel case too: `getUserName` is found by `user`.
    #[must_use]
    pub fn camel_case(mut self) -> Self {
        self.spec.camel_case = true;
        Self::of_spec(self.spec)
    }

    /// Takes words that hyphens join for one word too: `wi-fi` and `wifi` find each other.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.spec.joined = true;
        Self::of_spec(self.spec)
    }

    pub(super) fn spec(&self) -> &WordsSpec {
        &self.spec
    }

    /// Whether words are only folded.
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

    /// Reduces a word in lower case to its stem.
    pub(super) fn stem_word(&self, word: &mut String) {
        self.stemmers.iter().for_each(|stemmer| stemmer.stem(word));
    }
}
