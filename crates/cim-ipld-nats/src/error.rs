use std::error::Error as StdError;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use cim_ipld_backend::{Bucket, Error, ErrorKind, Key};

pub(crate) fn unavailable(what: &str, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: the NATS server gave no usable answer")).with_source(source)
}

pub(crate) fn bucket_missing(bucket: &Bucket) -> Error {
    Error::new(ErrorKind::BucketMissing, format!("there is no bucket {bucket}"))
}

/// Sorts a failed publish by what it means for the write.
///
/// A lost compare-and-set is error 10071 on one replica and mostly 10164 on three, where the client wraps it.
pub(crate) fn publish(bucket: &Bucket, key: &Key, error: PublishError) -> Error {
    let code = jetstream_code(&error);
    let kind = match (error.kind(), code) {
        (PublishErrorKind::WrongLastSequence, _) | (_, Some(10_071 | 10_164)) => ErrorKind::Conflict,
        (PublishErrorKind::MaxPayloadExceeded, _) | (_, Some(10_054)) => ErrorKind::TooLarge,
        (_, Some(10_077)) => ErrorKind::Full,
        (PublishErrorKind::StreamNotFound, _) | (_, Some(10_059)) => ErrorKind::BucketMissing,
        _ => ErrorKind::OutcomeUnknown,
    };
    Error::new(kind, format!("writing {key} to bucket {bucket} failed: {}", error.kind())).with_source(error)
}

fn jetstream_code(error: &PublishError) -> Option<u64> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<async_nats::jetstream::Error>() {
            let ErrorCode(code) = error.error_code();
            return Some(code);
        }
        source = cause.source();
    }
    None
}
