//! Reads and seals manifests, and compares them by their ancestry.

use bytes::Bytes;
use cim_ipld_backend::{Entry, Key, Precondition, Revision};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions};

use super::order::Order;
use crate::format::ancestry::{FAN_OUT, Node, NodePlace, Path};
use crate::format::digest::{Digest, ShortDigest};
use crate::format::manifest::{Manifest, WindowEntry};
use crate::format::name_secret::NameSecret;
use crate::format::window::{DigestBlock, Window, block_digest, block_from_bytes, window_digest};
use crate::objects::chunked::Chunked;
use crate::objects::layout::Layout;
use crate::objects::{Address, Objects, kind};
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// A stored manifest and what identifies it.
#[derive(Clone, Debug)]
pub(crate) struct ManifestVersion {
    pub(crate) manifest: Manifest,
    pub(crate) sealed: Bytes,
    /// The digest of the sealed bytes, by which the successor names it.
    pub(crate) digest: Digest,
    /// The epoch of the data key that sealed it.
    pub(crate) epoch: u64,
    /// The revision at which it was last seen in the catalog.
    pub(crate) revision: Revision,
}

/// The relation of a manifest to the known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Succession {
    /// The known one.
    Same,
    /// A descendant of the known one, over the same order.
    Newer,
    /// Its generation is not higher than the known one.
    Older,
    /// Sealed under a data key that was retired by the known one.
    Retired,
}

pub(crate) fn manifest_address(layout: &Layout) -> Address<'_> {
    Address { bucket: &layout.catalog, kind: ObjectKind::MANIFEST, name: layout.manifest.as_str(), generation: 0 }
}

pub(crate) fn manifest_digest(sealed: &[u8]) -> Digest {
    Digest::of("cim/v1/manifest", &[sealed])
}

/// Opens a manifest entry.
///
/// # Errors
/// `KeyRotated` if its data key is unknown, `UnsupportedVersion` if a holder of the key wrote it in
/// a newer format, and `Damaged` if it is not a manifest.
pub(crate) fn open_manifest(objects: &Objects, entry: &Entry) -> Result<ManifestVersion> {
    let opened = objects.open(&manifest_address(&objects.layout), entry.value.clone()).map_err(|error| {
        // The version in the header is not authenticated until the object is opened.
        match error.kind() {
            ErrorKind::KeyRotated => error,
            _ => {
                Error::new(ErrorKind::Damaged, format!("the manifest cannot be decrypted: {error}")).with_source(error)
            }
        }
    })?;
    let manifest = Manifest::from_bytes(&opened)?;
    let epoch = objects.root().envelope.epoch_of(&entry.value)?;
    if epoch < manifest.epoch {
        let message = "the manifest is sealed under a data key that had already been retired when it was written";
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    let digest = manifest_digest(&entry.value);
    Ok(ManifestVersion { manifest, sealed: entry.value.clone(), digest, epoch, revision: entry.revision })
}

pub(crate) fn seal_manifest(objects: &Objects, manifest: &Manifest) -> Result<Bytes> {
    objects.seal(&manifest_address(&objects.layout), &manifest.to_bytes(), &SealOptions::default())
}

/// Reads the manifest from the authoritative copy of the catalog.
pub(crate) async fn read_manifest(objects: &Objects) -> Result<ManifestVersion> {
    let address = manifest_address(&objects.layout);
    let entry = objects.read(&address).await?.ok_or_else(|| address.lost())?;
    open_manifest(objects, &entry)
}

/// Returns whether `error` means that the manifest entry is missing or does not hold a manifest. A
/// manifest in a newer format counts as a manifest.
pub(crate) fn is_missing_or_invalid(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Lost | ErrorKind::Damaged)
}

impl ManifestVersion {
    pub(crate) fn generation(&self) -> u64 {
        self.manifest.generation
    }

    pub(crate) fn position(&self) -> u64 {
        self.manifest.watermark.position
    }

