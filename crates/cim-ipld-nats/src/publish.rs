//! Writes: a bounded number of bytes in flight, and a distinct error for each outcome.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self};
use bytes::Bytes;
use cim_ipld_backend::{
    Bucket, Error, ErrorKind, Key, MAX_BUCKET_BYTES, MAX_KEY_BYTES, Precondition, Result, Revision,
};
use tokio::sync::Semaphore;

use crate::NatsSettings;
use crate::backoff::Backoff;
use crate::buckets::Buckets;
use crate::error::{jetstream_error, jetstream_kind};
use crate::notices::Notices;

/// The maximum size of the headers of a write. The largest value is `max_payload` of the server
/// minus this.
pub const VALUE_OVERHEAD_BYTES: usize = {
    const LINE_END: usize = 2;
    const DIGITS: usize = 20;
    let version = "NATS/1.0".len() + LINE_END;
    let sequence = "Nats-Expected-Last-Subject-Sequence: ".len() + DIGITS + LINE_END;
    let fence =
        EXPECTED_SUBJECT.len() + ": ".len() + "$KV.".len() + MAX_BUCKET_BYTES + ".".len() + MAX_KEY_BYTES + LINE_END;
    let id = "Nats-Msg-Id: ".len() + MAX_KEY_BYTES + LINE_END;
    version + sequence + fence + id + LINE_END
};

/// Publishes values concurrently and waits for their acknowledgements.
#[derive(Clone)]
pub(crate) struct Publisher {
    context: jetstream::Context,
    buckets: Buckets,
    notices: Notices,
    /// One permit per byte.
    in_flight: Arc<Semaphore>,
    capacity: u32,
    patience: Duration,
}

impl Publisher {
    pub(crate) fn new(
        mut context: jetstream::Context,
        buckets: Buckets,
        notices: Notices,
        settings: &NatsSettings,
    ) -> Self {
        context.set_timeout(Duration::from_millis(settings.ack_timeout_ms));
        let capacity = u32::try_from(settings.in_flight_bytes).unwrap_or(u32::MAX).max(1);
        let in_flight = Arc::new(Semaphore::new(capacity as usize));
        let patience = Duration::from_millis(settings.patience_ms);
        Self { context, buckets, notices, in_flight, capacity, patience }
    }

    /// Stores a value. A write is retried here only if it certainly did not happen. After a timeout
    /// the caller must read the key back, because only the caller can distinguish its own value
    /// from a different one.
    pub(crate) async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        value: Bytes,
        precondition: Precondition,
    ) -> Result<Revision> {
        let permits = u32::try_from(value.len()).unwrap_or(u32::MAX).clamp(1, self.capacity);
        let _permit = self
            .in_flight
            .acquire_many(permits)
            .await
            .map_err(|closed| Error::new(ErrorKind::Unavailable, "the connection is closed").with_source(closed))?;
        let mut backoff = Backoff::new(self.patience);
        let mut brief = Backoff::brief(self.patience);
        loop {
            let error = match self.publish(bucket, key, value.clone(), &precondition).await {
                Ok(revision) => return Ok(revision),
                Err(Failure::Busy(_)) if brief.wait().await => continue,
                Err(Failure::Busy(error)) => return Err(error),
                Err(Failure::Final(error)) if error.kind() == ErrorKind::Unavailable => error,
                Err(Failure::Final(error)) => return Err(error),
            };
            // Either the stream does not exist, or its server has just restarted. Requesting the
            // stream information shows which.
            match self.buckets.refresh(bucket).await {
                Err(error) if error.kind() != ErrorKind::Unavailable => return Err(error),
                _ if backoff.wait().await => {}
                _ => return Err(error),
            }
        }
    }

    async fn publish(
        &self,
        bucket: &Bucket,
        key: &Key,
        value: Bytes,
        precondition: &Precondition,
    ) -> Result<Revision, Failure> {
        let message = self.message(bucket, key, value, precondition)?;
        let subject = subject(bucket, key);
        // Acknowledgements may arrive out of order, so each acknowledgement is compared with the
        // last revision seen before its request was sent.
        let seen = self.buckets.last_seen(bucket);
        let sent = async {
            let acknowledgement =
                self.context.send_publish(self.notices.published(&subject), message).await.map_err(|error| {
                    let kind = match error.kind() {
                        PublishErrorKind::MaxPayloadExceeded => ErrorKind::TooLarge,
                        _ => ErrorKind::Unavailable,
                    };
                    Error::new(kind, format!("writing {key} to bucket {bucket} failed: {}", error.kind()))
                        .with_source(error)
                })?;
            Ok(acknowledgement.await)
        };
        let acknowledgement = match self.notices.watch(&[&subject], sent).await? {
            Ok(acknowledgement) => acknowledgement,
            Err(error) => return Err(refused(bucket, key, precondition, error)),
        };
        if acknowledgement.duplicate {
            return Err(conflict(format!(
                "key {key} was already written within the duplicate window of the bucket, so the server did not store this write"
            ))
            .into());
        }
        if acknowledgement.sequence <= seen {
            self.buckets.forget(bucket);
            return Err(rolled_back(bucket, acknowledgement.sequence, seen).into());
        }
        self.buckets.record_seen(bucket, acknowledgement.sequence);
        Ok(Revision::new(acknowledgement.sequence))
    }

    /// Returns the message, with headers that make the server check the precondition.
    fn message(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: &Precondition) -> Result<PublishMessage> {
        let message = PublishMessage::build().payload(value);
        // The server interprets zero as absence; no value has that revision.
        let sequence = |revision: &Revision| Some(revision.number()).filter(|number| *number > 0);
        match precondition {
            Precondition::Any => Ok(message),
            Precondition::Absent => Ok(message.expected_last_subject_sequence(0)),
            Precondition::Unchanged(revision) => match sequence(revision) {
                Some(sequence) => Ok(message.expected_last_subject_sequence(sequence)),
                None => Err(conflict(never_holds("key", key, *revision))),
            },
            Precondition::AbsentWhile { key: fence, revision } => {
                if fence == key {
                    let message =
                        format!("key {key} cannot be its own fence, because the write expects it to be absent");
                    return Err(conflict(message));
                }
                let Some(sequence) = sequence(revision) else {
                    return Err(conflict(never_holds("the fence key", fence, *revision)));
                };
                let version = self.context.client().server_info().version;
                if !compares_other_subjects(&version) {
                    let message = format!("the NATS server has version {version}, but 2.12 or newer is required");
                    return Err(Error::new(ErrorKind::Incompatible, message));
                }
                let message = message.expected_last_subject_sequence(sequence);
                // The server compares only one subject per message, so absence is checked by
                // message id.
                Ok(message.header(EXPECTED_SUBJECT, subject(bucket, fence)).message_id(key.as_str()))
            }
            _ => Err(Error::new(ErrorKind::Incompatible, "the NATS backend does not support this precondition")),
        }
    }
}

