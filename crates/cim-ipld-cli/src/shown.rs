//! Makes untrusted text safe to print on a terminal.

/// Replaces line breaks and terminal control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).map(shown).collect()
}

/// Replaces terminal control characters but keeps line breaks.
pub(crate) fn many_lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { shown(c) }).collect()
}

fn shown(c: char) -> char {
    // Besides control characters, the bidirectional formatting characters (Unicode Standard Annex
    // #9).
    let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || reorders { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::{many_lines, one_line};

    #[test]
    fn text_cannot_steer_the_terminal() {
        for (text, line, lines) in [
            ("plain text", "plain text", "plain text"),
            ("a\nb\tc\rd", "a b c d", "a\nb\tc\u{fffd}d"),
            ("\x1b[2Jgone", "\u{fffd}[2Jgone", "\u{fffd}[2Jgone"),
            ("\u{202e}cod.exe", "\u{fffd}cod.exe", "\u{fffd}cod.exe"),
            ("\u{9b}31m", "\u{fffd}31m", "\u{fffd}31m"),
            ("Grüße 🐋", "Grüße 🐋", "Grüße 🐋"),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
            assert_eq!(many_lines(text), lines, "{text:?}");
        }
    }
}
