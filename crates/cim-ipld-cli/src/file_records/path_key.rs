//! Paths as keys of records.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use cim_ipld::persistence::content_cid;

/// The maximum length of a key in bytes before it is abbreviated, so that a record fits into a
/// keyword.
const MAX_KEY_BYTES: usize = 800;
/// Separates the beginning of a long path from the digest of the whole path.
const ABBREVIATED: &str = r"\#";

/// The separator of folders in a key.
const SEPARATOR: &str = if MAIN_SEPARATOR == '\\' { r"\\" } else { "/" };

/// An absolute path as text that is different for different paths, whatever bytes they contain.
///
/// Backslashes are doubled, and bytes that are not UTF-8 are written as `\xNN`. The key of a very
/// long path is its beginning and a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PathKey(String);

impl PathKey {
    pub(crate) fn of(path: &Path) -> Self {
        let bytes = path.as_os_str().as_encoded_bytes();
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!(r"\x{byte:02x}")));
        }
        if text.len() > MAX_KEY_BYTES {
            text.truncate(text.floor_char_boundary(MAX_KEY_BYTES));
            text.push_str(ABBREVIATED);
            text.push_str(&content_cid(bytes).to_string());
        }
        Self(text)
    }

    /// Parses the text of a key, as it was written by [`as_str`](Self::as_str).
    pub(super) fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is `folder` or a path below it. An abbreviated folder contains nothing.
    pub(crate) fn is_within(&self, folder: &Self) -> bool {
        let Some(rest) = self.0.strip_prefix(&folder.0) else { return false };
        rest.is_empty() || rest.starts_with(SEPARATOR) || folder.0.ends_with(SEPARATOR)
    }

    /// Like [`is_within`](Self::is_within) for any of the folders, however many there are.
    pub(crate) fn is_within_any(&self, folders: &HashSet<Self>) -> bool {
        let ends = self.0.match_indices(SEPARATOR).flat_map(|(start, end)| [start, start + end.len()]);
        ends.chain([self.0.len()]).any(|end| folders.contains(&self.0[..end]))
    }

    /// Returns the path, or `None` if the key is abbreviated.
    pub(crate) fn to_path(&self) -> Option<PathBuf> {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = match (first, tail) {
                (b'\\', [b'\\', tail @ ..]) => {
                    bytes.push(b'\\');
                    tail
                }
                (b'\\', [b'x', high, low, tail @ ..]) => {
                    let digit = |byte: &u8| char::from(*byte).to_digit(16);
                    bytes.push((digit(high)? << 4 | digit(low)?) as u8);
                    tail
                }
                (b'\\', _) => return None,
                (plain, tail) => {
                    bytes.push(*plain);
                    tail
                }
            };
        }
        path_of(bytes)
    }
}

impl Borrow<str> for PathKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn different_paths_have_different_keys() {
        let long = format!("/{}", "a".repeat(2_000));
        let longer = format!("{long}b");
        for (path, expected) in [
            (b"/d/caf\xc3\xa9 .txt".as_slice(), "/d/caf\u{e9} .txt"),
            (b"/d/\xff.txt", r"/d/\xff.txt"),
            (br"/d/\xff.txt", r"/d/\\xff.txt"),
            (b"/d/\xf0\x9f.txt", r"/d/\xf0\x9f.txt"),
        ] {
            let path = Path::new(OsStr::from_bytes(path));
            let key = PathKey::of(path);
            assert_eq!(key.as_str(), expected);
            assert_eq!(key.to_path().as_deref(), Some(path));
        }
        let [long, longer] = [long, longer].map(|path| PathKey::of(Path::new(&path)));
        assert_ne!(long, longer);
        assert!(long.as_str().len() < 1_000 && long.to_path().is_none());
    }

    #[test]
    fn a_folder_contains_what_is_below_it() {
        for (path, folder, expected) in [
            ("/d/a.txt", "/d", true),
            ("/d", "/d", true),
            ("/d2/a.txt", "/d", false),
            ("/a.txt", "/", true),
            ("/d", "/d/a.txt", false),
        ] {
            let [path, folder] = [path, folder].map(|path| PathKey::of(Path::new(path)));
            assert_eq!(path.is_within(&folder), expected, "{path:?} {folder:?}");
            assert_eq!(path.is_within_any(&HashSet::from([folder])), expected, "{path:?}");
        }
    }
}
