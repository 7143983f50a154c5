//! Decodes the text of a file.

/// The characters of Windows-1252 from 0x80 on that differ from Latin-1; `\0` if undefined.
const WINDOWS_1252: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’', '“', '”', '•',
    '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// Decodes UTF-8, UTF-16 with a byte order mark, and Windows-1252, which includes Latin-1. The last
/// is assumed if there are no control characters and few characters beyond ASCII. Returns `None` if
/// the content is not text.
pub(super) fn decoded(content: Vec<u8>) -> Option<String> {
    let text = match content.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => match String::from_utf8(content) {
            Ok(text) => text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
            Err(error) => western(error.as_bytes())?,
        },
    };
    (!text.contains('\0')).then_some(text)
}

/// Returns whether the beginning of a file proves that it is not text: a zero byte, except in
/// UTF-16.
pub(super) fn is_binary(head: &[u8]) -> bool {
    !matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) && head.contains(&0)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>().ok()?;
    rest.is_empty().then_some(text)
}

fn western(bytes: &[u8]) -> Option<String> {
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    let beyond = bytes.iter().filter(|byte| **byte >= 0x80).count();
    if bytes.iter().any(is_control) || beyond * 4 > bytes.len() {
        return None;
    }
    let sign = |byte: &u8| match *byte {
        0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
    };
    Some(bytes.iter().map(sign).collect())
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn encodings_are_told_apart() {
        let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let cases: [(Vec<u8>, Option<&str>); 12] = [
            (b"harbour".to_vec(), Some("harbour")),
            ("Gr\u{fc}\u{df}e".into(), Some("Gr\u{fc}\u{df}e")),
            ("\u{feff}harbour".into(), Some("harbour")),
            (utf16("\u{feff}Gr\u{fc}\u{df}e", u16::to_le_bytes), Some("Gr\u{fc}\u{df}e")),
            (utf16("\u{feff}Gr\u{fc}\u{df}e", u16::to_be_bytes), Some("Gr\u{fc}\u{df}e")),
            (b"a caf\xe9 costs 3 \x80".to_vec(), Some("a caf\u{e9} costs 3 \u{20ac}")),
            (b"\xcc\xf0\xe8\xe2\xe5\xf2".to_vec(), None),
            (b"text and \x81".to_vec(), None),
            (b"\x89PNG\r\n\x1a\n text".to_vec(), None),
            (b"a\0b".to_vec(), None),
            (b"\xff\xfea".to_vec(), None),
            (b"\xff\xfe\x00\xd8a\x00".to_vec(), None),
        ];
        for (content, expected) in cases {
            assert_eq!(decoded(content.clone()).as_deref(), expected, "{content:?}");
        }
    }
}
