//! Creates an index: the root first, then the first manifest. If a crash interrupts a creation
//! between the two, the next creation completes it. No index is created in buckets that still
//! contain objects of another one: that index has lost its root or manifest, which is reported as
//! an error.

use std::sync::Arc;

use cim_ipld_backend::{Backend, Bucket, ErrorKind as StoreErrorKind, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, IndexId, KeySource, Keyset};
use cim_ipld_index::{Analyzer, AnalyzerSpec, MAX_PAGE_BYTES};
use futures::StreamExt;

use super::protection::Protection;
use crate::archive::import;
use crate::environment::Environment;
use crate::format::ancestry::Ancestry;
use crate::format::digest::Digest;
use crate::format::manifest::{Manifest, Watermark};
use crate::format::name_secret::NameSecret;
use crate::history::manifest::{manifest_address, seal_manifest};
use crate::history::order::Order;
use crate::objects::layout::Layout;
use crate::objects::{Objects, Root};
use crate::rules::Rules;
use crate::{Error, ErrorKind, Result, Settings};

/// What a store holds of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreContents {
    Nothing,
    /// A root and nothing else: a creation was interrupted, or is in progress.
    Unfinished,
    /// Objects without a manifest, and the marker of an import that was interrupted or is in
    /// progress.
    Import,
    Index,
}

/// An upper bound of the bytes that sealing adds to a page.
const SEALING_BYTES: usize = 4096;

/// Refuses a store whose values are too small for the largest page.
pub(super) fn check_limits(backend: &dyn Backend) -> Result<()> {
    let (needed, limit) = (MAX_PAGE_BYTES + SEALING_BYTES, backend.limits().max_value_bytes);
    if limit < needed {
        let message = format!(
            "the store accepts values of at most {limit} bytes, but an index needs {needed}: raise the limit of the \
             store (for a NATS server, max_payload)"
        );
        return Err(Error::new(ErrorKind::Incompatible, message));
    }
    Ok(())
}

/// Returns the encoded description of the analyzer, as stored in a manifest.
pub(super) fn describe(analyzer: Option<&Analyzer>) -> Result<Vec<u8>> {
    let bytes = analyzer.map_or_else(AnalyzerSpec::default, Analyzer::spec).to_bytes();
    AnalyzerSpec::from_bytes(&bytes).map_err(|error| {
        let message = format!("the analyzer cannot be stored in an index: {error}");
        Error::new(ErrorKind::InvalidInput, message)
    })?;
    Ok(bytes)
}

