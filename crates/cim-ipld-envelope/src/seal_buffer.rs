use std::fmt;

use bytes::BytesMut;

use crate::HEADER_BYTES;
use crate::primitives::aead::TAG_BYTES;

/// A buffer for content that is sealed in place, with room for the header before the content and
/// for the tag after it.
///
/// ```
/// use cim_ipld_envelope::{Envelope, IndexId, ObjectContext, ObjectKind, SealBuffer};
///
/// let mut buffer = SealBuffer::with_capacity(4);
/// buffer.extend_from_slice(b"page");
/// let envelope = Envelope::plaintext(IndexId::random());
/// let context = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "a1", 0);
/// let object = envelope.seal_in_place(&context, buffer)?;
/// assert_eq!(envelope.open(&context, &object)?, "page");
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
pub struct SealBuffer(BytesMut);

impl SealBuffer {
    /// Creates a buffer for `bytes` bytes of content. It grows if necessary.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut object = BytesMut::with_capacity(HEADER_BYTES + bytes + TAG_BYTES);
        object.resize(HEADER_BYTES, 0);
        Self(object)
    }

    /// Appends content.
    pub fn extend_from_slice(&mut self, content: &[u8]) {
        self.0.extend_from_slice(content);
    }

    /// Returns the content, for changing it in place.
    pub fn content_mut(&mut self) -> &mut [u8] {
        &mut self.0[HEADER_BYTES..]
    }

    /// Returns the buffer with room for the header, then the content.
    pub(crate) fn into_object(self) -> BytesMut {
        self.0
    }
}

impl fmt::Debug for SealBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealBuffer({} bytes)", self.0.len() - HEADER_BYTES)
    }
}

impl std::io::Write for SealBuffer {
    fn write(&mut self, content: &[u8]) -> std::io::Result<usize> {
        self.extend_from_slice(content);
        Ok(content.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A byte buffer to which a tag can be appended.
pub(crate) trait Growing {
    fn bytes(&mut self) -> &mut [u8];
    fn append(&mut self, tail: &[u8]);
}

impl Growing for Vec<u8> {
    fn bytes(&mut self) -> &mut [u8] {
        self
    }

    fn append(&mut self, tail: &[u8]) {
        self.extend_from_slice(tail);
    }
}

impl Growing for BytesMut {
    fn bytes(&mut self) -> &mut [u8] {
        self
    }

    fn append(&mut self, tail: &[u8]) {
        self.extend_from_slice(tail);
    }
}
