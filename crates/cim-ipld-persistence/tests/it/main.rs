//! The engine's life on every backend: what is acknowledged is there, in order, after restarts,
//! crashes and faults.

mod analyzers;
mod breaks;
mod breaks_of_keys;
mod cost;
mod cost_of_many;
mod crash;
mod errors;
mod exactness;
mod fixtures;
mod hand;
mod keyless;
mod lifecycle;
mod lost;
mod moved;
mod pins;
mod races;
mod remains;
mod rotation;
mod server;
mod several;
mod snapshots;
mod staged;
mod support;
mod unlucky;
mod verify;
mod writers;
