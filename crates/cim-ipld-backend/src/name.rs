use std::fmt;
use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

/// The longest bucket name, in bytes.
pub const MAX_BUCKET_BYTES: usize = 128;

/// The longest key, in bytes. NATS puts the key into a subject, and a subject over the server's
/// control line (4 KiB by default) drops the whole connection; this leaves room for every prefix.
pub const MAX_KEY_BYTES: usize = 512;

/// A bucket: its name, `[-_a-zA-Z0-9]+`, and how its values are used.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    name: Arc<str>,
    kind: BucketKind,
}

/// How the values of a bucket are used, so that a backend may choose how to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BucketKind {
    /// Values change and their order matters: reads must see the last acknowledged write.
    Log,
    /// Each key is written once and later removed: any copy of the value is the value.
    Objects,
}

impl Bucket {
    /// Names a bucket of changing values.
    ///
    /// # Errors
    /// `InvalidName` when the name is empty, longer than [`MAX_BUCKET_BYTES`], or has another
    /// character.
    pub fn log(name: &str) -> Result<Self> {
        Self::parse(name, BucketKind::Log)
    }

    /// Names a bucket of immutable values.
    ///
    /// # Errors
    /// `InvalidName`, as for [`log`](Bucket::log).
    pub fn objects(name: &str) -> Result<Self> {
        Self::parse(name, BucketKind::Objects)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how the values are used.
    #[must_use]
    pub fn kind(&self) -> BucketKind {
        self.kind
    }

    fn parse(name: &str, kind: BucketKind) -> Result<Self> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > MAX_BUCKET_BYTES || !name.bytes().all(valid) {
            return Err(invalid("bucket name", name, "1 to 128 of the characters A-Z a-z 0-9 - _"));
        }
        Ok(Self { name: name.into(), kind })
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A key: dot-separated tokens of `[-/_=a-zA-Z0-9]+`, as NATS KV allows, at most [`MAX_KEY_BYTES`]
/// long.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Parses a key.
    ///
    /// # Errors
    /// `InvalidName` when it is empty, too long, has another character, or an empty token (a dot at
    /// either end, two dots in a row).
    pub fn new(key: &str) -> Result<Self> {
        if is_tokens(key) && key.len() <= MAX_KEY_BYTES {
            Ok(Self(key.into()))
        } else {
            Err(invalid("key", key, "1 to 512 characters: tokens of A-Z a-z 0-9 - / _ = joined by single dots"))
        }
    }

    /// Returns the key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of keys: all of them, or those below some leading tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix(Option<Arc<str>>);

impl KeyPrefix {
    /// Stands for every key of a bucket.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// Stands for the keys that begin with `tokens` and a dot: `journal` holds `journal.a` and
    /// `journal.a.b`, but neither `journal` nor `journals.a`.
    ///
    /// # Errors
    /// `InvalidName` when `tokens` is not a valid [`Key`].
    pub fn below(tokens: &str) -> Result<Self> {
        Ok(Self(Some(Key::new(tokens)?.0)))
    }

    /// Tells whether `key` is in the set.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.0.as_deref().is_none_or(|tokens| {
            key.as_str().strip_prefix(tokens).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
        })
    }

    /// Returns the leading tokens, or `None` for every key.
    #[must_use]
    pub fn tokens(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

fn is_tokens(text: &str) -> bool {
    text.split('.').all(|token| {
        !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'='))
    })
}

fn invalid(what: &str, given: &str, expected: &str) -> Error {
    let shown: String = given.chars().take(64).collect();
    Error::new(ErrorKind::InvalidName, format!("{shown:?} is not a {what}: expected {expected}"))
}
