//! Builds and publishes the repaired manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_backend::Precondition;
use cim_ipld_envelope::SealOptions;
use cim_ipld_index::Deletes;

use super::Repair;
use super::journal::RepairedTail;
use super::named::{Named, secret};
use super::segment::{LostDocuments, Rebuilt};
use crate::format::manifest::{SegmentEntry, SnapshotEntry};
use crate::format::snapshot::{SnapshotRecord, snapshot_digest};
use crate::history::manifest::ManifestVersion;
use crate::history::references::snapshot_address;
use crate::history::state::State;
use crate::history::update::{Proposal, publish_unfollowed};
use crate::maintenance::export_names::is_export_pin;
use crate::maintenance::fold;
use crate::objects::layout::Layout;
use crate::objects::page_cache::PageCache;
use crate::objects::segment_writer::Stored;
use crate::{Error, ErrorKind, Result};

/// A segment of the repaired index.
struct Kept {
    entry: SegmentEntry,
    deletes: Deletes,
    /// Whether other segments may have newer versions of its documents.
    may_be_replaced: bool,
}

impl Repair<'_> {
    pub(super) async fn publish(&mut self, manifest: ManifestVersion, named: Named, tail: RepairedTail) -> Result<()> {
        let mut stored = Stored::default();
        match self.prepare_and_publish(&manifest, &named, &tail, &mut stored).await {
            Ok(true) => {}
            Ok(false) => {
                stored.discard(self.objects).await;
                let message = "another process changed the index while it was repaired";
                let hint = "close every other process that has the index open, then repair again";
                return Err(Error::new(ErrorKind::Conflict, message).with_hint(hint));
            }
            Err(error) => {
                if error.kind() != ErrorKind::OutcomeUnknown {
                    stored.discard(self.objects).await;
                }
                return Err(error);
            }
        }
        self.objects.backend.delete(&self.objects.layout.catalog, &tail.obsolete).await?;
        Ok(())
    }

    /// Returns whether the repaired manifest was published.
    async fn prepare_and_publish(
        &mut self,
        manifest: &ManifestVersion,
        named: &Named,
        tail: &RepairedTail,
        stored: &mut Stored,
    ) -> Result<bool> {
        let mut rebuilt = BTreeMap::new();
        for (id, segment) in &named.segments {
            if segment.segment.is_none() || segment.has_lost_pages {
                rebuilt.insert(*id, self.rebuild_segment(segment, stored).await?);
            }
        }
        let mut current = manifest.clone();
        let snapshots = self.snapshots(manifest, named, &rebuilt, stored).await?;
        let (entries, records): (Vec<_>, Vec<_>) = snapshots.into_iter().unzip();
        current.manifest.snapshots = entries;
        current.manifest.segments = self.index_segments(manifest, named, &rebuilt, &records, stored).await?;
        if named.has_lost_ancestors {
            current = self.with_ancestry(&current).await?;
            self.report.changed_history = true;
        }
        let mut proposal = Proposal::based_on(&current.manifest);
        if tail.needs_fold || !named.is_whole() {
            proposal = self.fold(&current, tail, stored).await?;
            proposal.snapshots.clone_from(&current.manifest.snapshots);
        }
        Ok(publish_unfollowed(self.objects, &current, proposal).await?.is_some())
    }

    /// Returns the segments of the index, with those that were rebuilt.
    async fn index_segments(
        &mut self,
        manifest: &ManifestVersion,
        named: &Named,
        rebuilt: &BTreeMap<[u8; 16], Rebuilt>,
        snapshots: &[SnapshotRecord],
        stored: &mut Stored,
    ) -> Result<Vec<SegmentEntry>> {
        let mut segments: Vec<Kept> = Vec::new();
        let mut lost = LostDocuments::default();
        for entry in &manifest.manifest.segments {
            let segment = &named.segments[&entry.id];
            let deletes = segment.deletes_of(entry);
            let has_lost_deletes = segment.deletes.get(&secret(entry)).is_none_or(Option::is_none);
            if has_lost_deletes {
                self.report.lost_deletions += entry.deletes.as_ref().map_or(0, |deletes| u64::from(deletes.documents));
            }
            match rebuilt.get(&entry.id) {
                Some(rebuilt) => {
                    let LostDocuments { cids, unknown } = rebuilt.lost(&deletes);
                    lost.cids.extend(cids);
                    lost.unknown += unknown;
                    self.report.lost_deletions += rebuilt.lost_deletions(&deletes);
                    let may_be_replaced = has_lost_deletes || rebuilt.has_unnumbered();
                    let parts = rebuilt.entries(&deletes).into_iter();
                    segments.extend(parts.map(|(entry, deletes)| Kept { entry, deletes, may_be_replaced }));
                }
                None => segments.push(Kept { entry: entry.clone(), deletes, may_be_replaced: has_lost_deletes }),
            }
        }
        self.report.lost_unknown_documents += lost.unknown;
        let present = self.present(segments.iter().map(|kept| (&kept.entry, &kept.deletes))).await?;
        let returned = self.return_documents(lost, manifest, snapshots, &present, stored).await?;
        self.report.lost_deletions += returned.uncertain;
        self.report.lost_documents.extend(returned.missing);
        let count = returned.segments.len();
        // What a source has gives way to a newer version of the index, so it comes first.
        let of = |entry| Kept { entry, deletes: Deletes::new(), may_be_replaced: true };
        segments.splice(0..0, returned.segments.into_iter().map(of));
        for number in 0..segments.len() {
            if segments[number].may_be_replaced {
                let others = segments.iter().enumerate().filter(|(other, _)| *other != number);
                let others = self.present(others.map(|(_, kept)| (&kept.entry, &kept.deletes))).await?;
                let replaced = self.replaced_documents(&segments[number].entry, &others).await?;
                segments[number].deletes = segments[number].deletes.iter().chain(replaced.iter()).collect();
            }
        }
        for Kept { entry, deletes, .. } in &segments[..count] {
            self.report.returned_documents += u64::from(entry.documents - deletes.len());
        }
        segments.retain(|kept| kept.deletes.len() < kept.entry.documents);
        let mut entries = Vec::new();
        for Kept { entry, deletes, may_be_replaced } in segments {
            let is_kept = rebuilt_is_same(manifest, &entry) && !may_be_replaced;
            entries.push(if is_kept { entry } else { self.with_deletes(entry, &deletes, stored).await? });
        }
        Ok(entries)
    }

    /// Stores the deletes, and returns the entry that names them.
    async fn with_deletes(&self, entry: SegmentEntry, deletes: &Deletes, stored: &mut Stored) -> Result<SegmentEntry> {
        if deletes.is_empty() {
            return Ok(SegmentEntry { deletes: None, ..entry });
        }
        let deletes = self.objects.store_deletes(deletes).await?;
        stored.add(&self.objects.layout.metadata, deletes.chunked().keys()?);
        Ok(SegmentEntry { deletes: Some(deletes), ..entry })
    }

    /// Returns the snapshots that are left. The record of one with rebuilt segments is written
    /// again.
    async fn snapshots(
        &mut self,
        manifest: &ManifestVersion,
        named: &Named,
        rebuilt: &BTreeMap<[u8; 16], Rebuilt>,
        stored: &mut Stored,
    ) -> Result<Vec<(SnapshotEntry, SnapshotRecord)>> {
        let mut snapshots = Vec::new();
        for (entry, record) in &named.snapshots {
            let is_whole = record.segments.iter().all(|segment| {
                let named = &named.segments[&segment.id];
                !rebuilt.contains_key(&segment.id) && named.deletes.get(&secret(segment)).is_some_and(Option::is_some)
            });
            if is_whole {
                snapshots.push((entry.clone(), record.clone()));
                continue;
            }
            // This snapshot only served an export, which can no longer be completed.
            if is_export_pin(&record.name) {
                continue;
            }
            let (mut segments, mut is_incomplete) = (Vec::new(), false);
            for segment in &record.segments {
                let damaged = &named.segments[&segment.id];
                let deletes = damaged.deletes_of(segment);
                is_incomplete |= damaged.deletes.get(&secret(segment)).is_none_or(Option::is_none);
                let Some(rebuilt) = rebuilt.get(&segment.id) else {
                    let kept = damaged.deletes.get(&secret(segment)).is_some_and(Option::is_some);
                    segments.push(if kept {
                        segment.clone()
                    } else {
                        SegmentEntry { deletes: None, ..segment.clone() }
                    });
                    continue;
                };
                let lost = rebuilt.lost(&deletes);
                is_incomplete |= lost.unknown > 0 || !lost.cids.is_empty() || rebuilt.lost_deletions(&deletes) > 0;
                for (part, deletes) in rebuilt.entries(&deletes) {
                    segments.push(self.with_deletes(part, &deletes, stored).await?);
                }
            }
            if is_incomplete {
                self.report.incomplete_snapshots.push(record.name.clone());
            }
            let documents = segments.iter().map(SegmentEntry::live_documents).sum();
            let record = SnapshotRecord { segments, documents, ..record.clone() };
            snapshots.push((self.store_snapshot(entry, &record, stored).await?, record));
        }
        debug_assert!(snapshots.len() <= manifest.manifest.snapshots.len());
        Ok(snapshots)
    }

    async fn store_snapshot(
        &self,
        entry: &SnapshotEntry,
        record: &SnapshotRecord,
        stored: &mut Stored,
    ) -> Result<SnapshotEntry> {
        let objects = self.objects;
        let bytes = record.to_bytes();
        let entry = SnapshotEntry {
            hidden_name: entry.hidden_name.clone(),
            id: objects.environment.random(),
            digest: snapshot_digest(&bytes),
        };
        let key = Layout::snapshot(&entry)?;
        let sealed = objects.seal(&snapshot_address(objects, &key), &bytes, &SealOptions::default())?;
        stored.add(&objects.layout.catalog, vec![key.clone()]);
        objects.write(&objects.layout.catalog, &key, sealed, Precondition::Absent).await?;
        Ok(entry)
    }

    /// Folds what is left of the journal, and returns the proposal at the end of the order.
    async fn fold(&self, current: &ManifestVersion, tail: &RepairedTail, stored: &mut Stored) -> Result<Proposal> {
        let objects = self.objects;
        let cache = PageCache::new(&self.settings.budget());
        let mut state = State::open_at(objects, current.clone(), tail.order.clone(), self.analyzer).await?;
        for changes in &tail.changes {
            let changes = state.locate(objects, &cache, changes.clone()).await?;
            state.apply(changes)?;
        }
        let input = Arc::new(state.into_fold_input());
        // Kept apart from `stored`, because a fold without live documents discards everything in
        // the `Stored` that it is given.
        let mut own = Stored::default();
        let prepared = fold::prepare(objects, &self.text_options(), &current.manifest, &input, &mut own).await;
        stored.append(own);
        Ok(prepared?.proposal)
    }
}

/// Returns whether the manifest names exactly this entry.
fn rebuilt_is_same(manifest: &ManifestVersion, entry: &SegmentEntry) -> bool {
    manifest.manifest.segments.contains(entry)
}
