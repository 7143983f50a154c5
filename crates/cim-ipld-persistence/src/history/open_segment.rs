//! The segments that a state has open.

use std::sync::Arc;

use cim_ipld_index::{Deletes, Segment};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::manifest::ManifestVersion;
use crate::Result;
use crate::format::manifest::SegmentEntry;
use crate::objects::Objects;
use crate::objects::segments::SegmentHandle;

/// A segment that a manifest names, with its header.
pub(super) struct OpenSegment {
    pub(super) handle: Arc<SegmentHandle>,
    pub(super) segment: Arc<Segment>,
    pub(super) deletes: Deletes,
    /// Whether `deletes` contains more than the manifest names.
    pub(super) dirty: bool,
}

/// Opens the segments of a manifest, reusing the `known` ones.
pub(super) async fn open_segments(
    objects: &Objects,
    manifest: &ManifestVersion,
    known: &[OpenSegment],
) -> Result<Vec<OpenSegment>> {
    stream::iter(manifest.manifest.segments.clone())
        .map(|entry| {
            let known = known.iter().find(|open| open.handle.entry.id == entry.id);
            open_segment(objects, entry, known)
        })
        .buffered(objects.parallel_transfers)
        .try_collect()
        .await
}

async fn open_segment(objects: &Objects, entry: SegmentEntry, known: Option<&OpenSegment>) -> Result<OpenSegment> {
    let same_pages = known.filter(|known| known.handle.entry.digests == entry.digests);
    let same_deletes = known.filter(|known| !known.dirty && known.handle.entry.deletes == entry.deletes);
    let handle = match same_pages {
        Some(known) => known.handle.with_entry(entry),
        None => SegmentHandle::new(entry),
    };
    let segment = async {
        match same_pages {
            Some(known) => Ok(Arc::clone(&known.segment)),
            None => objects.fetch_segment(&handle).await,
        }
    };
    let deletes = async {
        match same_deletes {
            Some(known) => Ok(known.deletes.clone()),
            None => objects.fetch_deletes(handle.entry.deletes.as_ref()).await,
        }
    };
    // Concurrently, to save a round trip.
    let (segment, deletes) = futures::future::try_join(segment, deletes).await?;
    Ok(OpenSegment { segment, deletes, handle: Arc::new(handle), dirty: false })
}
