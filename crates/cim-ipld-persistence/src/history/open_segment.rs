//! The segments that a state has open.

use std::sync::Arc;

use cim_ipld_index::{Deletes, Segment};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::manifest::ManifestVersion;
use crate::objects::Objects;
use crate::objects::segments::SegmentHandle;
use crate::{Error, Result};

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
        .map(|entry| async move {
            let open = known.iter().find(|open| open.handle.entry.id == entry.id);
            let (handle, segment) = match open {
                Some(open) if open.handle.entry.digests == entry.digests => {
                    (Arc::new(open.handle.with_entry(entry)), Arc::clone(&open.segment))
                }
                _ => {
                    let handle = Arc::new(SegmentHandle::new(entry));
                    let segment = objects.fetch_segment(&handle).await?;
                    (handle, segment)
                }
            };
            let deletes = objects.fetch_deletes(handle.entry.deletes.as_ref()).await?;
            Ok::<_, Error>(OpenSegment { handle, segment, deletes, dirty: false })
        })
        .buffered(objects.parallel_transfers)
        .try_collect()
        .await
}
