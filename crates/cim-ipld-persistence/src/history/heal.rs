//! Puts what this process knows to be the newest root or manifest back where something else was put in its place: junk, or
//! an older state. Compare-and-set keeps it from replacing anything newer.

use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Key, Precondition, Revision};

use super::manifest::ManifestVersion;
use super::shared::Shared;
use crate::Result;

/// Replaces what is at `revision` under the manifest's key.
pub(crate) fn manifest(shared: &Arc<Shared>, known: &Arc<ManifestVersion>, revision: Revision) {
    replace(shared, shared.objects.layout.manifest.clone(), known.sealed.clone(), revision);
}

/// Replaces what is at `revision` under the root's key.
pub(crate) fn root(shared: &Arc<Shared>, revision: Revision) {
    replace(shared, shared.objects.layout.root.clone(), shared.objects.root().record.clone(), revision);
}

fn replace(shared: &Arc<Shared>, key: Key, value: Bytes, revision: Revision) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        // So that not every process does it.
        shared.jitter().await;
        if let Err(error) = replace_unless_newer(&shared, &key, value, revision).await {
            tracing::debug!(%key, %error, "not healed");
        }
    });
}

async fn replace_unless_newer(shared: &Shared, key: &Key, value: Bytes, revision: Revision) -> Result<()> {
    shared.check()?;
    let objects = &shared.objects;
    let there = objects.backend.get(&objects.layout.catalog, key).await?;
    if there.is_some_and(|entry| entry.revision == revision && entry.value != value) {
        objects.backend.put(&objects.layout.catalog, key, value, Precondition::Unchanged(revision)).await?;
        tracing::warn!(%key, "what had been put in its place was replaced");
    }
    Ok(())
}
