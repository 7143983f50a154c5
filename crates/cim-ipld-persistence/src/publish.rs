//! The one step that makes a change of segments real: the compare-and-set of the manifest.

use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Precondition, Revision};
use cim_ipld_index::Segment;

use crate::catalog;
use crate::format::manifest::{Manifest, SegmentEntry, Watermark};
use crate::segment_writer::Stored;
use crate::shared::Shared;
use crate::state::{ManifestVersion, Origin, Replacement};
use crate::{ErrorKind, Result};

/// A manifest to come: everything it names is stored.
pub(crate) struct Publication {
    pub(crate) current: Arc<ManifestVersion>,
    pub(crate) watermark: Watermark,
    pub(crate) segments: Vec<SegmentEntry>,
    /// The new one among the segments, opened.
    pub(crate) segment: Option<Arc<Segment>>,
    pub(crate) origin: Origin,
}

impl Publication {
    /// Swaps the manifest and waits until the follower has taken it up. Returns false when another process's manifest
    /// came first: what was stored is removed then, and the follower follows the winner.
    pub(crate) async fn publish(self, shared: &Shared, stored: Stored) -> Result<bool> {
        let manifest = self.current.successor(self.watermark, self.segments);
        let sealed = catalog::seal_manifest(&shared.objects, &manifest)?;
        let manifest_hash = *blake3::hash(&sealed).as_bytes();
        shared.expect(Some(Arc::new(Replacement { manifest_hash, segment: self.segment, origin: self.origin })));
        let swapped = swap_sealed(shared, &self.current, sealed).await;
        let result = match swapped {
            Ok(revision) => shared.wait_published(revision).await.map(|()| true),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                stored.discard(shared).await;
                shared.wait_generation(self.current.manifest.generation + 1).await.map(|()| false)
            }
            // After an unknown outcome the manifest may name what was stored: garbage is better than loss.
            Err(error) => {
                if error.kind() != ErrorKind::OutcomeUnknown {
                    stored.discard(shared).await;
                }
                Err(error)
            }
        };
        shared.expect(None);
        result
    }
}

impl ManifestVersion {
    /// The manifest that follows this one, with the same snapshots.
    pub(crate) fn successor(&self, watermark: Watermark, segments: Vec<SegmentEntry>) -> Manifest {
        Manifest {
            generation: self.manifest.generation + 1,
            previous: self.hash,
            watermark,
            names_secret: self.manifest.names_secret,
            segments,
            snapshots: self.manifest.snapshots.clone(),
        }
    }

    /// A manifest that follows this one and says the same of the documents.
    pub(crate) fn again(&self) -> Manifest {
        self.successor(Watermark::At(self.watermark().number()), self.manifest.segments.clone())
    }

    /// Whether `next` says the same of the documents, so that whoever follows this one has nothing to read again.
    pub(crate) fn is_same_index(&self, next: &Self) -> bool {
        next.watermark() == self.watermark() && next.manifest.segments == self.manifest.segments
    }
}

/// Makes `next` the manifest unless another one followed `current` in the meantime, which is a `Conflict`.
pub(crate) async fn swap_manifest(shared: &Shared, current: &ManifestVersion, next: &Manifest) -> Result<Revision> {
    swap_sealed(shared, current, catalog::seal_manifest(&shared.objects, next)?).await
}

async fn swap_sealed(shared: &Shared, current: &ManifestVersion, sealed: Bytes) -> Result<Revision> {
    let layout = &shared.objects.layout;
    let precondition = Precondition::Unchanged(current.revision);
    shared.objects.write(&layout.catalog, &layout.manifest, sealed, precondition).await
}
