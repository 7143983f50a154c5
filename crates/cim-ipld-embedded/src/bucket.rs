use cim_ipld_backend::Revision;
use tokio::sync::watch;

/// The state of an open bucket.
pub(crate) struct BucketHandle {
    pub(crate) name: String,
    /// The last revision visible to readers; watches subscribe to it.
    pub(crate) last: watch::Sender<Revision>,
}
