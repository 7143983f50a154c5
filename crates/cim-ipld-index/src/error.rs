//! Errors, classified by how the caller can respond.

use std::borrow::Cow;
use std::fmt;

use crate::page_id::{PageId, SegmentId};

/// Classifies an [`Error`] by what the caller can do about it.
///
/// ```
/// use cim_ipld_index::{Document, ErrorKind, MemoryIndex};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let error = MemoryIndex::new().insert(&Document::new(cid).with_tag("x".repeat(600))).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidDocument);
/// # Ok::<(), cid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Stored bytes are malformed. Fetch the object again, or restore it from another copy.
    Damaged,
    /// Stored bytes were written in a newer format. Use a newer version of this crate.
    UnsupportedVersion,
    /// Parts of one index were built with different analyzers. Search each with its own analyzer,
    /// or re-index.
    AnalyzerMismatch,
    /// There is no stemmer for a language. The message lists the supported languages.
    UnknownLanguage,
    /// The document exceeds a limit, which the message names. Shorten or split the document.
    InvalidDocument,
    /// The query or its options are invalid. The message describes what is wrong.
    InvalidQuery,
    /// The query would exceed one of the [`SearchLimits`](crate::SearchLimits). The message names
    /// the part of the query and the limit. Simplify that part, or raise the limit.
    QueryTooExpensive,
    /// The search was stopped by its [`Cancellation`](crate::Cancellation).
    Cancelled,
    /// A memtable is full: build a segment from it and start another. Or a segment exceeds the
    /// capacity of its format: build or merge smaller segments.
    Full,
    /// The page sink returned an error, which is the source of this error.
    Sink,
}

/// An error from the index core.
///
/// Match on [`Error::kind`]; the message is for people.
///
/// ```
/// use cim_ipld_index::{Deletes, ErrorKind};
///
/// let error = Deletes::from_bytes(&[]).unwrap_err();
/// assert_eq!((error.kind(), error.place()), (ErrorKind::Damaged, None));
/// ```
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
    /// Returns the kind of the error, which determines how to respond.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the page in which the error was found, if any.
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

    /// Names the part of a query that exceeded a limit.
    pub(crate) fn about(mut self, part: impl FnOnce() -> String) -> Self {
        if self.kind == ErrorKind::QueryTooExpensive {
            self.detail = format!("{} {}", part(), self.detail).into();
        }
        self
    }

    pub(crate) fn at(mut self, segment: SegmentId, page: PageId) -> Self {
        if !matches!(self.kind, ErrorKind::QueryTooExpensive | ErrorKind::Cancelled) {
            self.place.get_or_insert((segment, page));
        }
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
