//! The framing of CARv1 files (ipld.io/specs/transport/car/carv1): a header that names the roots,
//! then sections, each with a block and its content identifier.
//!
//! Every identifier is a CIDv1 of the raw codec with a SHA-256 digest, so that any IPFS tool can
//! check the blocks. A reader checks each block against its identifier, and holds one block at a
//! time.

use std::fmt;
use std::io;

use bytes::Bytes;
use cid::Cid;
use cim_ipld_envelope::content_sha256;
use multihash::Multihash;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::errors::{incomplete, not_an_archive, unreadable, unwritable};
use crate::Result;

/// The multicodec of raw bytes.
const RAW: u64 = 0x55;
/// The multicodec of SHA-256.
const SHA2_256: u64 = 0x12;

/// The bytes of a CID before its digest: version 1, codec raw, SHA-256, 32 bytes.
const CID_PREFIX: [u8; 4] = [1, 0x55, 0x12, 0x20];
const CID_BYTES: usize = CID_PREFIX.len() + 32;

/// The header with two roots, in DAG-CBOR, up to the first root: a map of two entries, the key
/// "roots", a list of two links.
const HEADER_START: [u8; 8] = [0xa2, 0x65, b'r', b'o', b'o', b't', b's', 0x82];
/// A link: tag 42, 37 bytes, the identity multibase prefix.
const LINK_START: [u8; 5] = [0xd8, 0x2a, 0x58, 0x25, 0x00];
/// The key "version" and the value 1.
const HEADER_END: [u8; 9] = [0x67, b'v', b'e', b'r', b's', b'i', b'o', b'n', 1];
const HEADER_BYTES: usize = HEADER_START.len() + 2 * (LINK_START.len() + CID_BYTES) + HEADER_END.len();

/// The maximum size of a block: that of a sealed object of the maximum size.
const MAX_BLOCK_BYTES: u64 = (128 << 20) + 4096;

/// The SHA-256 digest of a block, which identifies it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockDigest(pub(crate) [u8; 32]);

impl BlockDigest {
    pub(crate) fn of(block: &[u8]) -> Self {
        Self(content_sha256(block))
    }

    pub(crate) fn cid(&self) -> Cid {
        Cid::new_v1(RAW, Multihash::wrap(SHA2_256, &self.0).expect("32 bytes fit a multihash"))
    }
}

impl fmt::Display for BlockDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cid().fmt(f)
    }
}

impl fmt::Debug for BlockDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A block of a section, which matches its identifier.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) digest: BlockDigest,
    pub(crate) bytes: Bytes,
}

/// Writes a CARv1 file.
#[derive(Debug)]
pub(crate) struct CarWriter<W> {
    writer: W,
    bytes: u64,
}

impl<W: AsyncWrite + Unpin> CarWriter<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, bytes: 0 }
    }

    /// Returns the number of bytes written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn header(&mut self, roots: [BlockDigest; 2]) -> Result<()> {
        let mut header = Vec::with_capacity(1 + HEADER_BYTES);
        header.push(u8::try_from(HEADER_BYTES).expect("less than 128, a varint of one byte"));
        header.extend(HEADER_START);
        for root in roots {
            header.extend(LINK_START);
            header.extend(CID_PREFIX);
            header.extend(root.0);
        }
        header.extend(HEADER_END);
        self.write(&header).await
    }

    pub(crate) async fn section(&mut self, digest: BlockDigest, block: &[u8]) -> Result<()> {
        let mut start = varint((CID_BYTES + block.len()) as u64);
        start.extend(CID_PREFIX);
        start.extend(digest.0);
        self.write(&start).await?;
        self.write(block).await
    }

    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.writer.flush().await.map_err(|error| unwritable(&error))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).await.map_err(|error| unwritable(&error))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Encodes an unsigned varint (LEB128).
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Reads a CARv1 file whose header names two roots.
#[derive(Debug)]
pub(crate) struct CarReader<R> {
    reader: R,
    offset: u64,
}

