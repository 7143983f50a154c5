//! Reads every object that the manifest, a snapshot or the journal names, and checks the index for
//! consistency. A problem never ends the check.

mod journal;
mod report;
mod segments;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cim_ipld_backend::{ErrorKind as StoreErrorKind, KeyPrefix, Revision};
use cim_ipld_envelope::{DataKeyId, Envelope};
use cim_ipld_index::Analyzer;
use futures::StreamExt;

use super::Maintenance;
use crate::format::ancestry::FAN_OUT;
use crate::format::manifest::SegmentEntry;
use crate::history::manifest::{self, ManifestVersion, read_manifest};
use crate::history::progress::Seen;
use crate::history::reachable::Reachable;
use crate::history::references::References;
use crate::objects::Objects;
use crate::{Error, ErrorKind, Result};
use report::{Dependents, Loss};

pub use report::{Condition, ObjectCount, Problem, VerifyReport};

/// A verification of the objects of an index.
pub(crate) struct Verifier<'a> {
    pub(crate) objects: &'a Arc<Objects>,
    pub(crate) analyzer: &'a Analyzer,
    /// The history that this process has applied, if it follows the catalog.
    pub(crate) seen: Option<Seen>,
}

impl Maintenance {
    pub(crate) async fn verify(&self) -> Result<VerifyReport> {
        self.verify_with_keys().await.map(|(report, _)| report)
    }

    /// Verifies the index, and returns the data keys of the objects that were opened.
    pub(crate) async fn verify_with_keys(&self) -> Result<(VerifyReport, HashSet<DataKeyId>)> {
        loop {
            self.shared.check()?;
            let mut report = VerifyReport::default();
            let known = Arc::clone(&self.shared.view().manifest);
            let manifest = self.check_root_and_manifest(&known, &mut report).await?;
            let (seen, ignored) = self.shared.progress.read(|progress| (progress.seen, progress.ignored));
            report.ignored = ignored;
            let objects = Arc::new(self.shared.objects.with_final_root());
            let verifier = Verifier { objects: &objects, analyzer: &self.shared.analyzer, seen: Some(seen) };
            verifier.verify_as_of(manifest.clone(), &mut report).await?;
            report.documents = self.shared.view().read_view.document_count();
            // Fails if another process has changed the key in the meantime.
            self.shared.check()?;
            // An object that a newer manifest no longer names is not lost, nor is one that a newer
            // root opens. In these cases, check again.
            let is_same_root = self.shared.objects.root().record == objects.root().record;
            let is_current =
                read_manifest(&self.shared.objects).await.is_ok_and(|newest| newest.digest == manifest.digest)
                    || self.shared.view().manifest.digest == known.digest;
            if report.is_sound() || (is_same_root && is_current) {
                let mut keys = objects.opened_under();
                keys.extend(Envelope::key_of(&manifest.sealed)?);
                return Ok((report, keys));
            }
        }
    }

    /// Compares the root and the manifest in the store with those known to this process. Returns
    /// the newer of the two manifests.
    async fn check_root_and_manifest(
        &self,
        known: &ManifestVersion,
        report: &mut VerifyReport,
    ) -> Result<ManifestVersion> {
        let objects = &self.shared.objects;
        let layout = &objects.layout;
        let all = Dependents::index();
        let root = objects.backend.get(&layout.catalog, &layout.root).await?;
        if root.is_none_or(|entry| entry.value != objects.root().record) {
            let message = "the root record in the store differs from the one that this process opened";
            let error = Error::new(ErrorKind::Damaged, message).about(&layout.catalog, layout.root.as_str());
            report.note("the root", &all, Loss::Nothing, error)?;
        }
        match read_manifest(objects).await {
            Ok(there) if there.generation() >= known.generation() => return Ok(there),
            Ok(there) => {
                let (found, newest) = (there.generation(), known.generation());
                let message =
                    format!("the manifest in the store has generation {found}, but generation {newest} was published");
                let error = Error::new(ErrorKind::Damaged, message).about(&layout.catalog, layout.manifest.as_str());
                report.note("the manifest", &all, Loss::Nothing, error)?;
            }
            Err(error) => report.note("the manifest", &all, Loss::Nothing, error)?,
        }
        Ok(known.clone())
    }
}

