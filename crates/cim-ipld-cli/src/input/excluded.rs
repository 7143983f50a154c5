//! What is never indexed: folder stores and keys.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The first line of the file `FORMAT` in every folder store begins with this.
const STORE_MARK: &[u8] = b"cim-ipld-embedded";
/// The key in every key file begins with this.
const KEY_MARK: &[u8] = b"cim-key-v";

/// The beginning of every `CACHEDIR.TAG` (Cache Directory Tagging Specification).
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The files and folders of the index itself. Key files and other folder stores are recognized by
/// their content.
#[derive(Debug, Default)]
pub(crate) struct Excluded {
    /// Canonical paths.
    paths: Vec<PathBuf>,
}

impl Excluded {
    /// Excludes these paths, as far as they exist.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self { paths: paths.into_iter().filter_map(|path| path.canonicalize().ok()).collect() }
    }

    /// Returns whether a canonical path is one of the excluded ones.
    pub(super) fn names(&self, canonical: &Path) -> bool {
        self.paths.iter().any(|path| path == canonical)
    }

    pub(super) fn is_store(folder: &Path) -> bool {
        starts_with(&folder.join("FORMAT"), STORE_MARK)
    }

    /// Returns whether a file contains a key, after blank lines and comments.
    pub(super) fn is_key(content: &[u8]) -> bool {
        let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
        let mut lines = content.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
        first.is_some_and(|line| line.starts_with(KEY_MARK))
    }

    pub(super) fn is_cache(folder: &Path) -> bool {
        starts_with(&folder.join("CACHEDIR.TAG"), CACHE_SIGNATURE)
    }
}

fn starts_with(file: &Path, beginning: &[u8]) -> bool {
    let mut read = vec![0; beginning.len()];
    let opened = std::fs::File::open(file);
    opened.is_ok_and(|mut file| file.read_exact(&mut read).is_ok()) && read == beginning
}