impl<R: AsyncRead + Unpin> CarReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, offset: 0 }
    }

    /// Continues at a section that begins at byte `offset` of the file, where `reader` is.
    pub(crate) fn at(reader: R, offset: u64) -> Self {
        Self { reader, offset }
    }

    /// Returns the position in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the header and returns the roots.
    ///
    /// # Errors
    /// `InvalidInput` if the file is not a CARv1 file with two roots as an export writes it.
    pub(crate) async fn header(&mut self) -> Result<[BlockDigest; 2]> {
        let mut header = [0; 1 + HEADER_BYTES];
        if !self.fill(&mut header).await? {
            return Err(not_an_archive());
        }
        let mut rest = &header[..];
        expect(&mut rest, &[u8::try_from(HEADER_BYTES).expect("less than 128")])?;
        expect(&mut rest, &HEADER_START)?;
        let roots = [link(&mut rest)?, link(&mut rest)?];
        expect(&mut rest, &HEADER_END)?;
        Ok(roots)
    }

    /// Reads the next section, or returns `None` at the end of the file.
    ///
    /// # Errors
    /// `Damaged` if the section is cut off or its block does not match its identifier.
    pub(crate) async fn section(&mut self) -> Result<Option<Block>> {
        let at = self.offset;
        let Some(length) = self.varint().await? else { return Ok(None) };
        let damaged = |why: &str| incomplete(&format!("the section at byte {at} {why}"));
        let length = length.checked_sub(CID_BYTES as u64).filter(|length| *length <= MAX_BLOCK_BYTES);
        let length = length.ok_or_else(|| damaged("has an impossible length"))?;
        let mut identifier = [0; CID_BYTES];
        if !self.fill(&mut identifier).await? {
            return Err(damaged("is cut off"));
        }
        let Some(digest) = identifier.strip_prefix(&CID_PREFIX) else {
            return Err(damaged("has an identifier that is not a CIDv1 with codec raw and a SHA-256 digest"));
        };
        let digest = BlockDigest(digest.try_into().expect("32 bytes"));
        // Grows with what is read, so that a false length allocates nothing.
        let mut block = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut block).await.map_err(|error| unreadable(&error))?;
        self.offset += block.len() as u64;
        if block.len() as u64 != length {
            return Err(damaged("is cut off"));
        }
        if BlockDigest::of(&block) != digest {
            return Err(damaged(&format!("does not match its identifier {digest}")));
        }
        Ok(Some(Block { digest, bytes: block.into() }))
    }

    /// Reads a varint, or returns `None` at the end of the file.
    async fn varint(&mut self) -> Result<Option<u64>> {
        let (at, mut number) = (self.offset, 0_u64);
        for position in 0..9 {
            let mut byte = [0];
            if !self.fill(&mut byte).await? {
                let cut_off = || Err(incomplete(&format!("the section at byte {at} is cut off")));
                return if position == 0 { Ok(None) } else { cut_off() };
            }
            number |= u64::from(byte[0] & 0x7f) << (7 * position);
            if byte[0] & 0x80 == 0 {
                let is_shortest = position == 0 || byte[0] != 0;
                return match is_shortest {
                    true => Ok(Some(number)),
                    false => Err(incomplete(&format!("the length at byte {at} is not in its shortest form"))),
                };
            }
        }
        Err(incomplete(&format!("the length at byte {at} is too large")))
    }

    /// Fills `bytes`. Returns false if the file ends before.
    async fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.reader.read_exact(bytes).await {
            Ok(_) => {
                self.offset += bytes.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

fn expect(rest: &mut &[u8], expected: &[u8]) -> Result<()> {
    *rest = rest.strip_prefix(expected).ok_or_else(not_an_archive)?;
    Ok(())
}

fn link(rest: &mut &[u8]) -> Result<BlockDigest> {
    expect(rest, &LINK_START)?;
    expect(rest, &CID_PREFIX)?;
    let (digest, after) = rest.split_first_chunk::<32>().ok_or_else(not_an_archive)?;
    *rest = after;
    Ok(BlockDigest(*digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    async fn file(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = CarWriter::new(&mut bytes);
        writer.header([BlockDigest::of(b"a"), BlockDigest::of(b"b")]).await.expect("written");
        for block in blocks {
            writer.section(BlockDigest::of(block), block).await.expect("written");
        }
        writer.finish().await.expect("flushed");
        assert_eq!(writer.bytes(), bytes.len() as u64);
        bytes
    }

    async fn read(bytes: &[u8]) -> Result<Vec<Bytes>> {
        let mut reader = CarReader::new(bytes);
        assert_eq!(reader.header().await?, [BlockDigest::of(b"a"), BlockDigest::of(b"b")]);
        let mut blocks = Vec::new();
        while let Some(block) = reader.section().await? {
            blocks.push(block.bytes);
        }
        Ok(blocks)
    }

    #[tokio::test]
    async fn reads_what_it_wrote_and_nothing_that_was_changed() {
        let long = vec![7; 300];
        let blocks: [&[u8]; 3] = [b"", b"some bytes", &long];
        let bytes = file(&blocks).await;
        assert_eq!(read(&bytes).await.expect("read"), blocks);
        let ends: Vec<usize> = [0, 1, 2, 3].into_iter().map(|count| count_bytes(&blocks[..count])).collect();
        for end in 0..bytes.len() {
            match read(&bytes[..end]).await {
                Ok(_) => assert!(ends.contains(&end), "cut at {end}"),
                Err(error) => {
                    let expected = if end < ends[0] { ErrorKind::InvalidInput } else { ErrorKind::Damaged };
                    assert_eq!(error.kind(), expected, "cut at {end}: {error}");
                }
            }
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let in_root = (14..46).contains(&at) || (55..87).contains(&at);
            if !in_root && at >= ends[0] {
                assert!(read(&flipped).await.is_err(), "flipped at {at}");
            }
        }
    }

    fn count_bytes(blocks: &[&[u8]]) -> usize {
        let section = |block: &&[u8]| varint((CID_BYTES + block.len()) as u64).len() + CID_BYTES + block.len();
        1 + HEADER_BYTES + blocks.iter().map(section).sum::<usize>()
    }

    #[tokio::test]
    async fn a_hostile_length_is_refused_and_allocates_nothing() {
        let sound = file(&[]).await;
        let lengths: [&[u8]; 5] =
            [&[35], &[0xff, 0xff, 0xff, 0x3f], &[0xff; 9], &[0xa4, 0x80, 0x00], &[0xff, 0xff, 0xff, 0xff, 0x0f]];
        for length in lengths {
            let hostile = [&sound, length, &CID_PREFIX, &[0; 32], b"abc"].concat();
            assert_eq!(read(&hostile).await.expect_err("refused").kind(), ErrorKind::Damaged, "{length:?}");
        }
    }
}
