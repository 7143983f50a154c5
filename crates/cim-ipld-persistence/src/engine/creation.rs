//! Making an index: the root first, then the first manifest. A creation that a crash cut off
//! between the two is finished by the next one. Where anything of an index is left, none is made:
//! what is missing there is lost.

use std::sync::Arc;

use cim_ipld_backend::{Backend, Bucket, ErrorKind as StoreErrorKind, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, IndexId, KeySource, Keyset};
use cim_ipld_index::{Analyzer, AnalyzerSpec, MAX_PAGE_BYTES};
use futures::StreamExt;

use super::protection::Protection;
use crate::environment::Environment;
use crate::format::ancestry::Ancestry;
use crate::format::digest::Digest;
use crate::format::manifest::{Manifest, Watermark};
use crate::history::manifest::{manifest_address, seal_manifest};
use crate::history::order::Order;
use crate::objects::layout::Layout;
use crate::objects::{Objects, Root};
use crate::rules::Rules;
use crate::{Error, ErrorKind, Result, Settings};

/// What there is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remains {
    Nothing,
    /// A root and nothing else: a creation that was cut off, or is under way.
    Unfinished,
    Index,
}

/// What sealing may add to a page.
const SEALING_BYTES: usize = 4096;

/// Refuses a store that cannot take the largest page.
pub(super) fn check_limits(backend: &dyn Backend) -> Result<()> {
    let (needed, limit) = (MAX_PAGE_BYTES + SEALING_BYTES, backend.limits().max_value_bytes);
    if limit < needed {
        let message = format!(
            "the store takes values of at most {limit} bytes, and an index needs {needed}: raise its limit (the largest \
             payload of a NATS server is its max_payload)"
        );
        return Err(Error::new(ErrorKind::Incompatible, message));
    }
    Ok(())
}

/// Returns the description of what is to cut texts and queries, as a manifest holds it.
pub(super) fn describe(analyzer: Option<&Analyzer>) -> Result<Vec<u8>> {
    let bytes = analyzer.map_or_else(AnalyzerSpec::default, Analyzer::spec).to_bytes();
    AnalyzerSpec::from_bytes(&bytes).map_err(|error| {
        let message = format!("the analyzer cannot be kept in an index: {error}");
        Error::new(ErrorKind::InvalidInput, message)
    })?;
    Ok(bytes)
}

/// Returns what cuts texts and queries of an index that was made with an analyzer described so.
pub(super) fn analyzer_of(spec: &AnalyzerSpec, given: Option<&Analyzer>) -> Result<Analyzer> {
    match given {
        None => Ok(Analyzer::from_spec(spec)?),
        Some(given) if given.spec() == *spec => Ok(given.clone()),
        Some(given) => {
            let message = format!(
                "the index was made with the analyzer `{spec}` and cannot be opened with `{}`: give none, or its own",
                given.spec()
            );
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// Finds out what there is.
///
/// # Errors
/// `Lost` when objects are there and the root or the manifest that name them is not.
pub(super) async fn remains(backend: &dyn Backend, layout: &Layout) -> Result<Remains> {
    let root = get(backend, layout, &layout.root).await?;
    let manifest = get(backend, layout, &layout.manifest).await?;
    if root && manifest {
        return Ok(Remains::Index);
    }
    for bucket in layout.buckets() {
        let known = (bucket == &layout.catalog).then_some(&layout.root);
        if has_other_than(backend, bucket, known).await? {
            let gone = if root { "manifest" } else { "root record" };
            let message = format!("bucket {bucket} holds objects of an index whose {gone} is gone from the store");
            return Err(Error::new(ErrorKind::Lost, message));
        }
    }
    Ok(if root { Remains::Unfinished } else { Remains::Nothing })
}

/// Refuses to make an index where there is one, or where something of one is left.
pub(super) async fn refuse_remains(backend: &dyn Backend, layout: &Layout) -> Result<()> {
    match remains(backend, layout).await? {
        Remains::Index => Err(exists()),
        Remains::Nothing | Remains::Unfinished => Ok(()),
    }
}

/// Returns why an index without a root cannot be opened.
pub(super) async fn no_root(backend: &dyn Backend, layout: &Layout) -> Result<Error> {
    remains(backend, layout).await?;
    Ok(Error::new(ErrorKind::NoIndex, "there is no index at this place"))
}

/// Returns why an index without a manifest cannot be opened.
pub(super) async fn no_manifest(objects: &Objects) -> Result<Error> {
    Ok(match remains(&*objects.backend, &objects.layout).await {
        Ok(Remains::Unfinished) => {
            let message = "the creation of an index was begun at this place and is not finished";
            Error::new(ErrorKind::NoIndex, message)
        }
        Ok(_) => lost_manifest(&objects.layout),
        Err(error) => error,
    })
}

/// Makes an index of `protection` in buckets that are there. Of several processes that do so at the
/// same moment, the one whose manifest stands has made it.
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
            refuse_remains(&*objects.backend, &objects.layout).await?;
            let begun = begun_root(&objects, &protection).await?;
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
        epoch: root.envelope.epoch(),
        keyset_generation: root.generation(),
        root_digest: root.digest(),
        window: None,
        names_secret: objects.environment.random(),
        analyzer,
        segments: Vec::new(),
        snapshots: Vec::new(),
    };
    let sealed = seal_manifest(&objects, &first)?;
    match objects.write(catalog, &objects.layout.manifest, sealed, Precondition::Absent).await {
        Err(error) if error.kind() == ErrorKind::Conflict => Err(exists()),
        Err(error) => Err(error),
        Ok(_) => Ok(objects),
    }
}

async fn get(backend: &dyn Backend, layout: &Layout, key: &Key) -> Result<bool> {
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

/// Opens the root of a creation that was begun. It is never replaced: whoever began may be about to
/// seal a manifest under it.
async fn begun_root(objects: &Objects, protection: &Protection) -> Result<Root> {
    let (algorithm, key): (Option<EncryptionAlgorithm>, Option<&KeySource>) = match protection {
        Protection::Encrypted { algorithm, key } => (Some(*algorithm), Some(key)),
        Protection::Plaintext => (None, None),
    };
    let root = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?.ok_or_else(exists)?;
    let envelope = Envelope::open_root(&root.value, key).await?;
    let begun = envelope.keyset().map(Keyset::algorithm);
    if begun != algorithm {
        let message = format!("an index was begun here with {begun:?} and is not finished: create it with that");
        return Err(Error::new(ErrorKind::IndexExists, message));
    }
    Ok(Root { envelope, record: root.value, revision: root.revision })
}

fn exists() -> Error {
    Error::new(ErrorKind::IndexExists, "there is an index at this place already")
}

/// The manifest's address is where an opener looks first.
fn lost_manifest(layout: &Layout) -> Error {
    manifest_address(layout).lost()
}
