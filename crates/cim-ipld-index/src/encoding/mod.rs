//! Encodings of integers, numbers and document sets.

pub(crate) mod docset;
pub(crate) mod numbers;
pub(crate) mod wire;
