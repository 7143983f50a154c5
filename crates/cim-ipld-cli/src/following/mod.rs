//! Follows changing files: the records of what was indexed under each path, and the changes that
//! bring documents and records up to date in one atomic write.
//!
//! `docs/decisions/0015-records-of-files.md` explains where the records are and why.

mod follower;
mod path_key;
mod record;
mod records;
mod stamp;
mod survey;

pub(crate) use follower::{Change, Follower};
pub(crate) use path_key::PathKey;
pub(crate) use record::{FileRecord, PATHS, RESERVED_PREFIX, texts};
pub(crate) use records::Records;
pub(crate) use stamp::Stamp;
pub(crate) use survey::Survey;
