//! The object format: a self-describing sealed value.

mod body;
mod context;
mod header;
mod kind;

pub(crate) use body::{Body, Decoded, check_stored, decode_body, plan_body};
pub use body::{Compression, Padding, SealOptions};
pub use context::ObjectContext;
pub(crate) use header::{Fields, HEADER_PREFIX_BYTES, ParsedObject};
pub use header::{HEADER_BYTES, OBJECT_VERSION, ObjectHeader};
pub use kind::ObjectKind;

/// The maximum plaintext size of an object: 64 MiB.
pub const MAX_OBJECT_BYTES: usize = 64 * 1024 * 1024;

/// The maximum body size that a reader accepts: the largest content with its length and any
/// padding.
const MAX_BODY_BYTES: usize = 2 * MAX_OBJECT_BYTES;

/// The size that sealing adds to content that is neither compressed nor padded: header and tag. In
/// a plaintext store only the header ([`HEADER_BYTES`]) is added.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + crate::primitives::aead::TAG_BYTES;
