//! A store in memory with seeded faults and lies, for reproducible runs.
//!
//! [`Store`] is the control interface of a test: it adds, crashes and pauses clients, purges
//! buckets, forks and joins branches, and stores old values again. Each simulated process has a
//! [`Client`], a [`Backend`](cim_ipld_backend::Backend) over the shared buckets. [`Faults`] sets
//! the rates of spontaneous faults.
//!
//! Every choice comes from the seed, and time comes from the clock of tokio, which must be paused
//! (a current-thread runtime with `start_paused`). Two runs of the same program with the same seed
//! then have the same [trace](Store::trace). The program must not use other randomness: `select!`
//! of tokio needs `biased;`, and a `tokio::sync::watch` channel wakes several receivers in any
//! order.
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
//! use cim_ipld_simulation::store::{Faults, Store};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), cim_ipld_backend::Error> {
//! let store = Store::new(7, Faults::none());
//! let (one, two) = (store.client(), store.client());
//! let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("root")?);
//! one.create(&bucket).await?;
//! one.put(&bucket, &key, "value".into(), Precondition::Absent).await?;
//! assert_eq!(two.get(&bucket, &key).await?.unwrap().value, "value");
//! assert!(store.trace().last().unwrap().ends_with("client 1 get catalog_v1 root -> 5 bytes at r1"));
//! # Ok(())
//! # }
//! ```

mod backend;
mod branch;
mod client;
mod faults;
mod hand;
mod ids;
mod lies;
mod random;
mod stream;
mod trace;
mod world;

pub use client::Client;
pub use faults::{Faults, Lies};
pub use hand::Store;
pub use ids::{Archived, BranchId, ClientId};
pub use random::Rate;
pub(crate) use random::mix;
