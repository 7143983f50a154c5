//! An archive in a file, read like a store that cannot be written to.

use std::collections::HashMap;
use std::fmt;
use std::io::SeekFrom;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Durability, Entry, EntryStream, Error as StoreError, ErrorKind as StoreErrorKind, Key, KeyPrefix,
    Limits, Precondition, Revision, WatchStream,
};
use cim_ipld_envelope::{Envelope, KeySource, ObjectKind, SealOptions};
use futures::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, BufReader};
use tokio::sync::Mutex;

use super::BUFFER_BYTES;
use super::car::CarReader;
use super::errors::unreadable;
use super::file;
use super::places::PlaceId;
use super::reader::ArchiveReader;
use crate::error::StoredObject;
use crate::format::archive::{ArchiveRoot, ArchivedBucket, Place};
use crate::format::manifest::{Manifest, Watermark};
use crate::history::manifest::manifest_address;
use crate::history::references::snapshot_address_in;
use crate::objects::Address;
use crate::objects::layout::{IndexName, Layout};
use crate::{Error, ErrorKind, Result};

/// An archive whose blocks have been checked and whose places are known.
pub(super) struct ArchiveStore {
    pub(super) name: IndexName,
    pub(super) envelope: Envelope,
    layout: Layout,
    /// The sealed manifest at the time of the export.
    manifest: Bytes,
    /// The objects that the root block contains, sealed.
    contained: HashMap<(Bucket, Key), Contained>,
    blocks: HashMap<PlaceId, BlockPlace>,
    file: Mutex<File>,
}

struct Contained {
    kind: ObjectKind,
    sealed: Bytes,
}

/// Where a block is in the file, and the rest of the context under which it is sealed.
struct BlockPlace {
    section_start: u64,
    kind: ObjectKind,
    generation: u64,
}

/// An object that was read, with what it was sealed as.
struct Found {
    kind: ObjectKind,
    generation: u64,
    sealed: Bytes,
}

impl fmt::Debug for ArchiveStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveStore").field("blocks", &self.blocks.len()).finish_non_exhaustive()
    }
}

impl ArchiveStore {
    /// Reads the whole archive once, and checks each block. Blocks that are damaged or cut off are
    /// left out. The archive is opened with `key` or, if that is not the key of its time, with the
    /// data keys of the index, `envelope`.
    ///
    /// # Errors
    /// `InvalidInput` if it is not an archive of the index, and the errors of reading the file.
    pub(super) async fn open(path: &Path, key: Option<&KeySource>, envelope: &Envelope) -> Result<Self> {
        let mut archive = match ArchiveReader::open(file::open(path).await?, key).await {
            Err(error) if is_about_key(&error) => ArchiveReader::open_with(file::open(path).await?, envelope).await?,
            opened => opened?,
        };
        if archive.envelope.index_id() != envelope.index_id() {
            let message = format!("{} is an archive of another index", path.display());
            return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("name an archive of this index"));
        }
        let blocks = places(&mut archive, path).await?;
        let name = archive.root.index_name.as_deref().map_or_else(|| Ok(IndexName::default()), IndexName::new)?;
        let layout = Layout::new(&name)?;
        let file = File::open(path).await.map_err(|error| unreadable(&error))?;
        let mut store = Self {
            name,
            envelope: archive.envelope,
            layout,
            manifest: archive.root.manifest.clone().into(),
            contained: HashMap::new(),
            blocks,
            file: Mutex::new(file),
        };
        store.insert_contained(&archive.root)?;
        Ok(store)
    }

    /// Seals what the root block contains as the objects that a store has instead.
    fn insert_contained(&mut self, root: &ArchiveRoot) -> Result<()> {
        let layout = self.layout.clone();
        let opened = self.envelope.open(&manifest_address(&layout).context(), &self.manifest)?;
        let mut manifest = Manifest::from_bytes(&opened)?;
        if let (Some(entry), Some(content)) = (&manifest.window, &root.window) {
            let chunked = entry.chunked();
            let mut rest = &content[..];
            let part_bytes = content.len().div_ceil(chunked.chunk_count.max(1) as usize);
            for name in chunked.names() {
                let (part, after) = rest.split_at(part_bytes.min(rest.len()));
                self.contain(&chunked.address(&layout, &name), part)?;
                rest = after;
            }
        }
        for snapshot in &root.snapshots {
            let key = Layout::snapshot(&snapshot.entry)?;
            self.contain(&snapshot_address_in(&layout, &key), &snapshot.record)?;
        }
        if manifest.segments != root.segments {
            // The archive holds the state of a snapshot, whose position is unknown.
            manifest.segments.clone_from(&root.segments);
            manifest.watermark = Watermark { position: 0, record: None, ..manifest.watermark };
            (manifest.previous_position, manifest.window) = (0, None);
        }
        self.contain(&manifest_address(&layout), &manifest.to_bytes())
    }

    fn contain(&mut self, address: &Address<'_>, content: &[u8]) -> Result<()> {
        let sealed = self.envelope.seal(&address.context(), content, &SealOptions::default())?;
        let place = (address.bucket.clone(), address.key()?);
        self.contained.insert(place, Contained { kind: address.kind, sealed });
        Ok(())
    }

    /// Returns an object of the index as `envelope` opens it, or `None` if the archive does not
    /// have it.
    pub(super) async fn object(&self, object: &StoredObject, envelope: &Envelope) -> Result<Option<Bytes>> {
        let own = self.layout.buckets().into_iter().find(|own| is_same_bucket(own, &self.name, &object.bucket));
        let Some(own) = own else { return Ok(None) };
        let key = Key::new(&object.key)?;
        if (own, &key) == (&self.layout.catalog, &self.layout.manifest) {
            return Ok(Some(self.manifest.clone()));
        }
        let Some(Found { kind, generation, sealed }) = self.find(own, &key).await? else { return Ok(None) };
        let of = |bucket| Address { bucket, kind, name: &object.key, generation };
        let bucket = match own == &self.layout.catalog {
            true => Bucket::log(&object.bucket)?,
            false => Bucket::objects(&object.bucket)?,
        };
        if envelope.open(&of(&bucket).context(), &sealed).is_ok() {
            return Ok(Some(sealed));
        }
        // Sealed under a data key that the index does not have, or under another index name.
        Ok(envelope.reseal(&of(&bucket).context(), &self.envelope, &of(own).context(), &sealed).ok())
    }

    async fn find(&self, bucket: &Bucket, key: &Key) -> Result<Option<Found>> {
        if let Some(Contained { kind, sealed }) = self.contained.get(&(bucket.clone(), key.clone())) {
            return Ok(Some(Found { kind: *kind, generation: 0, sealed: sealed.clone() }));
        }
        let archived = ArchivedBucket::ALL.into_iter().find(|archived| archived.of(&self.layout) == bucket);
        let Some(place) = archived.and_then(|archived| self.blocks.get(&PlaceId::of(archived, key.as_str()))) else {
            return Ok(None);
        };
        let mut file = self.file.lock().await;
        file.seek(SeekFrom::Start(place.section_start)).await.map_err(|error| unreadable(&error))?;
        let mut car = CarReader::at(BufReader::with_capacity(BUFFER_BYTES, &mut *file), place.section_start);
        match car.section().await {
            // The file has changed since it was opened.
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            read => {
                Ok(read?.map(|block| Found { kind: place.kind, generation: place.generation, sealed: block.bytes }))
            }
        }
    }
}

