use cim_ipld_backend::Revision;
use tokio::sync::watch;

/// A bucket of the store.
pub(crate) struct HeldBucket {
    pub(crate) name: String,
    /// The last revision that readers can see, and the news of it.
    pub(crate) last: watch::Sender<Revision>,
}
