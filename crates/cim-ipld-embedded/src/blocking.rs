use cim_ipld_backend::{Error, ErrorKind, Result};

/// Runs file work off the runtime's own threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) => {
            Err(Error::new(ErrorKind::Unavailable, "the runtime ended before the store answered").with_source(gone))
        }
    }
}
