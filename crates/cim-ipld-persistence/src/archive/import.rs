//! Stores the blocks of an archive in an empty store, then publishes them as an index.
//!
//! Everything is put on the condition that its key is free. The root record and the manifest come
//! last, so that there is no index before it is complete. A marker in the catalog
//! distinguishes the objects of an interrupted import from those of an index that lost its root and
//! manifest.

use std::collections::HashSet;
use std::sync::Arc;

use cim_ipld_backend::{Backend, Entry, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{Envelope, KeySource, ObjectKind, SealOptions};
use futures::StreamExt;
use tokio::io::AsyncRead;

use super::blocks::{Storing, put_once};
use super::car::BlockDigest;
use super::errors::{CHOOSE_EMPTY, incomplete};
use super::places::{PlaceId, Places};
use super::reader::ArchiveReader;
use super::{ImportReport, Source};
use crate::environment::Environment;
use crate::format::announcement::Announcement;
use crate::format::archive::ArchiveRoot;
use crate::format::manifest::WindowEntry;
use crate::format::snapshot::snapshot_digest;
use crate::format::window::{Window, window_digest};
use crate::history::manifest::{ManifestVersion, manifest_address, open_manifest, seal_manifest};
use crate::history::references::snapshot_address;
use crate::history::update::{Proposal, build_successor};
use crate::objects::layout::{IndexName, Layout};
use crate::objects::{Address, Objects, Root, kind, root_digest};
use crate::rules::Rules;
use crate::{Error, ErrorKind, Result, Settings};

/// The catalog key of the marker of an unfinished import.
pub(crate) const MARKER: &str = "import";

/// The maximum number of blocks taken from earlier archives, about as many as a one-terabyte index
/// has.
const MAX_MISSING: usize = 1 << 24;

/// The store of the new index.
pub(crate) struct Target {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) layout: Layout,
    pub(crate) settings: Settings,
    pub(crate) environment: Environment,
    pub(crate) rules: Rules,
}

impl Target {
    fn objects(&self, layout: Layout, root: Root) -> Objects {
        let environment = self.environment.clone();
        Objects::new(Arc::clone(&self.backend), layout, root, &self.settings, environment, self.rules)
    }
}

/// An archive that is being imported.
pub(crate) struct Importing<R> {
    archive: ArchiveReader<R>,
    /// The objects of the exported index, by the names that its buckets had.
    source: Objects,
    /// The objects of the new index.
    objects: Objects,
    manifest: ManifestVersion,
    /// The places for which the store holds the block.
    stored: HashSet<PlaceId>,
    /// Whether an earlier import was interrupted.
    is_resumed: bool,
    report: ImportReport,
}

impl<R: AsyncRead + Unpin + Send> Importing<R> {
    /// Reads the root block and checks it.
    pub(crate) async fn begin(reader: R, key: Option<&KeySource>, target: &Target) -> Result<Self> {
        let archive = ArchiveReader::open(reader, key).await?;
        let name = match &archive.root.index_name {
            Some(name) => IndexName::new(name)?,
            None => IndexName::default(),
        };
        let root = Root::new(archive.envelope.clone(), Revision::ZERO);
        let source = target.objects(Layout::new(&name)?, root.clone());
        let objects = target.objects(target.layout.clone(), root);
        let entry = Entry { value: archive.root.manifest.clone().into(), revision: Revision::ZERO };
        let manifest = open_manifest(&source, &entry)?;
        let report = ImportReport {
            root: archive.digest.cid(),
            blocks: 0,
            present_blocks: 0,
            bytes: 0,
            documents: archive.root.documents,
            snapshots: archive.root.snapshots.len() as u64,
        };
        let stored = HashSet::new();
        Ok(Self { archive, source, objects, manifest, stored, is_resumed: false, report })
    }

    /// Returns the exported manifest.
    pub(crate) fn manifest(&self) -> &ManifestVersion {
        &self.manifest
    }

    /// Stores everything. Returns the objects of the new index under its own root.
    ///
    /// # Errors
    /// `IndexExists` if the store is not empty, `Damaged` if the archive is not sound, `Lost` if
    /// blocks are missing that an earlier archive holds, and the errors of the store.
    pub(crate) async fn run(mut self, key: Option<&KeySource>, bases: Vec<Source>) -> Result<(Objects, ImportReport)> {
        for bucket in self.objects.layout.buckets() {
            self.objects.backend.create(bucket).await?;
        }
        if self.claim(key).await? == Claim::Finished {
            self.finish().await?;
            return Ok((self.objects, self.report));
        }
        self.store_blocks(bases).await?;
        self.publish(key).await?;
        self.finish().await?;
        Ok((self.objects, self.report))
    }

