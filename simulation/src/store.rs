//! A store in memory that fails and lies as a seed says, so that a run can be repeated exactly.
//!
//! [`Store`] is the hand of the test: it makes clients, crashes and pauses them, purges buckets,
//! forks and joins, puts old values back. Each simulated process has a [`Client`], a
//! [`Backend`](cim_ipld_backend::Backend) over the shared buckets. [`Faults`] says how often what
//! happens by itself.
//!
//! Every choice comes from the seed, and time from tokio's clock, which a run must pause: a
//! current-thread runtime with `start_paused`. Two runs of the same program with the same seed then
//! have the same [trace](Store::trace). The program must not draw numbers of its own from the
//! system: of tokio, `select!` needs `biased;`, and a `tokio::sync::watch` channel wakes several
//! receivers in any order.
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
