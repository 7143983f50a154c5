//! Patterns: words and names with wildcards.

/// A sequence of literals and wildcards, in which literals are neither empty nor adjacent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

/// An element of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    Text(String),
    /// `*`: any sequence of characters.
    Any,
    /// `?`: a single character.
    One,
}

impl Pattern {
    /// Parses a pattern: `*` and `?` are wildcards, everything else is literal.
    pub(crate) fn of(text: &str) -> Self {
        let mut pattern = Self::default();
        text.chars().for_each(|c| match c {
            '*' => pattern.push(Piece::Any),
            '?' => pattern.push(Piece::One),
            c => pattern.push_char(c),
        });
        pattern
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn push_char(&mut self, c: char) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.pieces.push(Piece::Text(c.into())),
        }
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    pub(crate) fn push(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => self.push_text(&text),
            Piece::Any if self.pieces.last() == Some(&Piece::Any) => {}
            wildcard => self.pieces.push(wildcard),
        }
    }

    /// Returns the pattern with `text` applied to each literal.
    pub(crate) fn map_texts(&self, text: impl Fn(&str) -> String) -> Self {
        let mut mapped = Self::default();
        for piece in &self.pieces {
            match piece {
                Piece::Text(own) => mapped.push_text(&text(own)),
                wildcard => mapped.push(wildcard.clone()),
            }
        }
        mapped
    }

    /// Returns the pattern with `text` prepended.
    pub(crate) fn behind(self, text: &str) -> Self {
        let mut behind = Self::default();
        behind.push_text(text);
        self.pieces.into_iter().for_each(|piece| behind.push(piece));
        behind
    }

    /// Returns the pattern with each `?` as a literal question mark.
    pub(crate) fn without_ones(self) -> Self {
        let mut without = Self::default();
        for piece in self.pieces {
            without.push(if piece == Piece::One { Piece::Text("?".to_owned()) } else { piece });
        }
        without
    }

    /// Returns the literal, if the pattern has no wildcard.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the text before the final `*`, if that is the only wildcard.
    pub(crate) fn as_prefix(&self) -> Option<&str> {
        match &self.pieces[..] {
            [Piece::Any] => Some(""),
            [Piece::Text(text), Piece::Any] => Some(text),
            _ => None,
        }
    }

    /// Returns the literal before the first wildcard.
    pub(crate) fn literal_prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns whether the pattern matches the whole of `text`.
    pub(crate) fn accepts(&self, text: &str) -> bool {
        let (mut at, mut rest) = (0, text);
        // The backtracking point after the last `*`: the next piece, and the rest of the text to
        // try.
        let mut retry: Option<(usize, &str)> = None;
        loop {
            let next = match self.pieces.get(at) {
                None if rest.is_empty() => return true,
                None => None,
                Some(Piece::Any) => {
                    retry = Some((at + 1, rest));
                    Some(rest)
                }
                Some(Piece::One) => skip_char(rest),
                Some(Piece::Text(own)) => rest.strip_prefix(own.as_str()),
            };
            match (next, &mut retry) {
                (Some(next), _) => (at, rest) = (at + 1, next),
                (None, None) => return false,
                (None, Some((piece, untried))) => {
                    let Some(next) = skip_char(untried) else { return false };
                    *untried = next;
                    (at, rest) = (*piece, next);
                }
            }
        }
    }
}

fn skip_char(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_accept_what_they_describe() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "bab", false),
            ("*a", "baa", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("a*c", "abcbc", true),
            ("*b*", "abc", true),
            ("*b*", "ac", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("?", "é", true),
            ("?*", "", false),
            ("*?", "a", true),
            ("*ab*ab*", "abxab", true),
            ("*ab*ab*", "xab", false),
            ("a*b*c*d", "aXbXcXcXd", true),
        ];
        for (text, word, expected) in cases {
            assert_eq!(Pattern::of(text).accepts(word), expected, "{text} {word}");
        }
    }

    #[test]
    fn a_long_pattern_is_answered_at_once() {
        assert!(!Pattern::of(&"*a".repeat(100)).accepts(&format!("{}b", "a".repeat(255))));
    }
}