    /// Makes sure that the store is empty, or holds an unfinished import of this index.
    async fn claim(&mut self, key: Option<&KeySource>) -> Result<Claim> {
        let objects = &self.objects;
        let marker = Key::new(MARKER)?;
        let address = marker_address(&objects.layout);
        let root = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?;
        let manifest = objects.read(&manifest_address(&objects.layout)).await?;
        let mut marked = objects.read(&address).await?;
        if marked.is_none() {
            if root.is_some() || manifest.is_some() {
                return Err(Error::new(ErrorKind::IndexExists, "the store already holds an index of this name"));
            }
            check_empty(objects).await?;
            let sealed = objects.seal(&address, b"", &SealOptions::default())?;
            match objects.write(&objects.layout.catalog, &marker, sealed, Precondition::Absent).await {
                Ok(_) => return Ok(Claim::New),
                Err(error) if error.kind() == ErrorKind::Conflict => marked = objects.read(&address).await?,
                Err(error) => return Err(error),
            }
        }
        if marked.is_none_or(|entry| objects.open(&address, entry.value).is_err()) {
            let message = "the store holds an unfinished import of another index";
            return Err(Error::new(ErrorKind::IndexExists, message).with_hint(CHOOSE_EMPTY));
        }
        self.is_resumed = true;
        let Some(manifest) = manifest else { return Ok(Claim::Resumed) };
        let root = root.ok_or_else(|| already_imported("an index whose root record is missing"))?;
        self.adopt_root(root, key).await?;
        match open_manifest(&self.objects, &manifest) {
            Ok(imported) if imported.manifest.parent == self.manifest.digest => Ok(Claim::Finished),
            _ => Err(already_imported("an index that was imported from another archive, or has changed since")),
        }
    }

    /// Stores the blocks of the archive, and those that it lacks from the earlier archives.
    async fn store_blocks(&mut self, bases: Vec<Source>) -> Result<()> {
        let Self { archive, source, objects, manifest, stored, is_resumed, report } = self;
        let mut storing = Storing { source, objects, stored, is_resumed: *is_resumed, report };
        storing.blocks(archive, None).await?;
        let places = Places::new(&source.layout, &archive.root, &manifest.manifest)?;
        if !bases.is_empty() {
            let mut missing = HashSet::new();
            for place in places.iter() {
                let id = place?.id();
                if !storing.stored.contains(&id) {
                    missing.insert(id);
                }
                if missing.len() > MAX_MISSING {
                    return Err(Error::new(ErrorKind::InvalidInput, "the archive lacks too many blocks"));
                }
            }
            for base in bases {
                let base = ArchiveReader::open_with(base.open().await?, &archive.envelope).await?;
                check_base(&archive.root, &base)?;
                storing.blocks(&mut { base }, Some(&missing)).await?;
            }
        }
        // Stops at the first missing block instead of listing them all, because a hostile manifest
        // can name an unlimited number.
        for place in places.iter() {
            let place = place?;
            if !storing.stored.contains(&place.id()) {
                return Err(lacking(&archive.root, &place.address(&source.layout)));
            }
        }
        Ok(())
    }

