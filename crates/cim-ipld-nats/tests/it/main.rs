//! The backend on real servers: the contract, and the days on which a server misbehaves.

mod buckets;
mod conformance;
mod encryption;
mod fences;
mod permissions;
mod reading;
mod support;
mod watching;
mod writing;
