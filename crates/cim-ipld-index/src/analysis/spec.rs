//! The specification of an analyzer: small, comparable, and stored with the index that was built
//! with it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::language::Language;
use crate::encoding::wire::{Reader, put_bytes, put_varint};
use crate::error::{Error, ErrorKind, Result};

const VERSION: u8 = 1;
const WORDS: u8 = 0;
const CUSTOM: u8 = 1;
/// The maximum number of additional stop words in a specification.
const MAX_LEFT_OUT: usize = 10_000;
const MAX_NAME_BYTES: usize = 1024;

/// Specifies an analyzer. An index stores the specification, so that every process splits text the
/// same way.
///
/// [`Analyzer::from_spec`](crate::Analyzer::from_spec) creates the analyzer, and
/// [`Analyzer::spec`](crate::Analyzer::spec) returns its specification. A list of languages also
/// parses as a specification: `en,de` stems English and German.
///
/// ```
/// use cim_ipld_index::{Analyzer, AnalyzerSpec};
///
/// let spec: AnalyzerSpec = "en,de".parse()?;
/// let analyzer = Analyzer::from_spec(&spec)?;
/// assert_eq!(analyzer.words("Häuser sing"), ["haus", "sing"]);
/// assert_eq!(AnalyzerSpec::from_bytes(&analyzer.spec().to_bytes())?, spec);
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnalyzerSpec {
    /// [`UnicodeWords`](crate::UnicodeWords) with these options.
    Words(WordsSpec),
    /// A custom [`Analyze`](crate::Analyze) implementation, by its identity.
    Custom(String),
}

/// Specifies a [`UnicodeWords`](crate::UnicodeWords) analyzer.
///
/// ```
/// use cim_ipld_index::{Analyzer, AnalyzerSpec, Language, WordsSpec};
///
/// let spec = AnalyzerSpec::Words(WordsSpec::of_languages([Language::English]).without_stop_words());
/// assert_eq!(Analyzer::from_spec(&spec)?.words("The whales are singing"), ["whale", "sing"]);
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct WordsSpec {
    /// The languages whose stemmers are applied, in this order.
    pub stems: Vec<Language>,
    /// The languages whose stop words are left out.
    pub stop_words: BTreeSet<Language>,
    /// Additional stop words, in lower case.
    pub left_out: BTreeSet<String>,
    /// How Chinese, Japanese and Korean text is split.
    pub cjk: Cjk,
    /// Whether the parts of camel-case words are also indexed, so that `user` finds `getUserName`.
    pub camel_case: bool,
    /// Whether hyphenated words are also indexed as one word, so that `wi-fi` and `wifi` find each
    /// other.
    pub joined: bool,
}

/// How Chinese, Japanese and Korean text is split into words.
///
/// ```
/// use cim_ipld_index::{Analyzer, AnalyzerSpec, Cjk, WordsSpec};
///
/// let bigrams = AnalyzerSpec::Words(WordsSpec::default().with_cjk(Cjk::Bigrams));
/// assert_eq!(Analyzer::from_spec(&bigrams)?.words("東京都"), ["東京", "京都"]);
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Cjk {
    /// Pairs of neighbouring characters, and each single character, so that any substring is found.
    #[default]
    BigramsAndUnigrams,
    /// Pairs of neighbouring characters only. The index is smaller, but a single character is found
    /// only where no Chinese, Japanese or Korean character is next to it.
    Bigrams,
}

impl WordsSpec {
    /// Returns a specification that stems these languages.
    pub fn of_languages(languages: impl IntoIterator<Item = Language>) -> Self {
        let mut spec = Self::default();
        for language in languages {
            if !spec.stems.contains(&language) {
                spec.stems.push(language);
            }
        }
        spec
    }

    /// Leaves out the stop words of the languages that are stemmed.
    #[must_use]
    pub fn without_stop_words(mut self) -> Self {
        self.stop_words.extend(&self.stems);
        self
    }

