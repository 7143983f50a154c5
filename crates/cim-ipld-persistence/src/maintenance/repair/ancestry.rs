//! Replaces an ancestry that has lost nodes.

use super::Repair;
use crate::Result;
use crate::format::ancestry::Ancestry;
use crate::history::manifest::{ManifestVersion, store_node};

impl Repair<'_> {
    /// Returns the manifest with an ancestry whose nodes are all stored. The digests that were in
    /// lost nodes are replaced by zeros, which are the digest of no manifest. A pin that records
    /// one of those generations is therefore refused.
    pub(super) async fn with_ancestry(&mut self, manifest: &ManifestVersion) -> Result<ManifestVersion> {
        let objects = self.objects;
        let mut digests = Vec::new();
        for generation in 1..manifest.generation() {
            digests.push(manifest.ancestor(objects, generation).await.ok().flatten().unwrap_or_default());
        }
        let mut ancestry = Ancestry::default();
        for digest in digests {
            for (place, node) in ancestry.push(digest) {
                store_node(objects, manifest.manifest.names_secret, place, &node).await?;
            }
        }
        let mut repaired = manifest.clone();
        repaired.manifest.ancestry = ancestry;
        Ok(repaired)
    }
}
