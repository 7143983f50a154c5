//! The plaintext body of an object: the content, optionally compressed, then optionally padded, and
//! finally sealed.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::find_frame_compressed_size;

use super::{Fields, MAX_BODY_BYTES, MAX_OBJECT_BYTES};
use crate::{Error, Result};

/// How to prepare content for sealing. The default neither compresses nor pads.
///
/// ```
/// use cim_ipld_envelope::{Compression, Envelope, IndexId, ObjectContext, ObjectKind, Padding, SealOptions};
///
/// let envelope = Envelope::plaintext(IndexId::random());
/// let context = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "a1", 0);
/// let options = SealOptions::default().compressed(Compression::default()).padded(Padding::Padme);
/// let object = envelope.seal(&context, &[b'a'; 4096], &options)?;
/// assert!(object.len() < 200);
/// assert_eq!(envelope.open(&context, &object)?.len(), 4096);
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealOptions {
    /// Compress before sealing. Do not use this if an object contains both secrets and text chosen
    /// by an attacker: the size of the object would reveal how much they have in common (the CRIME
    /// attack).
    pub compression: Option<Compression>,
    /// Pad to a size class after compressing, so that the size of the object reveals less.
    pub padding: Padding,
}

impl SealOptions {
    /// Returns these options with compression.
    #[must_use]
    pub const fn compressed(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Returns these options with padding.
    #[must_use]
    pub const fn padded(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

/// How to compress with Zstandard (RFC 8878). Content that does not become smaller is stored
/// uncompressed.
///
/// ```
/// use cim_ipld_envelope::{Compression, SealOptions};
///
/// let small = Compression { level: 19, ..Compression::default() };
/// assert_eq!(SealOptions::default().compressed(small).compression, Some(small));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The compression level, from 1 (fast) to 22 (small). 0 is the default of Zstandard; negative
    /// levels are even faster.
    pub level: i32,
    /// Content smaller than this is not compressed.
    pub min_bytes: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { level: 1, min_bytes: 256 }
    }
}

/// How to hide the exact size of content.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use cim_ipld_envelope::{Padding, SealOptions};
///
/// let pages = Padding::Multiple(NonZeroU32::new(4096).unwrap());
/// assert_eq!(SealOptions::default().padded(pages).padding, pages);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// No padding: the size of the object is the size of the content plus a constant.
    #[default]
    None,
    /// Padmé size classes: at most 12 % larger than the body and its one-byte marker, and a size of
    /// L reveals O(log log L) bits (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files
    /// and Communication with PURBs", PoPETs 2019).
    Padme,
    /// The next multiple of this many bytes.
    Multiple(std::num::NonZeroU32),
}

impl Padding {
    /// Returns the padded size of a body of `bytes` bytes, which includes the padding marker unless
    /// the padding is `None`.
    fn padded(self, bytes: usize) -> usize {
        let bytes = bytes + 1;
        match self {
            Self::None => bytes - 1,
            Self::Padme => padme(bytes),
            Self::Multiple(step) => bytes.next_multiple_of(step.get() as usize),
        }
    }
}

/// The first byte of padding, followed by zeros (ISO/IEC 7816-4).
const PADDING_MARKER: u8 = 0x80;

/// The size in bytes of the length field that precedes the Zstandard frame: the length of the
/// content, little-endian.
const LENGTH_BYTES: usize = 4;

/// The maximum ratio of the content to its Zstandard frame: a block has at least 4 bytes and
/// decompresses to at most 128 KiB (RFC 8878, section 3.1.1.2). A declared length beyond this ratio
/// is invalid, and is refused before memory is allocated for it.
const MAX_ZSTD_RATIO: usize = 128 * 1024 / 4;

/// The magic number of a Zstandard frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// The body before padding.
pub(crate) enum Body<'a> {
    Stored(&'a [u8]),
    /// Length and Zstandard frame.
    Compressed(Vec<u8>),
}

/// Compresses if requested and useful. Returns the body and its padded size.
pub(crate) fn plan_body<'a>(content: &'a [u8], options: &SealOptions) -> Result<(Body<'a>, usize)> {
    check_size(content.len())?;
    if let Some(Compression { level, .. }) = options.compression
        && !zstd::compression_level_range().contains(&level)
    {
        return Err(Error::limit(format!("Zstandard has no compression level {level}")));
    }
    let compressed = match options.compression {
        Some(compression) if content.len() >= compression.min_bytes => compress(content, compression.level)?,
        _ => None,
    };
    let body = compressed.map_or(Body::Stored(content), Body::Compressed);
    let padded = options.padding.padded(body.as_bytes().len());
    if padded > MAX_BODY_BYTES {
        return Err(Error::limit("the padded content exceeds the limit of an object: use a smaller padding"));
    }
    Ok((body, padded))
}