    /// Sets how Chinese, Japanese and Korean text is split.
    #[must_use]
    pub fn with_cjk(mut self, cjk: Cjk) -> Self {
        self.cjk = cjk;
        self
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_languages(&self.stems, out);
        put_languages(&self.stop_words, out);
        put_varint(out, self.left_out.len() as u64);
        self.left_out.iter().for_each(|word| put_bytes(out, word.as_bytes()));
        out.push(match self.cjk {
            Cjk::BigramsAndUnigrams => 0,
            Cjk::Bigrams => 1,
        });
        out.push(u8::from(self.camel_case) | u8::from(self.joined) << 1);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let stems = read_languages(reader)?;
        let stop_words = read_languages(reader)?;
        let count = reader.count()?;
        if count > MAX_LEFT_OUT {
            return Err(Error::damaged("an analyzer's specification has too many stop words"));
        }
        let left_out: Vec<String> = (0..count).map(|_| Ok(reader.str()?.to_owned())).collect::<Result<_>>()?;
        if !left_out.is_sorted_by(|a, b| a < b) || !stop_words.is_sorted_by(|a, b| a < b) {
            return Err(Error::damaged("the stop words of an analyzer's specification are out of order"));
        }
        let cjk = match reader.u8()? {
            0 => Cjk::BigramsAndUnigrams,
            1 => Cjk::Bigrams,
            _ => return Err(unknown()),
        };
        let options = reader.u8()?;
        if options > 3 {
            return Err(unknown());
        }
        let spec = Self {
            stop_words: stop_words.into_iter().collect(),
            left_out: left_out.into_iter().collect(),
            cjk,
            camel_case: options & 1 != 0,
            joined: options & 2 != 0,
            ..Self::of_languages(stems.iter().copied())
        };
        if spec.stems != stems {
            return Err(Error::damaged("an analyzer's specification contains a language twice"));
        }
        Ok(spec)
    }
}

impl AnalyzerSpec {
    /// Returns the specification as bytes. Equal specifications give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Words(words) => {
                out.push(WORDS);
                words.put(&mut out);
            }
            Self::Custom(identity) => {
                out.push(CUSTOM);
                put_bytes(&mut out, identity.as_bytes());
            }
        }
        out
    }

    /// Returns the specification that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnsupportedVersion`] if a newer version wrote it, [`ErrorKind::Damaged`] if it
    /// cannot be decoded.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(unknown());
        }
        let spec = match reader.u8()? {
            WORDS => Self::Words(WordsSpec::read(&mut reader)?),
            CUSTOM => {
                let identity = reader.str()?;
                if identity.len() > MAX_NAME_BYTES {
                    return Err(Error::damaged("the identity of an analyzer is too long"));
                }
                Self::Custom(identity.to_owned())
            }
            _ => return Err(unknown()),
        };
        if !reader.is_empty() {
            return Err(Error::damaged("trailing bytes follow an analyzer's specification"));
        }
        // Varints can have overlong encodings, but a specification has only one encoding.
        match spec.to_bytes() == bytes {
            true => Ok(spec),
            false => Err(Error::damaged("a number in an analyzer's specification has an overlong encoding")),
        }
    }
}

impl Default for AnalyzerSpec {
    fn default() -> Self {
        Self::Words(WordsSpec::default())
    }
}

/// Writes the languages and any other options that distinguish the specification.
impl fmt::Display for AnalyzerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Custom(identity) => return f.write_str(identity),
            Self::Words(words) => words,
        };
        let codes: Vec<&str> = words.stems.iter().map(|language| language.code()).collect();
        f.write_str(if codes.is_empty() { "any language" } else { "" })?;
        f.write_str(&codes.join(","))?;
        if !words.stop_words.is_empty() {
            let stop_words: Vec<&str> = words.stop_words.iter().map(|language| language.code()).collect();
            write!(f, " without stop words of {}", stop_words.join(","))?;
        }
        if !words.left_out.is_empty() {
            write!(f, " without {} additional stop words", words.left_out.len())?;
        }
        f.write_str(if words.cjk == Cjk::Bigrams { " with CJK bigrams only" } else { "" })?;
        f.write_str(if words.camel_case { " with parts of camel case" } else { "" })?;
        f.write_str(if words.joined { " with hyphenated words joined" } else { "" })
    }
}

/// Parses a comma-separated list of languages, each an ISO 639-1 code or an English name. With an
/// empty list, nothing is stemmed, which suits text in any language.
///
/// Returns [`ErrorKind::UnknownLanguage`] for a language without a stemmer.
impl FromStr for AnalyzerSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let languages = names.map(|name| {
            Language::from_name(name).ok_or_else(|| {
                let known: Vec<String> =
                    Language::ALL.iter().map(|language| format!("{} ({language:?})", language.code())).collect();
                let message = format!("unknown language `{name}`; the languages are {}", known.join(", "));
                Error::new(ErrorKind::UnknownLanguage, message)
            })
        });
        Ok(Self::Words(WordsSpec::of_languages(languages.collect::<Result<Vec<_>>>()?)))
    }
}

