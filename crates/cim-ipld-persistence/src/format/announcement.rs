use bincode::{Decode, Encode};

use super::digest::Digest;

/// The announcement of a new root, contained in a record under the current root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Announcement {
    /// The digest of the root record.
    pub(crate) root: Digest,
    /// The id of the new data key. It is secret until something is sealed under that key.
    pub(crate) data_key: [u8; 8],
}
