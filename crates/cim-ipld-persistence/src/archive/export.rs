//! Writes an archive of a state whose pages are kept in the store.

use std::collections::HashSet;

use bytes::Bytes;
use cim_ipld_backend::ErrorKind as StoreErrorKind;
use cim_ipld_envelope::{Envelope, SealOptions};
use futures::stream::{self, Stream, StreamExt};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::car::{BlockDigest, CarWriter};
use super::places::{PlaceId, Places};
use super::reader::{ArchiveReader, directory_context, directory_name, root_context};
use super::{ExportReport, Source};
use crate::format::archive::{ArchiveRoot, Directory, DirectoryEntry, MAX_BASES, MAX_DIRECTORY_ENTRIES, Place};
use crate::history::shared::Shared;
use crate::maintenance::export_pin::PinnedState;
use crate::objects::{Address, Backoff, Objects};
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

/// The size of the blocks that are collected in memory before their directory is written. They and
/// the transfers in flight are most of what an export holds in memory.
const DIRECTORY_BYTES: usize = 4 << 20;

/// The blocks of earlier archives.
#[derive(Default)]
pub(crate) struct Bases {
    roots: Vec<[u8; 32]>,
    places: HashSet<PlaceId>,
}

impl Bases {
    /// Reads the earlier archives and checks their blocks.
    ///
    /// # Errors
    /// `InvalidInput` for an archive of another index, and `Damaged` for one that is incomplete.
    pub(crate) async fn read(sources: Vec<Source>, envelope: &Envelope) -> Result<Self> {
        let mut bases = Self::default();
        if sources.len() > MAX_BASES {
            let message = format!("{} earlier archives were given: the limit is {MAX_BASES}", sources.len());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        for source in sources {
            let mut archive = ArchiveReader::open_with(source.open().await?, envelope).await?;
            bases.roots.push(archive.digest.0);
            while let Some((place, _)) = archive.next().await? {
                bases.places.insert(place.id());
            }
        }
        Ok(bases)
    }
}

/// Writes the archive.
///
/// # Errors
/// `Lost` or `Damaged` if an object of the state cannot be read, `Conflict` if another process
/// deleted a snapshot in the meantime, and the errors of the store and of `writer`.
pub(crate) async fn write<W: AsyncWrite + Unpin>(
    shared: &Shared,
    state: &PinnedState,
    bases: Bases,
    writer: W,
) -> Result<ExportReport> {
    let objects = &*shared.objects;
    let sealing = objects.root();
    let envelope = &sealing.envelope;
    let root = ArchiveRoot {
        id: objects.environment.random(),
        index_name: objects.layout.index_name().map(str::to_owned),
        created_at_ms: objects.environment.now().0,
        root: sealing.digest(),
        manifest: state.manifest.sealed.to_vec(),
        window: state.window.clone(),
        segments: state.segments.clone(),
        documents: state.documents,
        snapshots: state.snapshots.clone(),
        bases: bases.roots,
    };
    let sealed_root = envelope.seal(&root_context(), &root.to_bytes(), &SealOptions::default())?;
    let (root_digest, record_digest) = (BlockDigest::of(&sealed_root), BlockDigest::of(&sealing.record));
    let mut car = CarWriter::new(writer);
    car.header([root_digest, record_digest]).await?;
    car.section(record_digest, &sealing.record).await?;
    car.section(root_digest, &sealed_root).await?;

    let places = Places::new(&objects.layout, &root, &state.manifest.manifest)?;
    let mut reused = 0;
    let needed = places.iter().filter(|place| {
        let is_reused = place.as_ref().is_ok_and(|place| bases.places.contains(&place.id()));
        reused += u64::from(is_reused);
        !is_reused
    });
    let fetched = stream::iter(needed).map(|place| fetch(shared, place)).buffered(objects.parallel_transfers);
    let mut directories = Directories { car, envelope, name: directory_name(&root.id), number: 0, blocks: 0 };
    let written = directories.write(std::pin::pin!(fetched)).await;
    if let Err(error) = written {
        return Err(explain(shared, state, error).await);
    }
    Ok(ExportReport {
        root: root_digest.cid(),
        blocks: directories.blocks,
        reused_blocks: reused,
        bytes: directories.car.bytes(),
        documents: state.documents,
        position: Position::new(state.position),
        snapshots: state.snapshots.len() as u64,
        unreadable_snapshots: state.unreadable_snapshots,
    })
}

/// Reads an object, and checks that it opens.
async fn fetch(shared: &Shared, place: Result<Place>) -> Result<(Place, Bytes)> {
    let (objects, place) = (&*shared.objects, place?);
    let address = place.address(&objects.layout);
    let deadline = Instant::now() + shared.settings.write_timeout;
    let value = read_patiently(objects, &address, deadline).await?;
    objects.open(&address, value.clone())?;
    Ok((place, value))
}

/// Reads an object, and tries again while the store does not answer.
async fn read_patiently(objects: &Objects, address: &Address<'_>, deadline: Instant) -> Result<Bytes> {
    let key = address.key()?;
    let mut backoff = Backoff::new();
    loop {
        match objects.backend.get(address.bucket, &key).await {
            Err(error) if error.kind() == StoreErrorKind::Unavailable && Instant::now() < deadline => {
                backoff.wait().await;
            }
            read => return Ok(read?.ok_or_else(|| address.lost())?.value),
        }
    }
}

/// Returns the reason why an object could not be read: another process may have deleted the
/// snapshot that kept it.
async fn explain(shared: &Shared, state: &PinnedState, error: Error) -> Error {
    if error.kind() != ErrorKind::Lost {
        return error;
    }
    let Ok(newest) = shared.newest_manifest().await else { return error };
    let is_kept = |entry| newest.manifest.snapshots.contains(entry);
    if state.snapshots.iter().all(|snapshot| is_kept(&snapshot.entry)) {
        return error;
    }
    let message = "a snapshot was deleted while the index was exported: export it again";
    Error::new(ErrorKind::Conflict, message).with_source(error)
}

/// Writes directories, each followed by the blocks that it describes.
struct Directories<'a, W> {
    car: CarWriter<W>,
    envelope: &'a Envelope,
    name: String,
    number: u64,
    blocks: u64,
}

