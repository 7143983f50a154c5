//! The checks on opening an index: the root and the manifest must match each other.

use cim_ipld_backend::Entry;
use cim_ipld_envelope::{Envelope, KeySource};

use crate::history::manifest::{ManifestVersion, open_manifest, read_manifest};
use crate::objects::{Objects, Root};
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// Opens the manifest that was read concurrently with the root. If the root has no key for it,
/// either the keys were rotated between the two reads, or the root does not belong to the manifest.
pub(super) async fn open_under_root(
    objects: &Objects,
    entry: &Entry,
    key: Option<&KeySource>,
) -> Result<ManifestVersion> {
    let error = match open_manifest(objects, entry) {
        Err(error) if error.kind() == ErrorKind::KeyRotated => error,
        opened => return opened,
    };
    let layout = &objects.layout;
    let root =
        objects.backend.get(&layout.catalog, &layout.root).await?.filter(|root| root.value != objects.root().record);
    let Some(root) = root else {
        let message = "the keyset in the store lacks the data key that sealed the manifest: the keyset was rolled \
                       back, or the manifest was replaced";
        return Err(Error::new(ErrorKind::Rollback, message).with_source(error));
    };
    let envelope = Envelope::open_root(&root.value, key).await?;
    objects.replace_root(Root { envelope, record: root.value, revision: root.revision });
    read_manifest(objects).await
}

/// Refuses a root that is older than the one under which the manifest was sealed: only the keyset
/// was rolled back.
pub(super) fn check_floor(objects: &Objects, manifest: &ManifestVersion) -> Result<()> {
    if !objects.rules.enforces(Rule::RootFloor) {
        return Ok(());
    }
    let (root, floor) = (objects.root(), manifest.manifest.keyset_generation);
    if root.generation() < floor {
        let found = root.generation();
        let message = format!(
            "the keyset in the store has generation {found}, but the manifest was sealed under generation {floor}"
        );
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    if root.generation() == floor && root.digest() != manifest.manifest.root_digest {
        let message =
            format!("the keyset in the store differs from the keyset of generation {floor} that sealed the manifest");
        return Err(Error::new(ErrorKind::Forked, message));
    }
    Ok(())
}