    /// Returns the digest of the ancestor of `generation`, or of this manifest if that is its own
    /// generation. Returns `None` if there is no such ancestor.
    pub(crate) async fn ancestor(&self, objects: &Objects, generation: u64) -> Result<Option<Digest>> {
        if generation == self.generation() {
            return Ok(Some(self.digest));
        }
        match self.manifest.ancestry.path(generation) {
            Path::Here(digest) => Ok(Some(digest)),
            Path::Absent => Ok(None),
            Path::Below { mut node, mut place, children } => {
                let names = self.manifest.names_secret.names();
                for child in children {
                    let found = fetch_node(objects, &node_name(&names, place), node).await?.child(child);
                    node = found.ok_or_else(|| Error::new(ErrorKind::Damaged, "the manifest's ancestry has a gap"))?;
                    place = place.child(child);
                }
                Ok(Some(node))
            }
        }
    }

    /// Returns the manifest digest that a record must attest if it names `generation`, or `None` if
    /// neither this manifest nor an ancestor has that generation.
    pub(crate) async fn attested(&self, objects: &Objects, generation: u64) -> Result<Option<Digest>> {
        match objects.rules.enforces(Rule::RecordManifest) {
            true => self.ancestor(objects, generation).await,
            false => Ok(Some(Digest::default())),
        }
    }

    /// Reads the order at the watermark of this manifest.
    pub(crate) async fn order(&self, objects: &Objects) -> Result<Order> {
        let window = match &self.manifest.window {
            Some(entry) => Some(fetch_window(objects, entry).await?),
            None => None,
        };
        Order::at(objects.rules, &self.manifest.watermark, self.manifest.epoch, window)
    }

    /// Compares `next` with this manifest, which is the known one. `order` is the order of this
    /// process.
    ///
    /// # Errors
    /// `Forked` if `next` belongs to a different history.
    pub(crate) async fn succession(&self, objects: &Objects, order: &Order, next: &Self) -> Result<Succession> {
        let rules = objects.rules;
        if next.digest == self.digest {
            return Ok(Succession::Same);
        }
        if next.generation() <= self.generation() && rules.enforces(Rule::Generation) {
            return Ok(Succession::Older);
        }
        if next.epoch < self.manifest.epoch && rules.enforces(Rule::ManifestEpoch) {
            return Ok(Succession::Retired);
        }
        let ancestor = next.ancestor(objects, self.generation()).await?;
        if ancestor != Some(self.digest) && rules.enforces(Rule::Ancestry) {
            let (known, found) = (self.generation(), next.generation());
            let message =
                format!("the manifest of generation {found} does not descend from the known one of generation {known}");
            return Err(Error::new(ErrorKind::Forked, message));
        }
        if next.manifest.analyzer != self.manifest.analyzer {
            let message =
                "the manifest names a different analyzer from the index's, but the analyzer of an index cannot change";
            return Err(Error::new(ErrorKind::Forked, message));
        }
        if rules.enforces(Rule::ManifestChain) {
            next.check_chain(objects, order).await?;
        }
        Ok(Succession::Newer)
    }

    /// Checks that the shorter of `order` and the order of this manifest is a prefix of the longer
    /// one.
    async fn check_chain(&self, objects: &Objects, order: &Order) -> Result<()> {
        let watermark = &self.manifest.watermark;
        let (position, found, expected) = if watermark.position <= order.position() {
            (watermark.position, digest_at(objects, order, watermark.position).await?, watermark.digest)
        } else {
            let own = self.order(objects).await?;
            (order.position(), digest_at(objects, &own, order.position()).await?, order.digest())
        };
        check_digest(position, found, expected)
    }
}

/// Compares the digest found at a position with the expected one.
pub(crate) fn check_digest(position: u64, found: Option<ShortDigest>, expected: ShortDigest) -> Result<()> {
    match found {
        Some(digest) if digest == expected => Ok(()),
        Some(_) => {
            let message =
                format!("the store holds a different history: the orders differ at or before position {position}");
            Err(Error::new(ErrorKind::Forked, message))
        }
        None => {
            tracing::warn!(
                position,
                "the position is too old to compare its digest: only the ancestry of the manifests was checked"
            );
            Ok(())
        }
    }
}

/// Returns the digest of `order` at `position`, from memory or from the store, or `None` if it is
/// no longer retained.
pub(crate) async fn digest_at(objects: &Objects, order: &Order, position: u64) -> Result<Option<ShortDigest>> {
    if let Some(digest) = order.digest_at(position) {
        return Ok(Some(digest));
    }
    let positions = objects.rules.window();
    let index = position / positions;
    let Some(block) = order.blocks().iter().find(|block| block.index == index) else { return Ok(None) };
    let digests = fetch_block(objects, block).await?;
    Ok(digests.get(usize::try_from(position % positions).expect("within a chunk")).copied())
}

