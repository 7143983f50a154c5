//! Reads single messages from the leader of a bucket's stream, which has every acknowledged write.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use async_nats::jetstream::{self, ErrorCode};
use cim_ipld_backend::{Bucket, Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::buckets::stream_name;
use crate::error::{bucket_missing, error_response, jetstream_kind, unavailable};
use crate::notices::Notices;

/// Which message to read. Subjects may contain wildcards.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// The last one on a subject.
    Last(&'a str),
    /// The first one on a subject at or after this sequence.
    Next(&'a str, u64),
}

/// Reads a message as it is stored; returns `None` if the leader has none.
pub(crate) async fn read(
    context: &jetstream::Context,
    notices: &Notices,
    bucket: &Bucket,
    wanted: Wanted<'_>,
) -> Result<Option<RawMessage>> {
    let request = match wanted {
        Wanted::Last(subject) => json!({ "last_by_subj": subject }),
        Wanted::Next(subject, sequence) => json!({ "seq": sequence, "next_by_subj": subject }),
    };
    let api = format!("STREAM.MSG.GET.{}", stream_name(bucket));
    let reading = format!("reading from bucket {bucket}");
    let read = async {
        let answer: Response<Value> =
            context.request(api.clone(), &request).await.map_err(|error| unavailable(&reading, error))?;
        match answer {
            Response::Ok(mut answer) => match serde_json::from_value(answer["message"].take()) {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(unavailable(&reading, error)),
            },
            Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            Response::Err { error } if jetstream_kind(&error) == Some(ErrorKind::BucketMissing) => {
                Err(bucket_missing(bucket))
            }
            Response::Err { error } => Err(error_response(&reading, error)),
        }
    };
    notices.watch(&[&format!("$JS.API.{api}")], read).await
}

/// Parses the headers of a message; returns `None` if they are malformed.
pub(crate) fn parse(message: RawMessage) -> Option<StreamMessage> {
    StreamMessage::try_from(message).ok()
}

/// Returns the error for a value whose message is malformed.
pub(crate) fn unreadable(bucket: &Bucket, key: &impl std::fmt::Display) -> Error {
    let message = format!("the message for {key} in bucket {bucket} is malformed");
    Error::new(ErrorKind::Corrupt, message)
}
