//! Reads an archive from its beginning to its end, one block at a time.

use std::collections::VecDeque;

use bytes::Bytes;
use cim_ipld_envelope::{Envelope, KeySource, ObjectContext, ObjectKind};
use tokio::io::AsyncRead;

use super::car::{Block, BlockDigest, CarReader};
use super::errors::{incomplete, not_an_archive};
use crate::format::archive::{ArchiveRoot, Directory, DirectoryEntry, Place};
use crate::objects::root_digest;
use crate::{Error, ErrorKind, Result};

/// The bucket name in the sealing contexts of the root block and the directories, which exist only
/// in archives. No store has a bucket of this name.
const BUCKET: &str = "archive";

/// Returns the context of the root block.
pub(super) fn root_context() -> ObjectContext<'static> {
    ObjectContext::new(BUCKET, ObjectKind::EXPORT, "root", 0)
}

/// Returns the name of the directories of the archive `id`.
pub(super) fn directory_name(id: &[u8; 16]) -> String {
    format!("directory.{:032x}", u128::from_be_bytes(*id))
}

/// Returns the context of directory `number`, which counts from 1.
pub(super) fn directory_context(name: &str, number: u64) -> ObjectContext<'_> {
    ObjectContext::new(BUCKET, ObjectKind::EXPORT, name, number)
}

/// An archive whose root block has been read.
#[derive(Debug)]
pub(crate) struct ArchiveReader<R> {
    car: CarReader<R>,
    pub(crate) envelope: Envelope,
    pub(crate) root: ArchiveRoot,
    /// Identifies the archive.
    pub(crate) digest: BlockDigest,
    directory_name: String,
    directories: u64,
    pending: VecDeque<DirectoryEntry>,
    blocks: u64,
    is_last: bool,
    /// Where the last section began.
    section_start: u64,
}

impl<R: AsyncRead + Unpin> ArchiveReader<R> {
    /// Opens the archive with a key of the index.
    ///
    /// # Errors
    /// `WrongKey`, `KeyRequired` and `NotEncrypted` as for an index; `InvalidInput` if it is not an
    /// archive, and `Damaged` if it was altered.
    pub(crate) async fn open(reader: R, key: Option<&KeySource>) -> Result<Self> {
        let (car, record, block) = read_roots(reader).await?;
        let envelope = Envelope::open_root(&record.bytes, key).await?;
        Self::from_root_block(car, &record, &block, envelope)
    }

    /// Opens an archive of the index with this envelope, whose keys may have changed since.
    ///
    /// # Errors
    /// `InvalidInput` if it is not an archive of this index, and `Damaged` if it was altered.
    pub(crate) async fn open_with(reader: R, envelope: &Envelope) -> Result<Self> {
        let (car, record, block) = read_roots(reader).await?;
        Self::from_root_block(car, &record, &block, envelope.clone()).map_err(|error| match error.kind() {
            ErrorKind::Damaged | ErrorKind::KeyRotated => Error::new(
                ErrorKind::InvalidInput,
                "the earlier archive cannot be opened: it belongs to another index, or was altered",
            )
            .with_hint("give an earlier archive of the same index")
            .with_source(error),
            _ => error,
        })
    }

    fn from_root_block(car: CarReader<R>, record: &Block, block: &Block, envelope: Envelope) -> Result<Self> {
        let opened = envelope.open(&root_context(), &block.bytes).map_err(|error| match Error::from(error) {
            error if error.kind() == ErrorKind::Damaged => incomplete("its root block cannot be decrypted"),
            error => error,
        })?;
        let root = ArchiveRoot::from_bytes(&opened)?;
        if root.root != root_digest(&record.bytes) {
            return Err(incomplete("its root record is not the one with which it was exported"));
        }
        let directory_name = directory_name(&root.id);
        Ok(Self {
            car,
            envelope,
            root,
            digest: block.digest,
            directory_name,
            directories: 0,
            pending: VecDeque::new(),
            blocks: 0,
            is_last: false,
            section_start: 0,
        })
    }

