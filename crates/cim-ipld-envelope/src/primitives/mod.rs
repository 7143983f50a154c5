//! The primitives: thin layers over reviewed implementations, each with its source and its
//! precondition.

pub(crate) mod aead;
pub(crate) mod argon2id;
pub(crate) mod hash;
pub(crate) mod hkdf;

#[cfg(test)]
mod rfc_vectors;
#[cfg(test)]
mod wycheproof;
