//! The guarantees of the crate, one module per area.

mod allocation;
mod body;
mod content;
mod envelope;
mod fixture;
mod hostile;
mod key_file;
mod keyset;
mod memory;
mod names;
mod passphrase;
mod usage;
mod vectors;
mod wrapper;
