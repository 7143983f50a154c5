//! Bigrams of Chinese, Japanese and Korean characters.
//!
//! Follows Lucene's `CJKBigramFilter`. Adjacent Han, Hiragana, Katakana and Hangul characters form
//! a run, whatever their scripts. A run of one character yields that character; a longer run yields
//! each pair of neighbours and, by default, each single character.

/// A character together with its combining marks, as a byte range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A part of a segment: its start, its text, and whether it is split into bigrams.
pub(super) type Piece<'a> = (usize, &'a str, bool);

/// Splits a segment where characters that are split into bigrams meet others: the rules of Unicode
/// do not separate Hangul from Latin letters and digits, nor Katakana from an underscore. A mark
/// belongs to the character before it.
pub(super) fn pieces(segment: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &segment[start..];
        let is_cjk = rest.starts_with(is_cjk_char);
        let len = rest.find(|c| is_cjk_char(c) != is_cjk && !is_mark(c)).unwrap_or(rest.len());
        let piece = (start, &rest[..len], is_cjk);
        start += len;
        (len > 0).then_some(piece)
    })
}

/// Appends the characters of a word that starts at byte `start`.
pub(super) fn push_units(word: &str, start: usize, run: &mut Vec<Unit>) {
    for (at, c) in word.char_indices() {
        let (from, to) = (start + at, start + at + c.len_utf8());
        match run.last_mut() {
            Some(last) if is_mark(c) => last.end = to,
            _ => run.push(Unit { start: from, end: to }),
        }
    }
}

fn is_cjk_char(c: char) -> bool {
    matches!(
        c,
        // Han.
        '\u{3005}' | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3038}'..='\u{303b}'
        | '\u{2e80}'..='\u{2fd5}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2fa1f}' | '\u{30000}'..='\u{323af}'
        // Hiragana and Katakana, half-width forms included.
        | '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9d}' | '\u{1b000}'..='\u{1b16f}'
        // Hangul: syllables, leading consonants, compatibility and half-width forms.
        | '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{115f}' | '\u{a960}'..='\u{a97c}' | '\u{3131}'..='\u{318e}'
        | '\u{ffa0}'..='\u{ffdc}'
    )
}

/// Returns whether a character modifies the preceding one: kana sound marks, Hangul vowels and
/// final consonants.
fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{3099}' | '\u{309a}' | '\u{ff9e}' | '\u{ff9f}' | '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}'
        | '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    )
}
