//! Keys as 8-byte words, so that most of them are hashed and compared in one step.

use std::hash::{BuildHasher, Hasher};

/// The length of a key's head, in bytes.
pub(super) const HEAD: usize = 8;

/// A key to look up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// The first eight bytes, little-endian, padded with zeros.
    pub(super) head: u64,
    /// The bytes after the head.
    pub(super) rest: &'a [u8],
    /// The length of the whole key, in bytes.
    pub(super) len: u32,
}

impl<'a> Key<'a> {
    /// Creates a key from its bytes.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { head: word(bytes), rest: bytes.get(HEAD..).unwrap_or_default(), len: bytes.len() as u32 }
    }

    /// Creates a key from a namespace byte and a name.
    #[inline]
    pub(super) fn of_name(namespace: u8, name: &'a [u8]) -> Self {
        let head = word(name) << 8 | u64::from(namespace);
        Self { head, rest: name.get(HEAD - 1..).unwrap_or_default(), len: name.len() as u32 + 1 }
    }

    #[inline]
    pub(super) fn hash(&self, state: &impl BuildHasher) -> u64 {
        let mut hasher = state.build_hasher();
        hasher.write_u64(self.head);
        // The length distinguishes keys that differ only in trailing zeros.
        hasher.write_u32(self.len);
        if !self.rest.is_empty() {
            hasher.write(self.rest);
        }
        hasher.finish()
    }
}

/// Returns the first eight bytes, little-endian, padded with zeros.
#[inline]
pub(super) fn word(bytes: &[u8]) -> u64 {
    if let Some(all) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*all);
    }
    let len = bytes.len();
    // The two parts agree where they overlap.
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
        }
        _ if len == 0 => 0,
        _ => {
            let part = |at: usize| u64::from(bytes[at]) << (8 * at);
            part(0) | part(len / 2) | part(len - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_the_bytes_that_are_there() {
        let bytes = *b"\x81\x02\xf3\x04\x05\x96\x07\x88\xff";
        for len in 0..=bytes.len() {
            let expected = bytes[..len.min(8)].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            assert_eq!(word(&bytes[..len]), expected, "{len} bytes");
        }
    }

    #[test]
    fn the_key_of_a_name_is_that_of_its_bytes() {
        let state = foldhash::quality::RandomState::default();
        for len in 0..20 {
            let bytes: Vec<u8> = (7..8 + len).collect();
            let (key, named) = (Key::new(&bytes), Key::of_name(7, &bytes[1..]));
            assert_eq!((key.head, key.rest, key.len), (named.head, named.rest, named.len), "{len} bytes");
            assert_eq!(key.hash(&state), named.hash(&state));
        }
        assert_ne!(Key::new(b"a").hash(&state), Key::new(b"a\0").hash(&state));
    }
}
