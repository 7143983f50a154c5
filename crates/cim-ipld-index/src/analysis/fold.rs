//! Folding: one form for texts that differ only in code points, case or accents.
//!
//! Folding takes two steps, so that stemmers see accents. [`Folded`] holds lower-case text in NFKC
//! without invisible characters; [`fold_word`] then removes the accents. Texts, tags and content
//! types go through both.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// A text after the first step, with the origin of each of its parts.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) text: String,
    /// The start of each part in `text` and in the original text. A part is the smallest unit that
    /// maps back to the original: a character with its marks.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    at: usize,
    start: usize,
    end: usize,
}

impl Folded {
    /// Maps a range of the folded text to the original text.
    pub(super) fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let part_of = |at: usize| self.parts[self.parts.partition_point(|part| part.at <= at).saturating_sub(1)];
        (part_of(start).start, part_of(end.saturating_sub(1)).end)
    }

    /// Folds a text that starts at `offset` of the original.
    pub(super) fn fold(&mut self, text: &str, offset: usize) {
        self.text.clear();
        self.parts.clear();
        let mut chars = text.char_indices().peekable();
        while let Some((start, c)) = chars.next() {
            if c.is_ascii() && chars.peek().is_none_or(|(_, next)| next.is_ascii()) {
                self.parts.push(Part { at: self.text.len(), start: offset + start, end: offset + start + 1 });
                self.text.push(c.to_ascii_lowercase());
                continue;
            }
            let (mut end, mut seen) = (start + c.len_utf8(), start + c.len_utf8());
            while let Some((at, next)) = chars.next_if(|(_, next)| continues(*next)) {
                end = at + next.len_utf8();
                if !is_ignorable(next) {
                    seen = end;
                }
            }
            let at = self.text.len();
            let (cluster, rest) = (&text[start..end], &text[end..]);
            fold_cluster(cluster, &mut self.text);
            if cluster.ends_with(ZWJ) && is_emoji(c) && rest.starts_with(is_emoji) {
                self.text.push(ZWJ);
            }
            if self.text.len() > at {
                self.parts.push(Part { at, start: offset + start, end: offset + seen });
            }
        }
    }
}

/// Joins several emoji into one. Elsewhere, this character only affects rendering.
pub(super) const ZWJ: char = '\u{200d}';

/// Folds a character together with its combining characters.
fn fold_cluster(cluster: &str, out: &mut String) {
    let mut chars = cluster.chars();
    if let (Some(only), None) = (chars.next(), chars.next())
        && is_stable(only)
    {
        return out.extend(only.to_lowercase().map(one_letter));
    }
    let is_emoji = cluster.starts_with(is_emoji);
    let is_tone = |n: usize, c: char| n > 0 && is_emoji && is_skin_tone(c);
    let seen = cluster.chars().enumerate();
    let seen = seen.filter(|(n, c)| !is_ignorable(*c) && !is_dropped_sign(*c) && !is_tone(*n, *c));
    let seen = seen.map(|(_, c)| straight(c));
    let lower = seen.nfkc().flat_map(char::to_lowercase).nfkc();
    let mut last_base = '\0';
    for c in lower.filter(|c| !is_pointing(*c) && !is_ignorable(*c)).map(straight).map(one_letter) {
        // Stress marks. Marks that form a different letter have already been composed.
        let is_stress = ('\u{300}'..='\u{36f}').contains(&c) && matches!(last_base, '\u{400}'..='\u{52f}');
        if !is_stress {
            out.push(c);
        }
        if !is_combining_mark(c) {
            last_base = c;
        }
    }
}

/// Removes the accents from a text that went through the first step.
pub(super) fn fold_word(word: &str, out: &mut String) {
    out.clear();
    if word.is_ascii() {
        return out.push_str(word);
    }
    let mut base = '\0';
    for c in word.chars() {
        if c.is_ascii() || !has_accent(c) && !is_accent(c) {
            base = c;
            put_letter(c, out);
            continue;
        }
        // Accents are removed only from Latin and Greek letters; in other scripts, marks
        // distinguish words.
        for part in std::iter::once(c).nfd() {
            if is_accent(part) && is_latin_or_greek(base) {
                continue;
            }
            if !is_combining_mark(part) {
                base = part;
            }
            put_letter(part, out);
        }
    }
}

/// Returns the folded form under which a tag or content type is compared.
pub(crate) fn fold_keyword(keyword: &str) -> Cow<'_, str> {
    if keyword.is_ascii() {
        return match keyword.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(keyword.to_ascii_lowercase()),
            false => Cow::Borrowed(keyword),
        };
    }
    let (mut folded, mut out) = (Folded::default(), String::new());
    folded.fold(keyword, 0);
    fold_word(&folded.text, &mut out);
    Cow::Owned(out)
}

