//! The engine's life on every backend: what is acknowledged is there, in order, after restarts, crashes and faults.

mod cost;
mod crash;
mod errors;
mod fixtures;
mod lifecycle;
mod moved;
mod races;
mod rotation;
mod server;
mod several;
mod snapshots;
mod support;
mod verify;
