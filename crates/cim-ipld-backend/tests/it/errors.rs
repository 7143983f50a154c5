//! An error has a kind, a message and a hint, of one line each.

use std::error::Error as _;

use cim_ipld_backend::{Error, ErrorKind};

const KINDS: [ErrorKind; 11] = [
    ErrorKind::Conflict,
    ErrorKind::TooLarge,
    ErrorKind::Full,
    ErrorKind::Unavailable,
    ErrorKind::OutcomeUnknown,
    ErrorKind::Denied,
    ErrorKind::BucketMissing,
    ErrorKind::Incompatible,
    ErrorKind::Locked,
    ErrorKind::Corrupt,
    ErrorKind::InvalidName,
];

#[test]
fn every_kind_says_what_to_do() {
    for (at, kind) in KINDS.into_iter().enumerate() {
        let error = Error::new(kind, "what happened");
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, "what happened"));
        assert!(!error.hint().is_empty() && !error.hint().contains('\n'));
        let same = KINDS[..at].iter().find(|other| Error::new(**other, "").hint() == error.hint());
        assert_eq!(same, None, "{kind:?} has the same hint as another kind");
    }
}

#[test]
fn only_what_did_not_happen_is_retried_blindly() {
    let retryable: Vec<_> = KINDS.into_iter().filter(|kind| Error::new(*kind, "").is_retryable()).collect();
    assert_eq!(retryable, [ErrorKind::Unavailable]);
}

#[test]
fn a_cause_is_kept_and_shown_to_developers() {
    let error = Error::new(ErrorKind::Corrupt, "page 7").with_source("checksum");
    assert_eq!(error.source().unwrap().to_string(), "checksum");
    assert_eq!(format!("{error:?}"), "Corrupt: page 7: checksum");
    assert_eq!(error.to_string(), "page 7");
}