/// Writes a lower-case letter or its replacement: the base letter of a letter with a stroke, the
/// letters of a ligature, the common form of a variant (`ı`, `ς`, `ё`, `ة`), or the ASCII quote for
/// Hebrew gershayim and geresh.
fn put_letter(c: char, out: &mut String) {
    let plain = match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ŧ' => "t",
        'ı' => "i",
        'ĸ' => "k",
        'ŋ' => "ng",
        'ƒ' => "f",
        'ƀ' => "b",
        'ɨ' => "i",
        'ɓ' => "b",
        'ɗ' => "d",
        'ƙ' => "k",
        'ƴ' => "y",
        'ς' => "σ",
        'ё' => "е",
        // Teh marbuta and the Urdu forms of heh.
        'ة' | '\u{6c1}' | '\u{6c3}' => "ه",
        // Malayalam chillu letters, which are also written with a virama and a joiner.
        '\u{d7a}' => "\u{d23}\u{d4d}",
        '\u{d7b}' => "\u{d28}\u{d4d}",
        '\u{d7c}' => "\u{d30}\u{d4d}",
        '\u{d7d}' => "\u{d32}\u{d4d}",
        '\u{d7e}' => "\u{d33}\u{d4d}",
        '\u{d7f}' => "\u{d15}\u{d4d}",
        // Gershayim and geresh are usually typed as quotes.
        '\u{5f4}' => "\"",
        '\u{5f3}' => "'",
        _ => return out.push(c),
    };
    out.push_str(plain);
}

/// Returns whether a single character is its own NFKC form, apart from case.
fn is_stable(c: char) -> bool {
    matches!(
        c,
        '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{12f}' | '\u{150}'..='\u{17e}'
        | '\u{391}'..='\u{3a9}' | '\u{3ac}'..='\u{3ce}' | '\u{400}'..='\u{481}' | '\u{5d0}'..='\u{5ea}'
        | '\u{620}'..='\u{63f}' | '\u{641}'..='\u{64a}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
    )
}

/// Returns whether a character combines with the preceding one.
fn continues(c: char) -> bool {
    !c.is_ascii()
        && (is_ignorable(c)
            || matches!(c, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}' | '\u{ff9e}' | '\u{ff9f}')
            || is_skin_tone(c)
            || is_combining_mark(c)
            || canonical_combining_class(c) != 0)
}

/// Returns whether a character is invisible (`Default_Ignorable_Code_Point`, except the Hangul
/// fillers). U+200B is not included, because it separates words.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether a character is dropped: symbols whose compatibility form would join the
/// preceding word, and the half rings of transliterations.
fn is_dropped_sign(c: char) -> bool {
    matches!(c, '™' | '℠' | '\u{2be}' | '\u{2bf}' | '\u{20e3}')
}

/// Returns whether a character is an Arabic vowel point or tatweel, or a Hebrew point or accent.
fn is_pointing(c: char) -> bool {
    matches!(
        c,
        '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{8d3}'..='\u{8ff}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
    )
}

/// Maps every apostrophe and every hyphen to the ASCII one.
fn straight(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bb}' | '\u{2bc}' | '\u{2bd}' | '\u{ff07}' | '\u{55a}'
        | '\u{a78c}' => '\'',
        '\u{2010}' | '\u{2011}' => '-',
        _ => c,
    }
}

/// Maps Arabic and Persian letters that are used interchangeably to one form, and the digits of
/// every script to ASCII.
fn one_letter(c: char) -> char {
    match c {
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ی' => 'ي',
        'ک' => 'ك',
        '\u{660}'..='\u{669}'
        | '\u{6f0}'..='\u{6f9}'
        | '\u{7c0}'..='\u{7c9}'
        | '\u{e50}'..='\u{e59}'
        | '\u{ed0}'..='\u{ed9}'
        | '\u{f20}'..='\u{f29}'
        | '\u{1040}'..='\u{1049}'
        | '\u{17e0}'..='\u{17e9}'
        | '\u{1810}'..='\u{1819}' => digit(c, 0),
        '\u{966}'..='\u{96f}'
        | '\u{9e6}'..='\u{9ef}'
        | '\u{a66}'..='\u{a6f}'
        | '\u{ae6}'..='\u{aef}'
        | '\u{b66}'..='\u{b6f}'
        | '\u{be6}'..='\u{bef}'
        | '\u{c66}'..='\u{c6f}'
        | '\u{ce6}'..='\u{cef}'
        | '\u{d66}'..='\u{d6f}'
        | '\u{de6}'..='\u{def}' => digit(c, 6),
        _ => c,
    }
}

/// Returns the ASCII digit for a digit of a script whose digits start at `zero` within a row of
/// sixteen.
fn digit(c: char, zero: u8) -> char {
    char::from(b'0' + (c as u32 as u8 & 0xf) - zero)
}

fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

/// Returns whether a letter may decompose into a Latin or Greek letter and accents.
fn has_accent(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{3ff}' | '\u{1e00}'..='\u{1fff}')
}