/// The header for the subject to which `Nats-Expected-Last-Subject-Sequence` applies, if it is not
/// the subject of the message. Servers older than 2.12 ignore it.
const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// Why an attempt to write failed.
enum Failure {
    /// Another write with the same fence or to the same key is in progress: nothing was stored, and
    /// the condition clears within milliseconds.
    Busy(Error),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Converts the error from a write that was sent but not acknowledged.
fn refused(bucket: &Bucket, key: &Key, precondition: &Precondition, error: PublishError) -> Failure {
    let answer = jetstream_error(&error);
    // A replicated stream processes only one write at a time for each compared subject (10164) and
    // for each message id (10158).
    let busy = matches!(precondition, Precondition::AbsentWhile { .. })
        && answer.is_some_and(|answer| matches!(answer.error_code().0, 10_158 | 10_164));
    let kind = match (error.kind(), answer) {
        _ if busy => ErrorKind::Unavailable,
        // No responders.
        (PublishErrorKind::StreamNotFound, _) => ErrorKind::Unavailable,
        // The stream returned an error, so it has stored nothing.
        (_, Some(answer)) => jetstream_kind(answer).unwrap_or(ErrorKind::Unavailable),
        _ => ErrorKind::OutcomeUnknown,
    };
    let mut message = format!("writing {key} to bucket {bucket} failed: {error}");
    if let (Precondition::AbsentWhile { key: fence, revision }, ErrorKind::Conflict) = (precondition, kind) {
        message = format!("{message}; the write expected the fence key {fence} to have {revision}");
    }
    let error = Error::new(kind, message).with_source(error);
    if busy { Failure::Busy(error) } else { Failure::Final(error) }
}

/// Returns the error for a write that was acknowledged with a revision at or before a revision seen
/// earlier, because the stream was recreated or restored from an older state.
fn rolled_back(bucket: &Bucket, acknowledged: u64, seen: u64) -> Error {
    let (acknowledged, seen) = (Revision::new(acknowledged), Revision::new(seen));
    let message = format!(
        "bucket {bucket} acknowledged a write as {acknowledged} after {seen}: it was recreated or restored from an older state"
    );
    Error::new(ErrorKind::Corrupt, message)
}

/// Describes why a key cannot have the revision that a write expects, which is zero.
fn never_holds(what: &str, key: &Key, expected: Revision) -> String {
    format!("{what} {key} cannot have {expected}, which the write expected: the first revision is r1")
}

fn conflict(message: String) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

/// Returns whether a server of this version, such as `2.15.1`, supports [`EXPECTED_SUBJECT`].
fn compares_other_subjects(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (2, 12)
}

/// Returns the subject of a key (ADR-8).
pub(crate) fn subject(bucket: &Bucket, key: &Key) -> String {
    format!("$KV.{bucket}.{key}")
}

#[cfg(test)]
mod tests {
    use super::compares_other_subjects;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, expected) in [
            ("2.12.0", true),
            ("2.12.0-RC.1", true),
            ("2.15.1", true),
            ("3.0", true),
            ("2.9.10", false),
            ("2.11.99", false),
            ("1.99", false),
            ("", false),
        ] {
            assert_eq!(compares_other_subjects(version), expected, "{version}");
        }
    }
}
