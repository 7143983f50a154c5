//! Keeps cim-ipld's buckets in NATS JetStream Key-Value buckets, and configures the server's own
//! encryption at rest.
//!
//! A bucket `b` is the stream `KV_b` on the subjects `$KV.b.>`; a revision is a stream sequence.
//! Values are opaque bytes: encrypt before you store. What changes is read through the stream's
//! leader, what is written once from any replica with the leader asked before an absence is
//! believed. Removal purges by subject and leaves no tombstone.
//!
//! A write with `AbsentWhile` is compared with the fence by the server, exactly, on version 2.12 or
//! newer. A message is compared with one subject alone, so the absence of its own key is found by
//! message id: a key that was put with `AbsentWhile` within the bucket's duplicate window (2
//! minutes) is a `Conflict`, even if it was removed since; one that was put longer ago, or with
//! another precondition, is replaced. After a restart the server recognises the ids of messages
//! that are still stored. A bucket with several replicas compares one write with a fence at a time;
//! concurrent ones are tried again within milliseconds.
//!
//! The default of a single server acknowledges before it syncs:
//! [`Durability::Crash`](cim_ipld_backend::Durability). Three replicas in separate failure domains
//! with `sync_interval: always` are the safe profile.
//!
//! ```no_run
//! use cim_ipld_nats::NatsBackend;
//!
//! # async fn example() -> Result<(), cim_ipld_backend::Error> {
//! let backend = NatsBackend::connect("nats://127.0.0.1:4222").await?;
//! # Ok(())
//! # }
//! ```

mod backend;
mod backoff;
mod buckets;
mod connect;
mod connection;
mod delivery;
mod denials;
mod encryption;
mod error;
mod follow;
mod leader;
mod publish;
mod reasons;
mod servers;
mod settings;

pub use async_nats;
pub use backend::NatsBackend;
pub use connection::NatsConnection;
pub use encryption::{NatsEncryption, ServerKey};
pub use publish::VALUE_OVERHEAD_BYTES;
pub use servers::ServerList;
pub use settings::NatsSettings;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
