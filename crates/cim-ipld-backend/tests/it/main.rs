//! Tests of names, errors and the memory backend. What holds of every backend is tried by the
//! conformance suite.

mod errors;
mod memory;
mod names;
