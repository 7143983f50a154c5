use std::fmt;

/// The kind of an object. It is authenticated, so a page can never be mistaken for a manifest.
///
/// The named kinds, and 0x10 to 0x15, are used by the cim-ipld engine; other programs may use the
/// numbers from 128 on.
///
/// ```
/// use cim_ipld_envelope::ObjectKind;
///
/// const RECEIPT: ObjectKind = ObjectKind(128);
/// assert_ne!(RECEIPT, ObjectKind::PAGE);
/// assert_eq!(format!("{:?}", ObjectKind::PAGE), "ObjectKind::PAGE");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectKind(pub u8);

impl ObjectKind {
    /// The state of the whole index.
    pub const MANIFEST: Self = Self(1);
    /// A snapshot: a name, and the segments of the index at a position.
    pub const SNAPSHOT: Self = Self(2);
    /// A record of the journal.
    pub const JOURNAL: Self = Self(3);
    /// An immutable page of a segment.
    pub const PAGE: Self = Self(4);
    /// A stored [`EncryptedCidWrapper`](crate::EncryptedCidWrapper).
    pub const WRAPPER: Self = Self(5);
    /// A record that a process keeps for itself, such as its pin: the newest state of the index
    /// that it has seen.
    pub const STATE: Self = Self(6);
    /// The root block or a directory of an archive, or the marker of an import in progress.
    pub const EXPORT: Self = Self(7);
}

impl fmt::Debug for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::MANIFEST => "MANIFEST",
            Self::SNAPSHOT => "SNAPSHOT",
            Self::JOURNAL => "JOURNAL",
            Self::PAGE => "PAGE",
            Self::WRAPPER => "WRAPPER",
            Self::STATE => "STATE",
            Self::EXPORT => "EXPORT",
            Self(kind) => return write!(f, "ObjectKind({kind})"),
        };
        write!(f, "ObjectKind::{name}")
    }
}
