use bincode::{Decode, Encode};

use super::digest::Digest;

/// The root that is about to replace the present one, as a record under the present one announces
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Announcement {
    /// The digest of the root record.
    pub(crate) root: Digest,
    /// The id of its new data key. Nobody without a key learns it before something is sealed under
    /// that key.
    pub(crate) data_key: [u8; 8],
}
