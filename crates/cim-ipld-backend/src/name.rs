use std::fmt;
use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

/// The maximum length of a bucket name, in bytes.
pub const MAX_BUCKET_BYTES: usize = 128;

/// The maximum length of a key, in bytes. In NATS a key is part of a subject, and the server closes
/// the connection of a client that sends a protocol line longer than the server's limit (4 KiB by
/// default). This maximum leaves room for whatever precedes the key in the subject.
pub const MAX_KEY_BYTES: usize = 512;

/// A bucket: its name, `[-_a-zA-Z0-9]+`, and how its values are used.
///
/// ```
/// use cim_ipld_backend::{Bucket, BucketKind, ErrorKind};
///
/// let bucket = Bucket::log("catalog_v1")?;
/// assert_eq!((bucket.name(), bucket.kind()), ("catalog_v1", BucketKind::Log));
/// assert_eq!(Bucket::log("catalog v1").unwrap_err().kind(), ErrorKind::InvalidName);
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    name: Arc<str>,
    kind: BucketKind,
}

/// How the values of a bucket are used, which determines how a backend may read them.
///
/// ```
/// use cim_ipld_backend::{Bucket, BucketKind};
///
/// assert_eq!(Bucket::objects("text_index_v1")?.kind(), BucketKind::Objects);
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BucketKind {
    /// Values change and their order matters: reads return the last acknowledged write.
    Log,
    /// Keys are normally written once, and may later be removed. Reads may be served by any
    /// replica, so a reader may see an older value of a key that was replaced.
    Objects,
}

impl Bucket {
    /// Returns a bucket of mutable values, of kind [`BucketKind::Log`].
    ///
    /// # Errors
    /// [`InvalidName`](ErrorKind::InvalidName) if the name is empty, longer than
    /// [`MAX_BUCKET_BYTES`], or contains a character other than `A-Z`, `a-z`, `0-9`, `-` and `_`.
    pub fn log(name: &str) -> Result<Self> {
        Self::parse(name, BucketKind::Log)
    }

    /// Returns a bucket of write-once values, of kind [`BucketKind::Objects`].
    ///
    /// # Errors
    /// As for [`log`](Bucket::log).
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

/// A key: dot-separated tokens of `[-/_=a-zA-Z0-9]+`, as in NATS KV, of at most [`MAX_KEY_BYTES`].
///
/// ```
/// use cim_ipld_backend::{ErrorKind, Key};
///
/// assert_eq!(Key::new("journal.0f9.1")?.as_str(), "journal.0f9.1");
/// assert_eq!(Key::new("journal..1").unwrap_err().kind(), ErrorKind::InvalidName);
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Parses a key.
    ///
    /// # Errors
    /// [`InvalidName`](ErrorKind::InvalidName) if `key` is empty, is longer than [`MAX_KEY_BYTES`],
    /// contains a character other than `A-Z`, `a-z`, `0-9`, `-`, `/`, `_`, `=` and the dot, or has
    /// an empty token (a leading or trailing dot, or two dots in a row).
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

/// A set of keys: all keys, or those that begin with certain tokens.
///
/// ```
/// use cim_ipld_backend::{Key, KeyPrefix};
///
/// let journal = KeyPrefix::below("journal")?;
/// assert!(journal.contains(&Key::new("journal.a.1")?));
/// assert!(!journal.contains(&Key::new("manifest")?));
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix(Option<Arc<str>>);

impl KeyPrefix {
    /// Returns the set of all keys.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// Returns the set of keys that begin with `tokens` and a dot: `journal` includes `journal.a`
    /// and `journal.a.b`, but neither `journal` nor `journals.a`.
    ///
    /// # Errors
    /// [`InvalidName`](ErrorKind::InvalidName) if `tokens` is not a valid [`Key`].
    pub fn below(tokens: &str) -> Result<Self> {
        Ok(Self(Some(Key::new(tokens)?.0)))
    }

    /// Returns whether `key` is in the set.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.0.as_deref().is_none_or(|tokens| {
            key.as_str().strip_prefix(tokens).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
        })
    }

    /// Returns the leading tokens, or `None` for the set of all keys.
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
    Error::new(ErrorKind::InvalidName, format!("{shown:?} is not a valid {what}: expected {expected}"))
}