/// Reads a block of digests of older positions.
pub(crate) async fn fetch_block(objects: &Objects, block: &DigestBlock) -> Result<Vec<ShortDigest>> {
    let bytes = objects.fetch_chunked(&block.chunked()).await?;
    if block_digest(&bytes) != block.digest {
        let message = "a block of the digests of the order differs from the one that the window names";
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    block_from_bytes(&bytes, objects.rules.window())
}

impl DigestBlock {
    pub(crate) fn chunked(&self) -> Chunked {
        Chunked { kind: kind::DIGEST_BLOCK, secret: self.secret, chunk_count: self.chunk_count }
    }
}

impl WindowEntry {
    pub(crate) fn chunked(&self) -> Chunked {
        Chunked { kind: kind::WINDOW, secret: self.secret, chunk_count: self.chunk_count }
    }
}

pub(crate) async fn fetch_window(objects: &Objects, entry: &WindowEntry) -> Result<Window> {
    let bytes = objects.fetch_chunked(&entry.chunked()).await?;
    if window_digest(&bytes) != entry.digest {
        return Err(Error::new(
            ErrorKind::Damaged,
            "the window of the order differs from the one that the manifest names",
        ));
    }
    Window::from_bytes(&bytes)
}

/// Returns the name of a node. It depends only on the place of the node in the tree, so processes
/// that complete the same node concurrently write the same object.
pub(crate) fn node_name(names: &ObjectNames, place: NodePlace) -> String {
    names.name_of(&format!("ancestry/{}/{}", place.level, place.index))
}

/// Returns the keys of all nodes of the ancestry of a manifest, and of the next node of each level:
/// a process that is about to publish the next manifest may rely on a node that an interrupted one
/// has stored.
pub(crate) fn ancestry_nodes(manifest: &ManifestVersion) -> Result<Vec<Key>> {
    let names = manifest.manifest.names_secret.names();
    let generations = manifest.manifest.ancestry.generations();
    let mut keys = Vec::new();
    let (mut level, mut count) = (1, generations / FAN_OUT as u64);
    loop {
        for index in 0..=count {
            keys.push(Key::new(&node_name(&names, NodePlace { level, index }))?);
        }
        if count == 0 {
            return Ok(keys);
        }
        (level, count) = (level + 1, count / FAN_OUT as u64);
    }
}

fn node_address<'a>(layout: &'a Layout, name: &'a str) -> Address<'a> {
    Address { bucket: &layout.metadata, kind: kind::ANCESTRY, name, generation: 0 }
}

async fn fetch_node(objects: &Objects, name: &str, digest: Digest) -> Result<Node> {
    let bytes = objects.fetch(&node_address(&objects.layout, name)).await?;
    let node = Node::from_bytes(&bytes)?;
    if node.digest() != digest {
        return Err(Error::new(
            ErrorKind::Forked,
            "a node of the ancestry of the manifest belongs to a different history",
        ));
    }
    Ok(node)
}

pub(crate) async fn store_node(
    objects: &Objects,
    names_secret: NameSecret,
    place: NodePlace,
    node: &Node,
) -> Result<()> {
    let name = node_name(&names_secret.names(), place);
    let sealed = objects.seal(&node_address(&objects.layout, &name), &node.to_bytes(), &SealOptions::default())?;
    let key = Key::new(&name)?;
    match objects.write(&objects.layout.metadata, &key, sealed.clone(), Precondition::Absent).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        written => return written.map(drop),
    }
    // Another process has stored the node, unless the entry holds junk or a node of an abandoned
    // history.
    if fetch_node(objects, &name, node.digest()).await.is_ok() {
        return Ok(());
    }
    let there = objects.read(&node_address(&objects.layout, &name)).await?;
    let precondition = there.map_or(Precondition::Absent, |there| Precondition::Unchanged(there.revision));
    objects.write(&objects.layout.metadata, &key, sealed, precondition).await.map(drop)
}
