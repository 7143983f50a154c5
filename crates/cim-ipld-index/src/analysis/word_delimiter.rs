//! Optional additional forms of a word: the parts of a camel-case word and the concatenation of
//! hyphenated words.

use std::ops::Range;

use super::Form;

/// The longest compound form, in bytes.
pub(super) const MAX_COMPOUND_BYTES: usize = 40;

/// The forms emitted for the current word, and the hyphenated words concatenated so far.
#[derive(Debug, Default)]
pub(super) struct WordDelimiter {
    forms: Vec<(Form, String)>,
    joined: String,
    /// The start of the first hyphenated word.
    start: usize,
    words: usize,
}

impl WordDelimiter {
    /// Resets the state for a new text.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.words = 0;
    }

    pub(super) fn start_word(&mut self) {
        self.forms.clear();
    }

    /// Returns whether the word is new at its position. An index stores a word once per position.
    pub(super) fn add(&mut self, form: Form, word: &str) -> bool {
        let is_new = self.forms.iter().all(|(known_form, known)| (*known_form, known.as_str()) != (form, word));
        if is_new {
            self.forms.push((form, word.to_owned()));
        }
        is_new
    }

    /// Adds a word that starts at `start`; `is_next` is true if it directly follows a hyphen and
    /// the previous word. Returns the concatenation and its start once there are several words.
    pub(super) fn chain(&mut self, is_next: bool, word: &str, start: usize) -> Option<(String, usize)> {
        if !is_next || self.words == 0 {
            self.joined.clear();
            (self.start, self.words) = (start, 0);
        }
        self.words += 1;
        if self.joined.len() <= MAX_COMPOUND_BYTES {
            self.joined.push_str(word);
        }
        (self.words > 1 && self.joined.len() <= MAX_COMPOUND_BYTES).then(|| (self.joined.clone(), self.start))
    }
}

/// Returns whether a word may be in camel case.
pub(super) fn has_upper_case_inside(word: &str) -> bool {
    word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
}

/// Returns the parts, of at least two letters, of a camel-case word: `getUserName`, `HTMLParser`.
pub(super) fn camel_case_parts(word: &str) -> Vec<Range<usize>> {
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let is_upper = |index: usize| chars.get(index).is_some_and(|(_, c)| c.is_uppercase());
    let is_lower = |index: usize| chars.get(index).is_some_and(|(_, c)| c.is_lowercase());
    let starts = |index: &usize| is_upper(*index) && (!is_upper(index - 1) || is_lower(index + 1));
    let cuts: Vec<usize> = (1..chars.len()).filter(starts).map(|index| chars[index].0).collect();
    if cuts.is_empty() {
        return Vec::new();
    }
    let ends = cuts.iter().copied().chain([word.len()]);
    let parts = [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(|(start, end)| start..end);
    parts.filter(|part| word[part.clone()].chars().nth(1).is_some()).collect()
}

/// Returns a hyphenated text as one word, without the hyphens.
pub(super) fn without_hyphens(text: &str) -> Option<String> {
    let is_hyphen = |c: char| matches!(c, '-' | '\u{2010}' | '\u{2011}');
    let is_word = |word: &str| !word.is_empty() && word.chars().all(char::is_alphanumeric);
    let joined = text.replace(is_hyphen, "");
    let is_chain =
        joined.len() < text.len() && joined.len() <= MAX_COMPOUND_BYTES && text.split(is_hyphen).all(is_word);
    is_chain.then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camel_case_is_cut_where_the_case_says_so() {
        for (word, parts) in [
            ("getUserName", &["get", "User", "Name"][..]),
            ("HTMLParser", &["HTML", "Parser"]),
            ("parseHTML", &["parse", "HTML"]),
            ("utf8String", &["utf8", "String"]),
            ("iPhone", &["Phone"]),
            ("straßeÄndern", &["straße", "Ändern"]),
            ("Whale", &[]),
            ("NASA", &[]),
            ("whale", &[]),
            ("", &[]),
        ] {
            let found: Vec<&str> = camel_case_parts(word).into_iter().map(|part| &word[part]).collect();
            assert_eq!(found, parts, "{word}");
        }
    }

    #[test]
    fn hyphens_are_taken_out_of_words_that_they_join() {
        for (text, joined) in [
            ("wi-fi", Some("wifi")),
            ("e\u{2011}mail", Some("email")),
            ("555-12-34", Some("5551234")),
            ("wifi", None),
            ("-wifi", None),
            ("wi--fi", None),
            ("wi-fi now", None),
            ("", None),
        ] {
            assert_eq!(without_hyphens(text).as_deref(), joined, "{text}");
        }
    }
}
