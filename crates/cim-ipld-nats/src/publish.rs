//! Writing: a bounded amount on its way at a time, and every outcome told apart.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self};
use bytes::Bytes;
use cim_ipld_backend::{Bucket, Error, ErrorKind, Key, Precondition, Result, Revision};
use tokio::sync::Semaphore;

use crate::NatsSettings;
use crate::backend::subject;
use crate::backoff::Backoff;
use crate::buckets::Buckets;
use crate::denials::Denials;
use crate::error::{jetstream_error, jetstream_kind};

/// Publishes values and waits for their acknowledgements, side by side with each other.
#[derive(Clone)]
pub(crate) struct Publisher {
    context: jetstream::Context,
    buckets: Buckets,
    denials: Denials,
    /// One permit a byte.
    in_flight: Arc<Semaphore>,
    capacity: u32,
    patience: Duration,
}

impl Publisher {
    pub(crate) fn new(
        mut context: jetstream::Context,
        buckets: Buckets,
        denials: Denials,
        settings: &NatsSettings,
    ) -> Self {
        context.set_timeout(Duration::from_millis(settings.ack_timeout_ms));
        let capacity = u32::try_from(settings.in_flight_bytes).unwrap_or(u32::MAX).max(1);
        let in_flight = Arc::new(Semaphore::new(capacity as usize));
        let patience = Duration::from_millis(settings.patience_ms);
        Self { context, buckets, denials, in_flight, capacity, patience }
    }

    /// Stores a value. Only a write that certainly did not happen is tried again here: after a silence, whoever wrote must
    /// read back, because only they know their own value from another's.
    pub(crate) async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        value: Bytes,
        precondition: Precondition,
    ) -> Result<Revision> {
        let permits = u32::try_from(value.len()).unwrap_or(u32::MAX).clamp(1, self.capacity);
        let _permit = self.in_flight.acquire_many(permits).await.map_err(|closed| {
            Error::new(ErrorKind::Unavailable, "the connection is being given up").with_source(closed)
        })?;
        let mut backoff = Backoff::new(self.patience);
        loop {
            let error = match self.publish(bucket, key, value.clone(), precondition).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => error,
                done => return done,
            };
            // No stream listens, or its server has just come up and does not know it yet: the stream itself can tell.
            match self.buckets.look(bucket).await {
                Err(error) if error.kind() != ErrorKind::Unavailable => return Err(error),
                _ if backoff.wait().await => {}
                _ => return Err(error),
            }
        }
    }

    async fn publish(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        let message = PublishMessage::build().payload(value);
        let message = match precondition {
            Precondition::Any => message,
            Precondition::Absent => message.expected_last_subject_sequence(0),
            // Zero would mean absence to the server; no value has it.
            Precondition::Unchanged(revision) if revision > Revision::ZERO => {
                message.expected_last_subject_sequence(revision.number())
            }
            _ => {
                let message = format!("key {key} cannot have the revision that the write expects");
                return Err(Error::new(ErrorKind::Conflict, message));
            }
        };
        let subject = subject(bucket, key);
        let sent = async {
            let acknowledgement = self.context.send_publish(subject.clone(), message).await.map_err(|error| {
                let kind = match error.kind() {
                    PublishErrorKind::MaxPayloadExceeded => ErrorKind::TooLarge,
                    _ => ErrorKind::Unavailable,
                };
                Error::new(kind, format!("writing {key} to bucket {bucket} failed: {}", error.kind()))
                    .with_source(error)
            })?;
            acknowledgement.await.map_err(|error| refused(bucket, key, error))
        };
        Ok(Revision::new(self.denials.watch(&[&subject], sent).await?.sequence))
    }
}

/// Sorts a write that was sent and not acknowledged by what it means for the value.
fn refused(bucket: &Bucket, key: &Key, error: PublishError) -> Error {
    let kind = match (error.kind(), jetstream_error(&error)) {
        // Nobody listened.
        (PublishErrorKind::StreamNotFound, _) => ErrorKind::Unavailable,
        // The stream answered, and not with a place in its order: it has stored nothing.
        (_, Some(answer)) => jetstream_kind(answer).unwrap_or(ErrorKind::Unavailable),
        _ => ErrorKind::OutcomeUnknown,
    };
    Error::new(kind, format!("writing {key} to bucket {bucket} failed: {error}")).with_source(error)
}