    /// Stores the catalog: root record, snapshots, manifest.
    async fn publish(&mut self, key: Option<&KeySource>) -> Result<()> {
        self.store_root(key).await?;
        let objects = &self.objects;
        let root = objects.root();
        let archived = &self.archive.root;
        for snapshot in &archived.snapshots {
            if snapshot_digest(&snapshot.record) != snapshot.entry.digest {
                return Err(incomplete("a snapshot record in its root block does not match the digest given for it"));
            }
            let key = Layout::snapshot(&snapshot.entry)?;
            let address = snapshot_address(objects, &key);
            let sealed = objects.seal(&address, &snapshot.record, &SealOptions::default())?;
            put_once(objects, &address, sealed, &snapshot.record).await?;
        }
        let mut proposal = Proposal::based_on(&self.manifest.manifest);
        proposal.window = store_window(objects, archived, &self.manifest, &root).await?;
        proposal.epoch = root.envelope.epoch();
        proposal.segments.clone_from(&archived.segments);
        proposal.snapshots = archived.snapshots.iter().map(|snapshot| snapshot.entry.clone()).collect();
        let manifest = build_successor(objects, &self.manifest, proposal).await?;
        let sealed = seal_manifest(objects, &manifest)?;
        match objects.write(&objects.layout.catalog, &objects.layout.manifest, sealed, Precondition::Absent).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                Err(already_imported("an index that another process created in the meantime"))
            }
            written => written.map(drop),
        }
    }

    /// Stores the root record of the new index, or adopts the one of an interrupted import.
    ///
    /// An encrypted index gets a new data key. It begins a new epoch, so that a record which the
    /// exported index writes after the export authenticates nothing here.
    async fn store_root(&mut self, key: Option<&KeySource>) -> Result<()> {
        let objects = &self.objects;
        let envelope = match self.archive.envelope.keyset() {
            Some(keyset) => Envelope::encrypted(keyset.with_new_data_key(keyset.algorithm())?),
            None => self.archive.envelope.clone(),
        };
        let root = Root::new(envelope, Revision::ZERO);
        let (catalog, root_key) = (&objects.layout.catalog, &objects.layout.root);
        match objects.write(catalog, root_key, root.record.clone(), Precondition::Absent).await {
            Ok(revision) => objects.replace_root(Root { revision, ..root }),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let there = objects.backend.get(catalog, root_key).await?.ok_or(error)?;
                self.adopt_root(there, key).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Adopts the root record of an interrupted import of this index.
    async fn adopt_root(&self, there: Entry, key: Option<&KeySource>) -> Result<()> {
        let other = || already_imported("the root record of another index, or of a later state of this one");
        let envelope = Envelope::open_root(&there.value, key).await.map_err(|_| other())?;
        let has_keys = match (envelope.keyset(), self.archive.envelope.keyset()) {
            (Some(found), Some(archived)) => {
                found.generation() > archived.generation() && found.introduced(archived.active_key()).is_some()
            }
            (None, None) => true,
            _ => false,
        };
        if envelope.index_id() != self.archive.envelope.index_id() || !has_keys {
            return Err(other());
        }
        self.objects.replace_root(Root { envelope, record: there.value, revision: there.revision });
        Ok(())
    }

    /// Removes the marker.
    async fn finish(&self) -> Result<()> {
        let objects = &self.objects;
        Ok(objects.backend.delete(&objects.layout.catalog, &[Key::new(MARKER)?]).await?)
    }
}

/// Returns the error for an archive without the block of `object`.
fn lacking(root: &ArchiveRoot, object: &Address<'_>) -> Error {
    if root.bases.is_empty() {
        return incomplete(&format!("it lacks {object}, which its manifest names"));
    }
    let bases: Vec<String> = root.bases.iter().map(|base| BlockDigest(*base).to_string()).collect();
    let message =
        format!("the archive lacks {object} and perhaps others: it builds on the archives {}", bases.join(", "));
    let hint = "give the earlier archives with which it was exported, too";
    Error::new(ErrorKind::Lost, message).with_hint(hint)
}

/// Checks that an archive builds on the earlier archive `base`.
fn check_base<R>(root: &ArchiveRoot, base: &ArchiveReader<R>) -> Result<()> {
    if root.bases.contains(&base.digest.0) && root.index_name == base.root.index_name {
        return Ok(());
    }
    let message = format!("the archive does not build on the given earlier archive {}", base.digest);
    let hint = "give the earlier archives with which it was exported";
    Err(Error::new(ErrorKind::InvalidInput, message).with_hint(hint))
}

/// What a store holds before an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    New,
    Resumed,
    /// An earlier import was interrupted after it had stored the manifest.
    Finished,
}

fn marker_address(layout: &Layout) -> Address<'_> {
    Address { bucket: &layout.catalog, kind: ObjectKind::EXPORT, name: MARKER, generation: 0 }
}

fn already_imported(what: &str) -> Error {
    Error::new(ErrorKind::IndexExists, format!("the store holds {what}")).with_hint(CHOOSE_EMPTY)
}

async fn check_empty(objects: &Objects) -> Result<()> {
    for bucket in objects.layout.buckets() {
        let mut entries = objects.backend.scan(bucket, &KeyPrefix::all(), Revision::ZERO);
        if let Some(entry) = entries.next().await {
            entry?;
            let what = format!("objects of an index whose root record is missing, in bucket {bucket}");
            return Err(already_imported(&what));
        }
    }
    Ok(())
}

/// Stores the window of the order of the new index. It differs from the archived one: older digests
/// are not retained, and the only announced root is the root of the new index.
async fn store_window(
    objects: &Objects,
    archived: &ArchiveRoot,
    manifest: &ManifestVersion,
    root: &Root,
) -> Result<Option<WindowEntry>> {
    let (entry, content) = match (&manifest.manifest.window, &archived.window) {
        (None, None) => return Ok(None),
        (Some(entry), Some(content)) => (entry, content),
        _ => {
            return Err(incomplete(
                "its root block lacks the window of the order that its manifest names, or contains one although the manifest names none",
            ));
        }
    };
    if window_digest(content) != entry.digest {
        return Err(incomplete("its window of the order is not the one that the manifest names"));
    }
    let mut window = Window::from_bytes(content)?;
    window.blocks.clear();
    let announce = |data_key: &[u8; 8]| Announcement { root: root_digest(&root.record), data_key: *data_key };
    window.announced =
        root.envelope.keyset().map(|keyset| announce(keyset.active_key().as_bytes())).into_iter().collect();
    let bytes = window.to_bytes();
    let chunked = objects.store_chunked(kind::WINDOW, &bytes, &SealOptions::default()).await?;
    Ok(Some(WindowEntry { secret: chunked.secret, chunk_count: chunked.chunk_count, digest: window_digest(&bytes) }))
}
