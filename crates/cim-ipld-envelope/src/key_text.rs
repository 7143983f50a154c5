//! Parsing of key files, tolerant of what editors and other programs add.

use crate::hex;
use crate::secret::{SECRET_BYTES, Secret};
use crate::{EncryptionAlgorithm, Error, ErrorKind};

pub(crate) const KEY_PREFIX: &str = "cim-key-v1:";

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const GIVE_ANOTHER: &str = "use the file that key generation created; a new key cannot open an existing index";
const USE_A_COPY: &str = "use a different copy of this key file: without its key the index cannot be read";

/// Why a file is not a key file.
pub(crate) struct Refusal {
    pub(crate) what: &'static str,
    pub(crate) hint: &'static str,
}

impl Refusal {
    pub(crate) fn into_error(self, path: &std::path::Path) -> Error {
        let message = format!("{} is not a key file: {}", path.display(), self.what);
        Error::new(ErrorKind::InvalidKeyFile, message).with_hint(self.hint)
    }
}

/// Removes a UTF-8 byte order mark.
///
/// # Errors
/// If the text is UTF-16, which is not supported.
pub(crate) fn unmarked(content: &[u8]) -> Result<&[u8], Refusal> {
    let marked = content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff");
    // In ASCII text encoded as UTF-16 without a byte order mark, every other byte is zero.
    let zeros = content.iter().filter(|byte| **byte == 0).count();
    if marked || (content.len() >= 16 && zeros * 2 >= content.len() - 1) {
        return Err(Refusal { what: "it is UTF-16 text", hint: "save it as UTF-8" });
    }
    Ok(content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content))
}

/// Parses the single key among blank lines, comments and spaces.
pub(crate) fn parse(content: &[u8]) -> Result<(EncryptionAlgorithm, Secret), Refusal> {
    let refused = |what, hint| Err(Refusal { what, hint });
    let lines = unmarked(content)?.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let Some(line) = lines.next() else { return refused("it contains no key", GIVE_ANOTHER) };
    let Some(fields) = line.strip_prefix(KEY_PREFIX.as_bytes()) else {
        return match line.starts_with(b"cim-key-v") {
            true => {
                refused("its key has an unknown version", "use a version of the software at least as new as the file")
            }
            false => refused("it does not begin with a key", GIVE_ANOTHER),
        };
    };
    if lines.next().is_some() {
        return refused("it contains more than one key or other lines", "remove everything but the intended key");
    }
    let Some(colon) = fields.iter().position(|byte| *byte == b':') else {
        return refused("its key is truncated", USE_A_COPY);
    };
    let algorithm = std::str::from_utf8(&fields[..colon]).ok().and_then(|name| name.parse().ok());
    let Some(algorithm) = algorithm else {
        return refused("its algorithm is unknown", "correct the name, or use a newer version of the software");
    };
    let digits = &fields[colon + 1..];
    match digits.len() {
        length if length < 2 * SECRET_BYTES => return refused("its key is truncated", USE_A_COPY),
        length if length > 2 * SECRET_BYTES => return refused("its key is too long", USE_A_COPY),
        _ => {}
    }
    match Secret::try_fill_with(|out| hex::decode_into(digits, out).ok_or(())) {
        Ok(secret) => Ok((algorithm, secret)),
        Err(()) => refused("its key contains characters other than hexadecimal digits", USE_A_COPY),
    }
}

/// Returns whether a text looks like a key instead of the path of a key file.
pub(crate) fn is_key(text: &str) -> bool {
    let text = text.trim();
    text.contains("cim-key-v") && text.contains(':')
        || text.len() == 2 * SECRET_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
