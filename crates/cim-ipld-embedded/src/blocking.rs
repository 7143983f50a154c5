use cim_ipld_backend::{Error, ErrorKind, Result};

/// Runs blocking file operations on a blocking thread of the runtime.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) => Err(Error::new(
            ErrorKind::Unavailable,
            "the store operation was aborted: it panicked or the runtime shut down",
        )
        .with_source(gone)),
    }
}