impl<W: AsyncWrite + Unpin> Directories<'_, W> {
    async fn write(&mut self, mut objects: impl Stream<Item = Result<(Place, Bytes)>> + Unpin) -> Result<()> {
        let (mut entries, mut blocks, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(object) = objects.next().await {
            let (place, block) = object?;
            bytes += block.len();
            entries.push(DirectoryEntry { place, digest: BlockDigest::of(&block).0 });
            blocks.push(block);
            if entries.len() == MAX_DIRECTORY_ENTRIES || bytes >= DIRECTORY_BYTES {
                self.directory(std::mem::take(&mut entries), std::mem::take(&mut blocks), false).await?;
                bytes = 0;
            }
        }
        self.directory(entries, blocks, true).await?;
        self.car.finish().await
    }

    async fn directory(&mut self, entries: Vec<DirectoryEntry>, blocks: Vec<Bytes>, is_last: bool) -> Result<()> {
        self.number += 1;
        self.blocks += entries.len() as u64;
        let digests: Vec<BlockDigest> = entries.iter().map(|entry| BlockDigest(entry.digest)).collect();
        let directory = Directory { entries, blocks: self.blocks, is_last };
        let context = directory_context(&self.name, self.number);
        let sealed = self.envelope.seal(&context, &directory.to_bytes(), &SealOptions::default())?;
        self.car.section(BlockDigest::of(&sealed), &sealed).await?;
        for (digest, block) in digests.into_iter().zip(blocks) {
            self.car.section(digest, &block).await?;
        }
        Ok(())
    }
}
