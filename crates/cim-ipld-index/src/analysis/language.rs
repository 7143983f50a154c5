//! Language-specific data: stemmers and stop words.

use std::fmt;

use frostem::Algorithm;

/// A language with a stemmer and a stop word list.
///
/// Turkish is not supported, because its lower case differs from Unicode's default mapping.
///
/// ```
/// use cim_ipld_index::{Analyzer, Language, UnicodeWords};
///
/// let french = Analyzer::from(UnicodeWords::default().stem(Language::French));
/// assert_eq!(french.words("baleines"), french.words("baleine"));
/// assert_eq!(Language::from_code("fr").map(Language::code), Some("fr"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Language {
    /// Danish.
    Danish,
    /// Dutch.
    Dutch,
    /// English.
    English,
    /// Finnish.
    Finnish,
    /// French.
    French,
    /// German.
    German,
    /// Modern Greek.
    Greek,
    /// Hungarian.
    Hungarian,
    /// Italian.
    Italian,
    /// Norwegian (Bokmål).
    Norwegian,
    /// Portuguese.
    Portuguese,
    /// Romanian.
    Romanian,
    /// Russian.
    Russian,
    /// Spanish.
    Spanish,
    /// Swedish.
    Swedish,
}

/// The date of the Snowball algorithms in the pinned dependency. It is part of the analyzer's
/// identity, because different versions produce different stems. Tests check the stems of a few
/// words, so that a dependency that changes them is noticed; then this date must change.
const SNOWBALL: &str = "20261016";

/// Reduces words to their stems with the Snowball algorithms.
#[derive(Clone)]
pub(super) struct Stemmer {
    language: Language,
    stemmer: frostem::Stemmer,
}

impl Language {
    /// All supported languages.
    pub const ALL: [Self; 15] = [
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hungarian,
        Self::Italian,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
    ];

    /// Returns the ISO 639-1 code of the language.
    pub fn code(self) -> &'static str {
        match self {
            Self::Danish => "da",
            Self::Dutch => "nl",
            Self::English => "en",
            Self::Finnish => "fi",
            Self::French => "fr",
            Self::German => "de",
            Self::Greek => "el",
            Self::Hungarian => "hu",
            Self::Italian => "it",
            Self::Norwegian => "no",
            Self::Portuguese => "pt",
            Self::Romanian => "ro",
            Self::Russian => "ru",
            Self::Spanish => "es",
            Self::Swedish => "sv",
        }
    }

    /// Returns the language with this lower-case ISO 639-1 code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// Returns the language with this ISO 639-1 code or English name, ignoring case.
    ///
    /// ```
    /// use cim_ipld_index::Language;
    ///
    /// assert_eq!(Language::from_name("DE"), Some(Language::German));
    /// assert_eq!(Language::from_name("german"), Some(Language::German));
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("nb") {
            return Some(Self::Norwegian);
        }
        let is_named = |language: &Self| {
            name.eq_ignore_ascii_case(language.code()) || name.eq_ignore_ascii_case(language.algorithm().name())
        };
        Self::ALL.into_iter().find(is_named)
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::English => Algorithm::English,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Greek => Algorithm::Greek,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Italian => Algorithm::Italian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
        }
    }

    /// Returns the stop words: articles, prepositions, conjunctions, pronouns, and forms of common
    /// auxiliary verbs and particles.
    pub(super) fn frequent_words(self) -> &'static str {
        match self {
            Self::Danish => {
                "af at da de den der det du en er et for fra han har hun i ikke jeg med men når og om på som til var ved vi"
            }
            Self::Dutch => {
                "aan als bij dat de den der die dit door een en er ge het hij hoe hun ik in is je met na naar niet of om onder ons ook op te tot u uit van voor was wat we wel wij ze zij zijn zo"
            }
            Self::English => {
                "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with"
            }
            Self::Finnish => {
                "ei en että hän he ja jos joka kun kuin me mikä minä mutta mutta ne niin nyt on olla oli ovat se sekä sinä tai te tämä vaan"
            }
            Self::French => {
                "à au aux avec c ce ces cette d dans de des du elle elles en et il ils j je l la le les leur lui m ma mais me mes mon n ne nos notre nous on ou par pas pour qu que qui s sa se ses son sur t ta te tes ton tu un une vos votre vous"
            }
            Self::German => {
                "aber als am an auch auf aus bei bin bis bist da das dass dem den der des die du ein eine einem einen einer eines er es für hat ich ihr im in ist ja mit nach nicht noch nur oder sich sie sind so über um und uns vom von vor war was wenn wie wir zu zum zur"
            }
            Self::Greek => {
                "αλλά αν από αυτή αυτό για δεν είναι η θα και κι με μια να ο οι ότι που σε στη στην στο στον τα τη την της τις το του τους των ως"
            }
            Self::Hungarian => "a az azt de egy el ez ha hogy is itt meg mert mint nem most ott s van vagy volt",
            Self::Italian => {
                "a ad ai al all alla alle anche che chi ci come con d da dal dall dalla dei del dell della delle di e ed gli ha i il in io l la le lei lo lui ma mi ne nei nel nell nella noi non o per più se si sono su sul sull sulla ti tra tu un una uno vi voi è"
            }
            Self::Norwegian => {
                "alle at av bare da de deg den det du eller en er et for fra ha han har hun hva i ikke jeg kan med meg men nå når og om på seg som til var ved vi å"
            }
            Self::Portuguese => {
                "a ao aos as às com como da das de do dos e é ela ele em entre era essa esse esta este eu foi há isso já lhe mais mas me na nas nem no nos não o os ou para pela pelo por que quem se sem ser seu sua são só também te tem um uma você à"
            }
            Self::Romanian => {
                "a al ale am ar are au că ce cu cum da de din după ea ei el este eu fi fie în între la le lor lui mai ne nu o pe pentru prin s-a sau se si sunt și te tot un una unei unui"
            }
            Self::Russian => {
                "а без бы был была были было в вам вас во вот все вы где да даже для до его ее ей если есть еще же за и из или им их к как ко когда кто ли мы на над не него нее нет ни но о об он она они оно от по под при с со так то тоже только у уже что чтобы эта эти это я"
            }
            Self::Spanish => {
                "a al como con de del desde donde el él ella ellas ellos en entre era es esa ese esta este esto ha hay la las le les lo los más me mi muy ni no nos o para pero por porque que qué se si sin sobre son su sus también te tu un una uno y ya yo"
            }
            Self::Swedish => {
                "alla att av den de dem det din du där då efter ej eller en ett för från ha han har hon hur i icke inte jag kan med men mig mot när och om oss på sig sin som till var vi vid vad är över"
            }
        }
    }
}

impl Stemmer {
    pub(super) fn new(language: Language) -> Self {
        Self { language, stemmer: frostem::Stemmer::new(language.algorithm()) }
    }

    pub(super) fn identity(&self) -> String {
        format!("stem-{}/{SNOWBALL}", self.language.algorithm().name())
    }

    /// Replaces a lower-case word with its stem.
    pub(super) fn stem(&self, word: &mut String) {
        let stem = self.stemmer.stem(word);
        if stem != *word {
            *word = stem.into_owned();
        }
    }
}

impl fmt::Debug for Stemmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stemmer({:?})", self.language)
    }
}
