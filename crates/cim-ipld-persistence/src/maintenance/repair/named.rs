//! Reads every object that the manifest and its snapshots name, and puts back what sources have.

use std::collections::{BTreeMap, HashMap, btree_map};
use std::sync::Arc;

use cim_ipld_index::{Deletes, PageClass, PageId, Segment};
use futures::StreamExt;
use futures::stream;

use super::Repair;
use crate::Result;
use crate::format::ancestry::FAN_OUT;
use crate::format::manifest::{SegmentEntry, SnapshotEntry};
use crate::format::name_secret::NameSecret;
use crate::format::snapshot::SnapshotRecord;
use crate::history::manifest::{self, ManifestVersion, is_missing_or_invalid};
use crate::history::order::Order;
use crate::history::references::read_snapshot;
use crate::history::tail::order_without_window;
use crate::objects::segments::SegmentHandle;

/// What is left of the objects that a manifest names.
pub(super) struct Named {
    /// The order at the watermark.
    pub(super) order: Order,
    /// Whether the window of the order is lost, and with it the digests and writers before the
    /// watermark.
    pub(super) has_lost_window: bool,
    has_lost_blocks: bool,
    /// Whether a node of the ancestry is lost.
    pub(super) has_lost_ancestors: bool,
    /// The snapshots whose records are left.
    pub(super) snapshots: Vec<(SnapshotEntry, SnapshotRecord)>,
    has_lost_snapshots: bool,
    pub(super) segments: BTreeMap<[u8; 16], NamedSegment>,
}

/// A segment, and what is left of it.
pub(super) struct NamedSegment {
    /// The segment, from the first entry that names it. Its deletes are not used.
    pub(super) handle: Arc<SegmentHandle>,
    /// The deletes of each entry, by their secret; `None` if they are lost.
    pub(super) deletes: HashMap<Option<NameSecret>, Option<Deletes>>,
    pub(super) segment: Option<Arc<Segment>>,
    pub(super) has_lost_pages: bool,
}

impl NamedSegment {
    pub(super) fn is_whole(&self) -> bool {
        self.segment.is_some() && !self.has_lost_pages && self.deletes.values().all(Option::is_some)
    }

    /// Returns the deletes of an entry, which are empty if they are lost.
    pub(super) fn deletes_of(&self, entry: &SegmentEntry) -> Deletes {
        self.deletes.get(&secret(entry)).cloned().flatten().unwrap_or_default()
    }
}

pub(super) fn secret(entry: &SegmentEntry) -> Option<NameSecret> {
    entry.deletes.as_ref().map(|deletes| deletes.secret)
}

impl Named {
    pub(super) fn is_whole(&self) -> bool {
        !self.has_lost_window
            && !self.has_lost_blocks
            && !self.has_lost_ancestors
            && !self.has_lost_snapshots
            && self.segments.values().all(NamedSegment::is_whole)
    }
}

impl Repair<'_> {
    pub(super) async fn restore_named(&mut self, manifest: &ManifestVersion) -> Result<Named> {
        let objects = self.objects;
        let snapshots = self.restore_snapshots(manifest).await?;
        let order = self.read(async || manifest.order(objects).await).await?;
        let has_lost_window = order.is_err();
        let mut order = match order {
            Ok(order) => order,
            Err(_) => order_without_window(objects.rules, &manifest.manifest.watermark, manifest.manifest.epoch)?,
        };
        let mut lost_blocks = Vec::new();
        for block in order.blocks().to_vec() {
            if self.read(async || manifest::fetch_block(objects, &block).await).await?.is_err() {
                lost_blocks.push(block.index);
            }
        }
        order.retain_blocks(|block| !lost_blocks.contains(&block.index));
        let mut has_lost_ancestors = false;
        let mut generation = 1;
        while generation < manifest.generation() {
            // A node of an abandoned history is as good as lost.
            let found = self.read(async || manifest.ancestor(objects, generation).await).await;
            has_lost_ancestors |= match found {
                Err(error) if error.kind() == crate::ErrorKind::Forked => true,
                found => found?.is_err(),
            };
            generation += FAN_OUT as u64;
        }
        let mut segments = BTreeMap::new();
        let records = snapshots.iter().map(|(_, record)| &record.segments);
        let entries: Vec<SegmentEntry> =
            std::iter::once(&manifest.manifest.segments).chain(records).flatten().cloned().collect();
        for entry in &entries {
            if let btree_map::Entry::Vacant(vacant) = segments.entry(entry.id) {
                vacant.insert(self.restore_segment(entry).await?);
            }
            let deletes = self.read(async || objects.fetch_deletes(entry.deletes.as_ref()).await).await?;
            let deletes = deletes.ok().filter(|deletes| deletes.iter().all(|document| document.0 < entry.documents));
            segments.entry(entry.id).and_modify(|named| {
                named.deletes.insert(secret(entry), deletes);
            });
        }
        Ok(Named {
            order,
            has_lost_window,
            has_lost_blocks: !lost_blocks.is_empty(),
            has_lost_ancestors,
            has_lost_snapshots: snapshots.len() < manifest.manifest.snapshots.len(),
            snapshots,
            segments,
        })
    }

    async fn restore_snapshots(&mut self, manifest: &ManifestVersion) -> Result<Vec<(SnapshotEntry, SnapshotRecord)>> {
        let objects = self.objects;
        let mut snapshots = Vec::new();
        for entry in &manifest.manifest.snapshots {
            match self.read(async || read_snapshot(objects, entry).await).await? {
                Ok(record) => snapshots.push((entry.clone(), record)),
                Err(_) => self.report.lost_snapshots += 1,
            }
        }
        Ok(snapshots)
    }

    async fn restore_segment(&mut self, entry: &SegmentEntry) -> Result<NamedSegment> {
        let objects = self.objects;
        let mut handle = Arc::new(SegmentHandle::new(entry.clone()));
        let digests = self.read(async || objects.fetch_digests(&handle).await).await?;
        let mut has_lost_pages = false;
        if digests.is_err() {
            // Without the digests, the seal is the only proof that a page belongs to the segment.
            handle = Arc::new(SegmentHandle::without_digests(entry.clone()));
            has_lost_pages = true;
        }
        for page in self.unreadable_pages(&handle).await? {
            has_lost_pages |= self.read(async || objects.fetch_page(&handle, page).await).await?.is_err();
        }
        let segment = objects.fetch_segment(&handle).await;
        let segment = match segment {
            Err(error) if is_missing_or_invalid(&error) => None,
            segment => Some(segment?),
        };
        Ok(NamedSegment { handle, deletes: HashMap::new(), segment, has_lost_pages })
    }

    /// Reads all pages of a segment, and returns those that cannot be read.
    async fn unreadable_pages(&self, handle: &SegmentHandle) -> Result<Vec<PageId>> {
        let pages: Vec<PageId> = handle.pages().collect::<Result<_>>()?;
        let mut fetched = stream::iter(pages)
            .map(|page| async move { (page, self.objects.fetch_page(handle, page).await) })
            .buffer_unordered(self.objects.parallel_transfers);
        let mut unreadable = Vec::new();
        while let Some((page, fetched)) = fetched.next().await {
            match fetched {
                Err(error) if is_missing_or_invalid(&error) => unreadable.push(page),
                fetched => drop(fetched?),
            }
        }
        unreadable.sort_unstable_by_key(|page| (page.class != PageClass::Header, page.class.code(), page.ordinal));
        Ok(unreadable)
    }
}
