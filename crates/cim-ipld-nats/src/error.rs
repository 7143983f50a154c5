use std::error::Error as StdError;

use async_nats::jetstream;
use cim_ipld_backend::{Bucket, Error, ErrorKind};

pub(crate) fn unavailable(what: &str, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: the NATS server gave no usable answer")).with_source(source)
}

/// What an answer of JetStream that is an error means for what was attempted; the server's
/// description is carried.
pub(crate) fn answered(what: &str, answer: jetstream::Error) -> Error {
    let kind = jetstream_kind(&answer).unwrap_or(ErrorKind::Unavailable);
    let hint = hint(&answer);
    let error = Error::new(kind, format!("{what}: the NATS server answers: {answer}")).with_source(answer);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What to do about an answer, where its kind alone does not say.
fn hint(answer: &jetstream::Error) -> Option<&'static str> {
    Some(match answer.error_code().0 {
        10_039 | 10_076 => JETSTREAM_OFF,
        10_026 | 10_027 => {
            "remove streams or consumers that are not needed, or have this account's limit raised, which makes room"
        }
        10_023 | 10_028 | 10_047 => "free room in the server's JetStream storage, or have its limit raised",
        10_002 => "free room in this account's JetStream storage, or have its limit raised",
        10_113 => "give the buckets a largest size (max bytes): this account's limits ask for one",
        10_074 => "ask for no more replicas than the cluster has servers with JetStream and room",
        10_005 => "correct the placement: no server with room has these tags or is in this cluster",
        _ => return None,
    })
}

/// What to do where there is no JetStream.
pub(crate) const JETSTREAM_OFF: &str =
    "turn JetStream on in the server's configuration and for this account, or name another server or JetStream domain";

pub(crate) fn bucket_missing(bucket: &Bucket) -> Error {
    Error::new(ErrorKind::BucketMissing, format!("there is no bucket {bucket}"))
}

/// What an error of JetStream means to a caller; `None` for those that pass by themselves.
///
/// The codes are the server's (`server/errors.json`). A lost compare-and-set is 10071 on one
/// replica and mostly 10164 on three.
pub(crate) fn jetstream_kind(error: &jetstream::Error) -> Option<ErrorKind> {
    Some(match error.error_code().0 {
        10_071 | 10_164 => ErrorKind::Conflict,
        10_054 => ErrorKind::TooLarge,
        // No room: in the account, the server's reserve, the server's memory, the server's disk,
        // the stream.
        10_002 | 10_023 | 10_028 | 10_047 | 10_077 => ErrorKind::Full,
        // No more consumers or streams: some must go, or the limit must be raised.
        10_026 | 10_027 => ErrorKind::Full,
        10_059 => ErrorKind::BucketMissing,
        // JetStream is off, or not for this account.
        10_039 | 10_076 => ErrorKind::Disabled,
        // The account's limits ask for a size that a bucket does not declare.
        10_113 => ErrorKind::Incompatible,
        // A configuration that the server refuses: more replicas than it has peers, overlapping
        // subjects, a name in use.
        10_005 | 10_052 | 10_058 | 10_065 | 10_074 => ErrorKind::Incompatible,
        _ => return None,
    })
}

/// The error of JetStream somewhere below `error`; the client wraps those that it has no name for.
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
    fn codes_say_what_to_do() {
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
            // Not ready yet, no leader: these pass.
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
