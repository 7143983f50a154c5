use std::error::Error as StdError;

use async_nats::jetstream;
use cim_ipld_backend::{Bucket, Error, ErrorKind};

pub(crate) fn unavailable(what: &str, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: the NATS server sent no usable response: {source}"))
        .with_source(source)
}

/// Converts an error response from JetStream and keeps the server's description; `what` is what was
/// attempted.
pub(crate) fn error_response(what: &str, answer: jetstream::Error) -> Error {
    let kind = jetstream_kind(&answer).unwrap_or(ErrorKind::Unavailable);
    let hint = hint(&answer);
    let error = Error::new(kind, format!("{what}: the NATS server returned: {answer}")).with_source(answer);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Returns the hint for an error code for which the hint of its kind is too general.
fn hint(answer: &jetstream::Error) -> Option<&'static str> {
    Some(match answer.error_code().0 {
        10_039 | 10_076 => JETSTREAM_OFF,
        10_026 | 10_027 => "remove streams or consumers that are not needed, or raise the limit of this account",
        10_023 | 10_028 | 10_047 => "make room in the server's JetStream storage, or raise its limit",
        10_002 => "make room in this account's JetStream storage, or raise its limit",
        10_113 => "set a maximum size for buckets (max bytes): the limits of this account require one",
        10_074 => "use no more replicas than the cluster has JetStream servers with free space",
        10_005 => "correct the placement: no server with free space has these tags or is in this cluster",
        _ => return None,
    })
}

/// The hint for the case that JetStream is turned off.
pub(crate) const JETSTREAM_OFF: &str = "turn JetStream on in the server's configuration and for this account, or use a different server or JetStream domain";

pub(crate) fn bucket_missing(bucket: &Bucket) -> Error {
    Error::new(ErrorKind::BucketMissing, format!("bucket {bucket} does not exist"))
}

/// Returns the kind of a JetStream error, or `None` if its code is not listed here. The codes of
/// temporary errors are deliberately not listed.
///
/// The codes are defined by the server (`server/errors.json`). A failed compare-and-set is 10071 on
/// a stream with one replica and usually 10164 with three.
pub(crate) fn jetstream_kind(error: &jetstream::Error) -> Option<ErrorKind> {
    Some(match error.error_code().0 {
        10_071 | 10_164 => ErrorKind::Conflict,
        10_054 => ErrorKind::TooLarge,
        // No space: in the account, the server's reserve, the server's memory, the server's disk,
        // the stream.
        10_002 | 10_023 | 10_028 | 10_047 | 10_077 => ErrorKind::Full,
        // No more consumers or streams are permitted.
        10_026 | 10_027 => ErrorKind::Full,
        10_059 => ErrorKind::BucketMissing,
        // JetStream is turned off, on the server or for this account.
        10_039 | 10_076 => ErrorKind::Disabled,
        // The limits of the account require a maximum size, which the bucket does not declare.
        10_113 => ErrorKind::Incompatible,
        // A configuration that the server rejects: more replicas than servers, overlapping
        // subjects, a name in use.
        10_005 | 10_052 | 10_058 | 10_065 | 10_074 => ErrorKind::Incompatible,
        _ => return None,
    })
}

/// Finds the JetStream error among the sources of `error`, because the client wraps errors whose
/// codes it does not know.
pub(crate) fn jetstream_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a jetstream::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(Box<dyn StdError>);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn codes_map_to_kinds() {
        for (code, expected) in [
            (10_071, Some(ErrorKind::Conflict)),
            (10_164, Some(ErrorKind::Conflict)),
            (10_054, Some(ErrorKind::TooLarge)),
            (10_077, Some(ErrorKind::Full)),
            (10_047, Some(ErrorKind::Full)),
            (10_059, Some(ErrorKind::BucketMissing)),
            (10_023, Some(ErrorKind::Full)),
            (10_026, Some(ErrorKind::Full)),
            (10_027, Some(ErrorKind::Full)),
            (10_039, Some(ErrorKind::Disabled)),
            (10_074, Some(ErrorKind::Incompatible)),
            (10_076, Some(ErrorKind::Disabled)),
            (10_113, Some(ErrorKind::Incompatible)),
            // Temporary: not ready yet, no leader.
            (10_008, None),
            (10_009, None),
        ] {
            let text = format!(r#"{{"code":400,"err_code":{code},"description":"told by the server"}}"#);
            let error: jetstream::Error = serde_json::from_str(&text).expect("an error of JetStream");
            assert_eq!(jetstream_kind(&error), expected, "{code}");
            let wrapped = Wrapped(Box::new(Wrapped(Box::new(error.clone()))));
            assert_eq!(jetstream_error(&wrapped).map(jetstream::Error::error_code), Some(error.error_code()));
        }
        assert!(jetstream_error(&std::io::Error::other("anything")).is_none());
    }
}
