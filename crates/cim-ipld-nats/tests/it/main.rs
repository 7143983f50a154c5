//! The backend on real servers: the contract, and misbehaving servers.

mod buckets;
mod cluster;
mod conformance;
mod connecting;
mod encryption;
mod fences;
mod foreign;
mod history;
mod hostile;
mod limits;
mod permissions;
mod reading;
mod support;
mod watching;
mod writing;
