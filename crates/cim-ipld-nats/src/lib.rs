//! A storage backend for cim-ipld on NATS JetStream Key-Value buckets, and a generator for the
//! server's encryption-at-rest configuration.
//!
//! A bucket `b` is the stream `KV_b` on the subjects `$KV.b.>`, and a revision is a stream
//! sequence. Values are opaque bytes: encrypt before you store. Buckets of kind `Log` are read
//! through the leader of the stream. Buckets of kind `Objects` are read from any replica, and the
//! leader is consulted before an absence is reported. Removing a key purges its subject and leaves
//! no tombstone.
//!
//! [`AbsentWhile`](cim_ipld_backend::Precondition::AbsentWhile) requires server 2.12 or newer. The
//! server checks exactly that the fence, the other key named by the precondition, still has the
//! given revision. It can compare only one subject per message, so the absence of the key is
//! checked by message id. For the duplicate window of the bucket, which is at least 2 minutes, the
//! server remembers the keys that were written with `AbsentWhile`, and a second such write fails
//! with `Conflict` even if the value has been removed since. If the server does not remember an
//! existing key, because the key was written too long ago or with a different precondition, a write
//! with `AbsentWhile` replaces its value. After a restart, the server remembers only the keys of
//! messages that are still stored. A replicated bucket processes one fenced write at a time for
//! each fence; concurrent fenced writes are retried within milliseconds.
//!
//! A single server with default settings acknowledges a write before syncing it, which is
//! [`Durability::Crash`](cim_ipld_backend::Durability). For safety against power failures, use
//! three replicas in separate failure domains with `sync_interval: always`.
//!
//! # Connect and create a bucket
//!
//! ```no_run
//! use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
//! use cim_ipld_nats::NatsBackend;
//!
//! # async fn example() -> Result<(), cim_ipld_backend::Error> {
//! let backend = NatsBackend::connect("nats://127.0.0.1:4222").await?;
//! let bucket = Bucket::log("catalog_v1")?;
//! backend.create(&bucket).await?;
//! backend.put(&bucket, &Key::new("manifest")?, "value".into(), Precondition::Absent).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Use a cluster with credentials, TLS and three replicas
//!
//! ```no_run
//! use cim_ipld_nats::{NatsBackend, NatsConnection, NatsSettings};
//!
//! # async fn example() -> Result<(), cim_ipld_backend::Error> {
//! let connection = NatsConnection::to("tls://one.example.org,two.example.org,three.example.org")?
//!     .credentials_file("notes.creds")
//!     .ca_file("ca.pem");
//! let mut settings = NatsSettings::default();
//! settings.replicas = 3;
//! let backend = NatsBackend::connect_to(&connection, settings).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Use an existing client
//!
//! ```no_run
//! use cim_ipld_nats::{NatsBackend, async_nats};
//!
//! # async fn example() -> Result<(), async_nats::ConnectError> {
//! let client = async_nats::connect("nats://127.0.0.1:4222").await?;
//! let backend = NatsBackend::new(async_nats::jetstream::new(client));
//! # Ok(())
//! # }
//! ```
//!
//! # Encrypt the files of the server
//!
//! ```
//! use cim_ipld_nats::NatsEncryption;
//!
//! let config = NatsEncryption { enabled: true, key_file: None, cipher: "AES256".to_string() };
//! assert_eq!(config.server_configuration("JS_KEY")?, "cipher: aes\nkey: $JS_KEY\n");
//! # Ok::<(), cim_ipld_backend::Error>(())
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod backend;
mod backoff;
mod buckets;
mod connect;
mod connect_error;
mod connection;
mod delete_on_drop;
mod delivery;
mod encryption;
mod error;
mod follow;
mod leader;
mod notices;
mod publish;
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