impl Verifier<'_> {
    pub(crate) async fn verify_as_of(&self, manifest: ManifestVersion, report: &mut VerifyReport) -> Result<()> {
        let objects = self.objects;
        self.verify_buckets(report).await?;
        let references = References::of(objects, manifest).await;
        let manifest = &references.manifest;
        report.rotation_unfinished = manifest.manifest.epoch < objects.root().envelope.epoch();
        report.documents = manifest.manifest.segments.iter().map(SegmentEntry::live_documents).sum();
        for (_, read) in &references.snapshots {
            report.snapshots += 1;
            if let Err(error) = read {
                // Its name is in the record that cannot be read.
                report.note("a snapshot", &Dependents::default(), Loss::Writes, error.clone())?;
            }
        }
        for entries in segments_by_id(&references).values() {
            report.segments += 1;
            self.verify_segment(&references, entries, report).await?;
        }
        self.verify_ancestry(manifest, report).await?;
        self.verify_journal(manifest, report).await?;
        self.count_unnamed(&references, report).await
    }

    async fn verify_buckets(&self, report: &mut VerifyReport) -> Result<()> {
        let layout = &self.objects.layout;
        for bucket in layout.buckets() {
            match self.objects.backend.check_bucket(bucket).await {
                Err(error) if error.kind() == StoreErrorKind::BucketMissing => {
                    let loss = if *bucket == layout.metadata { Loss::Writes } else { Loss::Nothing };
                    let what = format!("bucket {bucket}");
                    report.note(&what, &Dependents::index(), loss, error.into())?;
                }
                checked => checked?,
            }
        }
        Ok(())
    }

    /// Reads every full node of the ancestry once. Each is on the path to its first child.
    async fn verify_ancestry(&self, manifest: &ManifestVersion, report: &mut VerifyReport) -> Result<()> {
        let mut generation = 1;
        while generation < manifest.generation() {
            if let Err(error) = manifest.ancestor(self.objects, generation).await {
                report.note("the ancestry of the manifest", &Dependents::index(), Loss::Nothing, error)?;
            }
            generation += FAN_OUT as u64;
        }
        Ok(())
    }

    async fn count_unnamed(&self, references: &References, report: &mut VerifyReport) -> Result<()> {
        let objects = self.objects;
        let reachable = Reachable::of(objects, references).await?;
        for bucket in objects.layout.buckets() {
            let prefix = if *bucket == objects.layout.catalog { &objects.layout.snapshots } else { &KeyPrefix::all() };
            let mut entries = objects.backend.scan(bucket, prefix, Revision::ZERO);
            while let Some(entry) = entries.next().await {
                match entry {
                    Err(error) if error.kind() == StoreErrorKind::BucketMissing => break,
                    Err(error) => return Err(error.into()),
                    Ok(entry) if reachable.contains(bucket, &entry.key) => {}
                    Ok(entry) => report.unnamed.add(entry.entry.value.len()),
                }
            }
        }
        Ok(())
    }

    /// Reads the blocks of older digests that the window names.
    async fn verify_old_digests(&self, order: &crate::history::order::Order, report: &mut VerifyReport) -> Result<()> {
        for block in order.blocks() {
            if let Err(error) = manifest::fetch_block(self.objects, block).await {
                report.note("the older digests of the order", &Dependents::index(), Loss::Nothing, error)?;
            }
        }
        Ok(())
    }
}

/// Returns the entries of each segment that the manifest and the snapshots name. A segment may be
/// named several times, with different deletes.
fn segments_by_id(references: &References) -> BTreeMap<[u8; 16], Vec<&SegmentEntry>> {
    let records = references.snapshots.iter().filter_map(|(_, read)| read.as_ref().ok());
    let named = std::iter::once(&references.manifest.manifest.segments).chain(records.map(|record| &record.segments));
    let mut segments: BTreeMap<[u8; 16], Vec<&SegmentEntry>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for entry in named.flatten() {
        if seen.insert((entry.id, entry.deletes.as_ref().map(|deletes| deletes.secret))) {
            segments.entry(entry.id).or_default().push(entry);
        }
    }
    segments
}
