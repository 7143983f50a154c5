//! Tests of names, errors and the memory backend. The conformance suite tests the contract that all
//! backends share.

mod errors;
mod memory;
mod names;