    /// Reads the next block, or returns `None` after the last one.
    ///
    /// # Errors
    /// `Damaged` if the archive is cut off or was altered, and the errors of reading it.
    pub(crate) async fn next(&mut self) -> Result<Option<(Place, Bytes)>> {
        while self.pending.is_empty() {
            if self.is_last {
                return match self.car.section().await? {
                    None => Ok(None),
                    Some(_) => Err(incomplete("blocks follow its end")),
                };
            }
            self.read_directory().await?;
        }
        let Some(entry) = self.pending.pop_front() else { return Ok(None) };
        let block = self.section().await?;
        if block.digest.0 != entry.digest {
            return Err(incomplete(&format!("block {} is not the one that its directory names", block.digest)));
        }
        Ok(Some((entry.place, block.bytes)))
    }

    async fn read_directory(&mut self) -> Result<()> {
        let block = self.section().await?;
        self.directories += 1;
        let context = directory_context(&self.directory_name, self.directories);
        let damaged = || incomplete(&format!("directory {} cannot be decrypted", self.directories));
        let opened = self.envelope.open(&context, &block.bytes).map_err(|_| damaged())?;
        let directory = Directory::from_bytes(&opened)?;
        self.blocks += directory.entries.len() as u64;
        if directory.blocks != self.blocks {
            return Err(incomplete("its directories do not follow each other"));
        }
        self.is_last = directory.is_last;
        self.pending = directory.entries.into();
        Ok(())
    }

    /// Returns the position in the file.
    pub(super) fn offset(&self) -> u64 {
        self.car.offset()
    }

    /// Returns where the section of the last block begins in the file.
    pub(super) fn section_start(&self) -> u64 {
        self.section_start
    }

    async fn section(&mut self) -> Result<Block> {
        self.section_start = self.car.offset();
        self.car.section().await?.ok_or_else(|| incomplete("it ends before its last block"))
    }
}

/// Reads the header and the blocks that it names: the root record and the root block.
pub(super) async fn read_roots<R: AsyncRead + Unpin>(reader: R) -> Result<(CarReader<R>, Block, Block)> {
    let mut car = CarReader::new(reader);
    let [root, record] = car.header().await?;
    let read = async |car: &mut CarReader<R>, expected: BlockDigest| match car.section().await? {
        Some(block) if block.digest == expected => Ok(block),
        Some(_) => Err(not_an_archive()),
        None => Err(incomplete("it ends before its root block")),
    };
    let record = read(&mut car, record).await?;
    let block = read(&mut car, root).await?;
    Ok((car, record, block))
}

/// Returns an archive of a plaintext index with one directory and two blocks, for the fuzz targets.
#[cfg(test)]
pub(crate) fn sound_archive() -> Vec<u8> {
    use cim_ipld_envelope::{IndexId, SealOptions};
    use futures::FutureExt;

    use super::car::CarWriter;
    use crate::format::archive::ArchivedBucket;

    let envelope = Envelope::plaintext(IndexId::from_bytes([7; 16]));
    let record = envelope.root_record();
    let root = ArchiveRoot {
        id: [1; 16],
        index_name: None,
        created_at_ms: 1_700_000_000_000,
        root: root_digest(&record),
        manifest: Vec::new(),
        window: None,
        segments: Vec::new(),
        documents: 0,
        snapshots: Vec::new(),
        bases: Vec::new(),
    };
    let options = SealOptions::default();
    let root_block = envelope.seal(&root_context(), &root.to_bytes(), &options).expect("sealed");
    let blocks: [&[u8]; 2] = [b"one", b"another"];
    let place = |number| Place { bucket: ArchivedBucket::Tag, kind: 4, generation: number, key: format!("k{number}") };
    let entries = (1..).zip(blocks);
    let entries =
        entries.map(|(number, block)| DirectoryEntry { place: place(number), digest: BlockDigest::of(block).0 });
    let directory = Directory { entries: entries.collect(), blocks: 2, is_last: true };
    let name = directory_name(&root.id);
    let directory = envelope.seal(&directory_context(&name, 1), &directory.to_bytes(), &options).expect("sealed");
    let mut archive = Vec::new();
    let write = async {
        let mut car = CarWriter::new(&mut archive);
        car.header([BlockDigest::of(&root_block), BlockDigest::of(&record)]).await.expect("written");
        for block in [&record[..], &root_block, &directory, blocks[0], blocks[1]] {
            car.section(BlockDigest::of(block), block).await.expect("written");
        }
    };
    write.now_or_never().expect("writing to memory never waits");
    archive
}
