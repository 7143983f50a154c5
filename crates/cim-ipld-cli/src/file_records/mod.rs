//! The records of what was indexed under each path. [`Follower`](crate::follower::Follower) brings
//! documents and records up to date.
//!
//! `docs/decisions/0015-records-of-files.md` explains where the records are and why.

mod path_key;
pub(crate) mod record;
mod records;
mod stamp;
mod survey;

pub(crate) use path_key::PathKey;
pub(crate) use record::{FileRecord, PATHS, RESERVED_PREFIX, texts};
pub(crate) use records::Records;
pub(crate) use stamp::Stamp;
pub(crate) use survey::Survey;
