//! Says when a storage backend is right, and makes storage go wrong on purpose.
//!
//! * [`conformance`] is the suite that every [`Backend`](cim_ipld_backend::Backend) passes: one
//!   call from a test, one named case per rule of the contract.
//! * [`FaultInjecting`] spoils chosen operations: failure, delay, repetition, an acknowledgement
//!   that is lost.
//! * [`Crashing`] keeps live state apart from durable state and crashes at a chosen operation.
//! * [`Counting`] counts operations and bytes by bucket and method.
//! * [`nats_server`] runs a real nats-server for a test: start, kill, pause, restart, nothing left
//!   behind.
//! * [`seeds`] runs a fuzz target on its committed seeds and on mutations of them.
//!
//! A new backend runs the suite like this:
//!
//! ```
//! use cim_ipld_backend::MemoryBackend;
//! use cim_ipld_backend_testkit::conformance::{self, Fixture};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::run(async || Fixture::new(MemoryBackend::new())).await;
//! # }
//! ```
//!
//! This crate is for tests: its functions panic to report what failed.

pub mod conformance;
pub mod nats_server;
pub mod seeds;

mod counting;
mod crash;
mod fault;
mod operation;

pub use counting::{Count, Counting, Counts};
pub use crash::{CrashMoment, Crashing};
pub use fault::{Fault, FaultInjecting};
pub use operation::{Operation, OperationKind};

#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding-a-backend.md")]
#[doc = include_str!("../README.md")]
mod pages {}