fn is_latin_or_greek(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '\u{c0}'..='\u{2af}' | '\u{370}'..='\u{3ff}' | '\u{1d00}'..='\u{1dbf}' | '\u{1e00}'..='\u{1fff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}')
}

/// Returns whether a character is a pictograph or mathematical symbol that is searched for like a
/// word. Bullets, arrows and lookalikes of ASCII punctuation are not.
pub(super) fn is_emoji(c: char) -> bool {
    matches!(
        c,
        '\u{2200}'..='\u{2211}' | '\u{221a}'..='\u{2222}' | '\u{2224}'..='\u{2235}' | '\u{2237}'..='\u{223b}'
        | '\u{223d}'..='\u{22c4}' | '\u{22c6}'..='\u{22ed}' | '\u{231a}' | '\u{231b}' | '\u{2328}' | '\u{23cf}' | '\u{23e9}'..='\u{23fa}' | '\u{2600}'..='\u{27bf}'
        | '\u{2934}' | '\u{2935}' | '\u{2b05}'..='\u{2b07}' | '\u{2b1b}' | '\u{2b1c}' | '\u{2b50}' | '\u{2b55}'
        | '\u{1f000}'..='\u{1faff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_name_their_origin() {
        let mut folded = Folded::default();
        folded.fold("Ge\u{ad}s e\u{301}X", 10);
        assert_eq!(folded.text, "ges éx");
        assert_eq!((folded.origin(0, 3), folded.origin(4, 7)), ((10, 15), (16, 20)));
    }

    #[test]
    fn what_is_written_otherwise_folds_to_one() {
        let cases: &[(&str, &[&str])] = &[
            ("cafe", &["café", "cafe\u{301}", "CAFÉ", "ｃａｆé"]),
            ("istanbul", &["İstanbul", "ISTANBUL", "I\u{307}stanbul"]),
            ("isik", &["ışık", "IŞIK"]),
            ("strasse", &["Straße", "STRASSE", "STRAẞE"]),
            ("lodz orsted da nang", &["Łódź Ørsted Đà Nẵng"]),
            ("coelacanthe encyclopaedia", &["Cœlacanthe encyclopædia"]),
            ("мой елка", &["мой ёлка", "МОЙ ЁЛКА", "мои\u{306} е\u{308}лка", "мо\u{301}й ё\u{301}лка"]),
            ("محمد", &["مُحَمَّد", "محـــمد"]),
            ("שלום", &["שָׁלוֹם", "\u{fb2a}לום"]),
            ("don't", &["don’t", "donʼt", "don＇t", "don‘t"]),
            ("gesamtkonzept", &["Ge\u{ad}samt\u{ad}kon\u{ad}zept", "gesamt\u{2060}konzept"]),
            ("h2o x2", &["H₂O x²"]),
            ("葛城", &["葛\u{e0100}城", "葛城\u{fe00}"]),
            ("γαλαξιασ", &["Γαλαξίας", "ΓΑΛΑΞΊΑΣ"]),
            ("❤", &["❤\u{fe0f}", "❤"]),
            ("wi-fi", &["wi\u{2010}fi", "Wi\u{2011}Fi"]),
            ("acme", &["Acme™"]),
            ("احمد في 2024", &["أحمد فى ٢٠٢٤", "احمد فی ۲۰۲۴"]),
            ("كتاب", &["کتاب"]),
            ("مدرسه", &["مدرسة", "مدرس\u{6c1}"]),
            ("\u{d05}\u{d35}\u{d28}\u{d4d}", &["\u{d05}\u{d35}\u{d7b}", "\u{d05}\u{d35}\u{d28}\u{d4d}\u{200d}"]),
            ("boda", &["\u{253}o\u{257}a"]),
            ("0123456789", &["०१२३४५६७८९", "๐๑๒๓๔๕๖๗๘๙", "០១២៣៤៥៦៧៨៩", "০১২৩৪৫৬৭৮৯"]),
            ("👍", &["👍🏽", "👍🏿", "👍"]),
        ];
        for (folded, forms) in cases {
            for form in *forms {
                assert_eq!(fold_keyword(form), *folded, "{form:?}");
            }
        }
        assert_ne!(fold_keyword("мой"), fold_keyword("мои"));
        assert_ne!(fold_keyword("が"), fold_keyword("か"));
    }

    proptest! {
        #[test]
        fn folding_is_idempotent(text in prop_oneof!["\\PC{0,40}", any::<String>(), "[a-zß-ÿĀ-ſ\\u{300}-\\u{36f}\\u{ad}\\u{200d}Ͱ-ϿЀ-ӿ]{0,20}"]) {
            let once = fold_keyword(&text).into_owned();
            let twice = fold_keyword(&once).into_owned();
            prop_assert_eq!(twice, once);
        }
    }
}
