//! Tests of the suite and of the wrappers.

mod conformance;
mod nats_server;
mod wrappers;
