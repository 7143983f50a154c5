//! What stands inside the seal: content, perhaps compressed, then perhaps padded. Compress, then
//! pad, then seal.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::find_frame_compressed_size;

use super::{Fields, MAX_BODY_BYTES, MAX_OBJECT_BYTES};
use crate::{Error, Result};

/// How to prepare content for sealing.
///
/// The default neither compresses nor pads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealOptions {
    /// Compress before sealing. Leave it off where text an attacker chooses shares an object with
    /// secrets the attacker wants: the object's size would tell how much the two have in common
    /// (the CRIME attack).
    pub compression: Option<Compression>,
    /// Pad to a size class after compressing, so that the object's size tells less.
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

/// How to compress with Zstandard (RFC 8878). Content that does not get smaller is stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The compression level, 1 (fast) to 22 (small); 0 is Zstandard's default, negative levels are
    /// faster still.
    pub level: i32,
    /// Content below this size is not tried.
    pub min_bytes: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { level: 1, min_bytes: 256 }
    }
}

/// How to hide the exact size of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// Not at all: the object's size is the content's plus a constant.
    #[default]
    None,
    /// Padmé size classes: at most 12 % larger, and a size of L tells O(log log L) bits (Nikitin et
    /// al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PoPETs
    /// 2019).
    Padme,
    /// The next multiple of this many bytes.
    Multiple(std::num::NonZeroU32),
}

impl Padding {
    /// The padded size of `bytes` bytes and the marker.
    fn padded(self, bytes: usize) -> usize {
        let bytes = bytes + 1;
        match self {
            Self::None => bytes - 1,
            Self::Padme => padme(bytes),
            Self::Multiple(step) => bytes.next_multiple_of(step.get() as usize),
        }
    }
}

/// The first byte of padding; zeros follow (ISO/IEC 7816-4).
const PADDING_MARKER: u8 = 0x80;

/// The content's length in front of compressed content, 4 bytes little-endian.
const LENGTH_BYTES: usize = 4;

/// A Zstandard block gives at most 128 KiB and takes at least 4 bytes (RFC 8878, section 3.1.1.2),
/// so a length beyond this multiple of the frame is a lie that need not be allocated for.
const MAX_ZSTD_RATIO: usize = 128 * 1024 / 4;

/// What a Zstandard frame begins with (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// The content as it will stand inside the seal, before padding.
pub(crate) enum Body<'a> {
    Stored(&'a [u8]),
    /// Length and Zstandard frame.
    Compressed(Vec<u8>),
}

/// Compresses where that is asked for and helps. Returns the body and the size it is padded to.
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
        return Err(Error::limit("the padding asked for is over the limit of an object"));
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

    /// Writes the body and its padding over `out`, which has the planned size.
    pub(crate) fn write(&self, out: &mut Vec<u8>, padded: usize) {
        let body = self.as_bytes();
        out.extend_from_slice(body);
        if padded > body.len() {
            out.push(PADDING_MARKER);
            out.resize(out.len() + padded - body.len() - 1, 0);
        }
    }
}

/// What an authenticated body holds.
pub(crate) enum Decoded {
    /// The content is the first bytes of the body.
    Stored(usize),
    /// The content was decompressed.
    Decompressed(Vec<u8>),
}

/// Removes padding and compression from an authenticated body. `limit` bounds the content, and so
/// what is allocated.
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

/// Refuses a body that is the content itself and over the limit, before anything is done with it.
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
    // Room for exactly what is worth storing: a frame that does not fit is no gain.
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
    // Zstandard decoders also take frames in a row and frames to skip: bytes that the length does
    // not answer for.
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
    Error::limit(format!("an object's content of {bytes} bytes is over the limit of {limit}"))
}

/// Clears the low bits of the size, as many as its exponent has more bits than the bits of that
/// exponent.
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

    /// Every class holds its size, is at most 12 % larger, and is its own class.
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