impl Body<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Stored(content) => content,
            Self::Compressed(framed) => framed,
        }
    }

    /// Appends the body and its padding to `out`, up to the planned size.
    pub(crate) fn write(&self, out: &mut Vec<u8>, padded: usize) {
        let body = self.as_bytes();
        out.extend_from_slice(body);
        if padded > body.len() {
            out.push(PADDING_MARKER);
            out.resize(out.len() + padded - body.len() - 1, 0);
        }
    }
}

/// The content of an authenticated body.
pub(crate) enum Decoded {
    /// The content is the first bytes of the body.
    Stored(usize),
    /// The content was decompressed.
    Decompressed(Vec<u8>),
}

/// Removes padding and compression from an authenticated body. `limit` bounds the content, and with
/// it what is allocated.
pub(crate) fn decode_body(fields: &Fields, body: &[u8], limit: usize) -> Result<Decoded> {
    let body = if fields.padded { unpad(body)? } else { body };
    if fields.compressed {
        return decompress(body, limit).map(Decoded::Decompressed);
    }
    if body.len() > limit {
        return Err(over(body.len(), limit));
    }
    Ok(Decoded::Stored(body.len()))
}

/// Refuses an uncompressed, unpadded body over the limit before it is processed.
pub(crate) fn check_stored(fields: &Fields, body_bytes: usize, limit: usize) -> Result<()> {
    if !fields.padded && !fields.compressed && body_bytes > limit {
        return Err(over(body_bytes, limit));
    }
    Ok(())
}

fn unpad(body: &[u8]) -> Result<&[u8]> {
    let marker = body.iter().rposition(|&byte| byte != 0).filter(|&at| body[at] == PADDING_MARKER);
    marker.map(|at| &body[..at]).ok_or_else(|| Error::damaged("the padding of an object"))
}

fn compress(content: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    }
    // The buffer has the size of the content: a frame that does not fit saves nothing.
    if content.len() <= LENGTH_BYTES {
        return Ok(None);
    }
    let mut framed = vec![0; content.len()];
    let length = u32::try_from(content.len()).expect("content is within 64 MiB");
    framed[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    COMPRESSOR.with_borrow_mut(|slot| {
        let reusable = slot.take().filter(|(made_for, _)| *made_for == level);
        let compressor = match reusable {
            Some((_, compressor)) => compressor,
            None => Compressor::new(level)
                .map_err(|error| Error::limit(format!("cannot compress at level {level}")).with_source(error))?,
        };
        let (_, compressor) = slot.insert((level, compressor));
        Ok(compressor.compress_to_buffer(content, &mut framed[LENGTH_BYTES..]).ok().map(|written| {
            framed.truncate(LENGTH_BYTES + written);
            framed
        }))
    })
}

fn decompress(framed: &[u8], limit: usize) -> Result<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let damaged = || Error::damaged("the compressed content of an object");
    let (length, frame) = framed.split_first_chunk::<LENGTH_BYTES>().ok_or_else(damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > limit {
        return Err(over(length, limit));
    }
    if length > frame.len().saturating_mul(MAX_ZSTD_RATIO) {
        return Err(damaged());
    }
    // Zstandard decoders also accept concatenated and skippable frames, to which the length does
    // not apply.
    let single = frame.starts_with(&ZSTD_MAGIC) && find_frame_compressed_size(frame) == Ok(frame.len());
    if !single {
        return Err(damaged());
    }
    let mut content = vec![0; length];
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new().map_err(|error| damaged().with_source(error))?),
        };
        let written = decompressor
            .decompress_to_buffer(frame, content.as_mut_slice())
            .map_err(|error| damaged().with_source(error))?;
        if written == length { Ok(()) } else { Err(damaged()) }
    })?;
    Ok(content)
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > MAX_OBJECT_BYTES { Err(over(bytes, MAX_OBJECT_BYTES)) } else { Ok(()) }
}

fn over(bytes: usize, limit: usize) -> Error {
    Error::limit(format!("the content of {bytes} bytes exceeds the limit of {limit} for an object"))
}

/// Rounds the size L up to a multiple of 2^(E - S), where E is the integer part of log2(L) and S is
/// the number of bits of E.
fn padme(bytes: usize) -> usize {
    let exponent = bytes.ilog2();
    if exponent == 0 {
        return bytes;
    }
    let kept = exponent.ilog2() + 1;
    let cleared = exponent.saturating_sub(kept);
    bytes.next_multiple_of(1 << cleared)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every padded size is at least as large as the size, at most 12 % larger, and a padded size
    /// is not padded further.
    #[test]
    fn padme_size_classes() {
        for bytes in (1..5000).chain((1..64).map(|step| step * 1_000_003)) {
            let class = padme(bytes);
            assert!(class >= bytes);
            assert!(class * 100 <= bytes * 112, "{bytes} became {class}");
            assert_eq!(padme(class), class);
        }
        let classes: std::collections::BTreeSet<usize> = (1 << 20..1 << 21).map(padme).collect();
        assert_eq!(classes.len(), 33, "one power of two has few classes");
    }
}