/// Returns the analyzer that the manifest of an index describes as `spec`.
pub(super) fn analyzer_of(spec: &AnalyzerSpec, given: Option<&Analyzer>) -> Result<Analyzer> {
    match given {
        None => Ok(Analyzer::from_spec(spec)?),
        Some(given) if given.spec() == *spec => Ok(given.clone()),
        Some(given) => {
            let message = format!(
                "the index was created with the analyzer `{spec}` and cannot be opened with `{}`: give its own analyzer, \
                 or none",
                given.spec()
            );
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// Determines what the store holds of an index.
///
/// # Errors
/// `Lost` if there are objects but the root or the manifest that names them is missing.
pub(super) async fn contents(backend: &dyn Backend, layout: &Layout) -> Result<StoreContents> {
    let root = exists(backend, layout, &layout.root).await?;
    let manifest = exists(backend, layout, &layout.manifest).await?;
    if root && manifest {
        return Ok(StoreContents::Index);
    }
    if !manifest && exists(backend, layout, &Key::new(import::MARKER)?).await? {
        return Ok(StoreContents::Import);
    }
    for bucket in layout.buckets() {
        let known = (bucket == &layout.catalog).then_some(&layout.root);
        if has_other_than(backend, bucket, known).await? {
            let gone = if root { "manifest" } else { "root record" };
            let message = format!("bucket {bucket} holds objects of an index whose {gone} is missing from the store");
            return Err(Error::new(ErrorKind::Lost, message));
        }
    }
    Ok(if root { StoreContents::Unfinished } else { StoreContents::Nothing })
}

/// Refuses to create an index where one exists, or where objects of one are left.
pub(super) async fn refuse_existing(backend: &dyn Backend, layout: &Layout) -> Result<()> {
    match contents(backend, layout).await? {
        StoreContents::Index => Err(already_exists()),
        StoreContents::Import => Err(Error::new(ErrorKind::IndexExists, UNFINISHED_IMPORT).with_hint(IMPORT_AGAIN)),
        StoreContents::Nothing | StoreContents::Unfinished => Ok(()),
    }
}

/// Returns the error for opening an index without a root.
pub(super) async fn no_root(backend: &dyn Backend, layout: &Layout) -> Result<Error> {
    Ok(match contents(backend, layout).await? {
        StoreContents::Import => unfinished_import(),
        _ => Error::new(ErrorKind::NoIndex, "the store holds no index of this name"),
    })
}

/// Returns the error for opening an index without a manifest.
pub(super) async fn no_manifest(objects: &Objects) -> Result<Error> {
    Ok(match contents(&*objects.backend, &objects.layout).await {
        Ok(StoreContents::Unfinished) => {
            let message = "the creation of this index was started but not completed: create it again";
            Error::new(ErrorKind::NoIndex, message)
        }
        Ok(StoreContents::Import) => unfinished_import(),
        Ok(_) => lost_manifest(&objects.layout),
        Err(error) => error,
    })
}

/// Creates an index in existing buckets. If several processes do so concurrently, the one that
/// stores the first manifest succeeds.
pub(super) async fn create(
    backend: Arc<dyn Backend>,
    layout: Layout,
    protection: Protection,
    analyzer: Vec<u8>,
    settings: &Settings,
    environment: Environment,
    rules: Rules,
) -> Result<Objects> {
    let root = Root::new(new_envelope(&protection).await?, Revision::ZERO);
    let objects = Objects::new(backend, layout, root, settings, environment, rules);
    let (catalog, record) = (&objects.layout.catalog, objects.root().record.clone());
    match objects.write(catalog, &objects.layout.root, record, Precondition::Absent).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            refuse_existing(&*objects.backend, &objects.layout).await?;
            let begun = unfinished_root(&objects, &protection).await?;
            objects.replace_root(begun);
        }
        written => {
            let revision = written?;
            objects.replace_root(Root { revision, ..(*objects.root()).clone() });
        }
    }
    let root = objects.root();
    let nonce = objects.environment.random();
    let digest = Order::genesis(root.envelope.index_id().as_bytes(), &nonce);
    let first = Manifest {
        generation: 1,
        parent: Digest::default(),
        ancestry: Ancestry::default(),
        watermark: Watermark { position: 0, digest, record: None },
        previous_position: 0,
        collections: 0,
        epoch: root.envelope.epoch(),
        keyset_generation: root.generation(),
        root_digest: root.digest(),
        window: None,
        names_secret: NameSecret(objects.environment.random()),
        analyzer,
        segments: Vec::new(),
        snapshots: Vec::new(),
    };
    let sealed = seal_manifest(&objects, &first)?;
    match objects.write(catalog, &objects.layout.manifest, sealed, Precondition::Absent).await {
        Err(error) if error.kind() == ErrorKind::Conflict => Err(already_exists()),
        Err(error) => Err(error),
        Ok(_) => Ok(objects),
    }
}

async fn exists(backend: &dyn Backend, layout: &Layout, key: &Key) -> Result<bool> {
    match backend.get(&layout.catalog, key).await {
        Err(error) if error.kind() == StoreErrorKind::BucketMissing => Ok(false),
        found => Ok(found?.is_some()),
    }
}

async fn has_other_than(backend: &dyn Backend, bucket: &Bucket, known: Option<&Key>) -> Result<bool> {
    let mut entries = backend.scan(bucket, &KeyPrefix::all(), Revision::ZERO);
    while let Some(entry) = entries.next().await {
        match entry {
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(entry) if known == Some(&entry.key) => {}
            Ok(_) => return Ok(true),
        }
    }
    Ok(false)
}

async fn new_envelope(protection: &Protection) -> Result<Envelope> {
    Ok(match protection {
        Protection::Encrypted { algorithm, key } => {
            Envelope::encrypted(Keyset::create(IndexId::random(), *algorithm, key).await?)
        }
        Protection::Plaintext => Envelope::plaintext(IndexId::random()),
    })
}

/// Opens the root of an unfinished creation. It is never replaced: the process that stored it may
/// be about to seal a manifest under it.
async fn unfinished_root(objects: &Objects, protection: &Protection) -> Result<Root> {
    let (algorithm, key): (Option<EncryptionAlgorithm>, Option<&KeySource>) = match protection {
        Protection::Encrypted { algorithm, key } => (Some(*algorithm), Some(key)),
        Protection::Plaintext => (None, None),
    };
    let root = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?.ok_or_else(already_exists)?;
    let envelope = Envelope::open_root(&root.value, key).await?;
    let begun = envelope.keyset().map(Keyset::algorithm);
    if begun != algorithm {
        let started = begun.map_or_else(|| "without encryption".to_owned(), |algorithm| format!("with {algorithm}"));
        let message = format!("the creation of an index {started} was started here: complete it in the same way");
        return Err(Error::new(ErrorKind::IndexExists, message));
    }
    Ok(Root { envelope, record: root.value, revision: root.revision })
}

const UNFINISHED_IMPORT: &str = "the store holds an import that is not complete";
const IMPORT_AGAIN: &str = "run the import again with the same archives: it continues where it stopped";

/// Returns the error for opening an index whose import is not complete.
fn unfinished_import() -> Error {
    Error::new(ErrorKind::NoIndex, UNFINISHED_IMPORT).with_hint(IMPORT_AGAIN)
}

fn already_exists() -> Error {
    Error::new(ErrorKind::IndexExists, "the store already holds an index of this name")
}

/// Returns the error for a missing manifest.
fn lost_manifest(layout: &Layout) -> Error {
    manifest_address(layout).lost()
}