/// Reads the archive to its end, and returns the place of each whole block.
async fn places<R: tokio::io::AsyncRead + Unpin>(
    archive: &mut ArchiveReader<R>,
    path: &Path,
) -> Result<HashMap<PlaceId, BlockPlace>> {
    let mut blocks = HashMap::new();
    loop {
        let before = archive.offset();
        match archive.next().await {
            Ok(Some((Place { bucket, kind, generation, key }, _))) => {
                let kind = ObjectKind(kind);
                let place = BlockPlace { section_start: archive.section_start(), kind, generation };
                blocks.insert(PlaceId::of(bucket, &key), place);
            }
            Ok(None) => return Ok(blocks),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                tracing::warn!(archive = %path.display(), %error, "a part of the archive is not used");
                if archive.offset() == before {
                    return Ok(blocks);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_about_key(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WrongKey | ErrorKind::KeyRequired | ErrorKind::NotEncrypted)
}

/// Returns whether `other`, a bucket of an index with any name, has the role that `own` has in the
/// index `name`.
fn is_same_bucket(own: &Bucket, name: &IndexName, other: &str) -> bool {
    let role = match name.as_str() {
        Some(name) => own.name().strip_prefix(name).and_then(|role| role.strip_prefix('_')).unwrap_or(own.name()),
        None => own.name(),
    };
    other == role || other.strip_suffix(role).is_some_and(|name| name.ends_with('_'))
}

#[async_trait]
impl Backend for ArchiveStore {
    async fn create(&self, _: &Bucket) -> Result<(), StoreError> {
        Err(read_only())
    }

    async fn check_bucket(&self, _: &Bucket) -> Result<(), StoreError> {
        Ok(())
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>, StoreError> {
        match self.find(bucket, key).await {
            Ok(found) => Ok(found.map(|found| Entry { value: found.sealed, revision: Revision::ZERO })),
            Err(error) => Err(StoreError::new(StoreErrorKind::Unavailable, error.to_string())),
        }
    }

    async fn put(&self, _: &Bucket, _: &Key, _: Bytes, _: Precondition) -> Result<Revision, StoreError> {
        Err(read_only())
    }

    async fn delete(&self, _: &Bucket, _: &[Key]) -> Result<(), StoreError> {
        Err(read_only())
    }

    /// An archive has no journal, and nothing else is ever listed.
    fn scan(&self, _: &Bucket, _: &KeyPrefix, _: Revision) -> EntryStream {
        futures::stream::empty().boxed()
    }

    fn watch(&self, _: &Bucket, _: &KeyPrefix, _: Revision) -> WatchStream {
        futures::stream::once(async { Err(read_only()) }).boxed()
    }

    fn limits(&self) -> Limits {
        Limits { max_value_bytes: usize::MAX, preferred_value_bytes: BUFFER_BYTES, durability: Durability::PowerLoss }
    }
}

fn read_only() -> StoreError {
    StoreError::new(StoreErrorKind::Denied, "an archive cannot be changed")
}
