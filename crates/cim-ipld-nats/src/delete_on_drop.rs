use async_nats::jetstream::stream::Stream;
use cim_ipld_backend::Bucket;

/// Deletes a consumer when its deliveries are no longer needed. If that fails, the server removes
/// the consumer later.
pub(crate) struct DeleteOnDrop {
    pub(crate) bucket: Bucket,
    pub(crate) stream: Stream,
    pub(crate) name: String,
}

impl Drop for DeleteOnDrop {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (bucket, stream, name) = (self.bucket.clone(), self.stream.clone(), std::mem::take(&mut self.name));
        runtime.spawn(async move {
            if let Err(error) = stream.delete_consumer(&name).await {
                tracing::debug!(%bucket, %error, "a consumer was not deleted");
            }
        });
    }
}
