//! What can go wrong, said so that the caller knows what to do.

use std::borrow::Cow;
use std::fmt;

use crate::page_id::{PageId, SegmentId};

/// Says what the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Stored bytes break the format: fetch the object again, or repair it from another copy.
    Damaged,
    /// Stored bytes were written by a newer format: use a newer build.
    UnsupportedVersion,
    /// Parts of one index were built with different analyzers: search each with its own, or
    /// re-index.
    AnalyzerMismatch,
    /// There is no stemmer for a language: the message names the languages there are.
    UnknownLanguage,
    /// The document is outside the stated limits: the message names the limit; shorten or split the
    /// document.
    InvalidDocument,
    /// The query text or its options cannot be understood: the message names the position.
    InvalidQuery,
    /// The memtable or the segment holds as much as its addressing allows: seal it and start
    /// another.
    Full,
    /// The page sink refused a page: the cause is the sink's own error.
    Sink,
}

/// Tells why an operation of the index core failed.
///
/// Match on [`Error::kind`]; the text is for people.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    place: Option<(SegmentId, PageId)>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of a fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the coarse kind, which tells what to do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the page that the error was found in, if it was found in one.
    pub fn place(&self) -> Option<(SegmentId, PageId)> {
        self.place
    }

    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), place: None, source: None }
    }

    pub(crate) fn damaged(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Damaged, detail)
    }

    pub(crate) fn invalid_document(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidDocument, detail)
    }

    pub(crate) fn at(mut self, segment: SegmentId, page: PageId) -> Self {
        self.place.get_or_insert((segment, page));
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        match self.place {
            Some((segment, page)) => write!(f, " (segment {segment}, page {page})"),
            None => Ok(()),
        }
    }
}
