//! Tests for storage backends: a conformance suite, fault injection, crash simulation, and a
//! nats-server harness.
//!
//! * [`conformance`] is the suite that every [`Backend`](cim_ipld_backend::Backend) must pass, with
//!   one named case per rule of the contract.
//! * [`FaultInjecting`] makes chosen operations fail, wait, run twice, or lose their
//!   acknowledgement.
//! * [`Crashing`] separates live state from durable state and crashes at a chosen operation.
//! * [`Counting`] counts operations and bytes by bucket and method.
//! * [`nats_server`] runs a real nats-server that a test can kill, pause and restart.
//! * [`seeds`] runs a fuzz target on its committed seeds and on mutations of them.
//!
//! This crate is for tests: its functions panic on failure.
//!
//! # Run the conformance suite
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
//! # Test how code handles storage failures
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};
//! use cim_ipld_backend_testkit::{Fault, FaultInjecting, OperationKind};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld_backend::Error> {
//! let backend = FaultInjecting::new(MemoryBackend::new());
//! let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
//! backend.create(&bucket).await?;
//!
//! backend.when(|operation| (operation.kind == OperationKind::Get).then_some(Fault::Fail(ErrorKind::Unavailable)));
//! assert_eq!(backend.get(&bucket, &key).await.unwrap_err().kind(), ErrorKind::Unavailable);
//! backend.put(&bucket, &key, "value".into(), Precondition::Any).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Test recovery from a crash at every operation
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
//! use cim_ipld_backend_testkit::{CrashMoment, Crashing};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld_backend::Error> {
//! let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
//! for operation in 0..2 {
//!     for moment in CrashMoment::ALL {
//!         let backend = Crashing::new();
//!         backend.crash_at(operation, moment);
//!         if backend.create(&bucket).await.is_ok() {
//!             backend.put(&bucket, &key, "value".into(), Precondition::Any).await.unwrap_err();
//!         }
//!         let reopened = backend.reopen();
//!         reopened.create(&bucket).await?;
//!         let found = reopened.get(&bucket, &key).await?;
//!         assert!(found.is_none_or(|entry| entry.value == "value"));
//!     }
//! }
//! # Ok(())
//! # }
//! ```

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