fn put_languages<'a>(languages: impl IntoIterator<Item = &'a Language>, out: &mut Vec<u8>) {
    let codes: Vec<&str> = languages.into_iter().map(|language| language.code()).collect();
    put_varint(out, codes.len() as u64);
    codes.iter().for_each(|code| out.extend_from_slice(code.as_bytes()));
}

fn read_languages(reader: &mut Reader<'_>) -> Result<Vec<Language>> {
    let count = reader.count()?;
    let language = |_| {
        let code = reader.array::<2>()?;
        std::str::from_utf8(&code).ok().and_then(Language::from_code).ok_or_else(unknown)
    };
    (0..count).map(language).collect()
}

fn unknown() -> Error {
    Error::new(ErrorKind::UnsupportedVersion, "an analyzer's specification has a newer format")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn descriptions_come_back_from_their_bytes_and_their_names() {
        let mut words = WordsSpec::of_languages([Language::German, Language::English, Language::German])
            .without_stop_words()
            .with_cjk(Cjk::Bigrams);
        assert_eq!(words.stems, [Language::German, Language::English]);
        (words.camel_case, words.joined) = (true, true);
        words.left_out.extend(["foo".to_owned(), "bar".to_owned()]);
        for spec in
            [AnalyzerSpec::default(), AnalyzerSpec::Words(words), AnalyzerSpec::Custom("example.org x/1".into())]
        {
            let bytes = spec.to_bytes();
            assert_eq!(AnalyzerSpec::from_bytes(&bytes).unwrap(), spec);
            for len in 0..bytes.len() {
                assert!(AnalyzerSpec::from_bytes(&bytes[..len]).is_err(), "{spec:?} cut to {len} bytes");
            }
            assert!(AnalyzerSpec::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        }
        let spec: AnalyzerSpec = " en, German ,nb".parse().unwrap();
        assert_eq!(spec.to_string(), "en,de,no");
        assert_eq!("".parse::<AnalyzerSpec>().unwrap(), AnalyzerSpec::default());
        let error = "en,tlh".parse::<AnalyzerSpec>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownLanguage);
        assert!(error.to_string().contains("`tlh`"), "{error}");
    }

    #[test]
    fn languages_are_found_by_code_and_name() {
        for language in Language::ALL {
            assert_eq!(Language::from_code(language.code()), Some(language));
            assert_eq!(Language::from_name(&format!("{language:?}").to_uppercase()), Some(language));
        }
    }

    #[test]
    fn newer_descriptions_are_refused_as_such() {
        for bytes in [
            &[9][..],
            &[VERSION, 7],
            &[VERSION, WORDS, 1, b'x', b'x', 0, 0, 0, 0],
            &[VERSION, WORDS, 0, 0, 0, 9, 0],
            &[VERSION, WORDS, 0, 0, 0, 0, 4],
        ] {
            assert_eq!(AnalyzerSpec::from_bytes(bytes).unwrap_err().kind(), ErrorKind::UnsupportedVersion, "{bytes:?}");
        }
    }

    #[test]
    fn overlong_varints_are_damage() {
        for bytes in [
            &[VERSION, WORDS, 0x80, 0, 0, 0, 0, 0][..],
            &[VERSION, WORDS, 0, 0x80, 0, 0, 0, 0],
            &[VERSION, WORDS, 0, 0, 0x80, 0, 0, 0],
            &[VERSION, WORDS, 0, 0, 1, 0x81, 0, b'a', 0, 0],
            &[VERSION, CUSTOM, 0x81, 0, b'a'],
        ] {
            assert_eq!(
                AnalyzerSpec::from_bytes(bytes).map_err(|error| error.kind()),
                Err(ErrorKind::Damaged),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_description_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64), head in 0u8..3) {
            let bytes = [&[VERSION, head], &bytes[..]].concat();
            if let Ok(spec) = AnalyzerSpec::from_bytes(&bytes) {
                prop_assert_eq!(AnalyzerSpec::from_bytes(&spec.to_bytes()).unwrap(), spec);
            }
        }
    }
}
