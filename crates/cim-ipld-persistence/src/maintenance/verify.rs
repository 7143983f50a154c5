//! Reads every object that the manifest, a snapshot or the journal names, and checks the index for
//! consistency.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use cim_ipld_backend::{Key, Revision};
use cim_ipld_index::{Analyzer, Deletes, Progress, Segment, Verification};
use futures::StreamExt;

use super::Maintenance;
use crate::format::manifest::SegmentEntry;
use crate::history::manifest::{self, ManifestVersion, check_digest, read_manifest};
use crate::history::order::{Ignored, OpenedRecord, Order, Verdict};
use crate::history::progress::IgnoredEntries;
use crate::history::records;
use crate::history::references::References;
use crate::objects::layout::Layout;
use crate::objects::pass::Pass;
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The result of [`Engine::verify`](crate::Engine::verify): what was checked and what is wrong.
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// # let engine = builder.create(Protection::Plaintext).await?;
/// let report = engine.verify().await?;
/// for problem in &report.problems {
///     eprintln!("{problem}");
/// }
/// assert!(report.is_sound());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The number of segments named by the manifest or a snapshot.
    pub segments: u64,
    /// The number of their pages.
    pub pages: u64,
    /// The size of those pages in bytes, decrypted.
    pub bytes: u64,
    /// The number of journal records after the watermark.
    pub records: u64,
    /// The number of snapshots.
    pub snapshots: u64,
    /// The number of live documents in the index.
    pub documents: u64,
    /// The catalog entries that are not part of the index, found in the store now or seen by this
    /// process before. They change nothing.
    pub ignored: IgnoredEntries,
    /// Whether a key rotation was interrupted before the old keys were retired.
    /// [`finish_rotation`](crate::Engine::finish_rotation) completes it.
    pub rotation_unfinished: bool,
    /// All problems found. Empty if the index is sound.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// Returns whether no problem was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A problem found by [`Engine::verify`](crate::Engine::verify).
///
/// ```
/// use cim_ipld_persistence::{ErrorKind, VerifyReport};
///
/// fn is_lossless(report: &VerifyReport) -> bool {
///     report.problems.iter().all(|problem| problem.kind != ErrorKind::Lost)
/// }
/// assert!(is_lossless(&VerifyReport::default()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of the problem, such as [`Damaged`](ErrorKind::Damaged) or
    /// [`Lost`](ErrorKind::Lost).
    pub kind: ErrorKind,
    /// A description of the affected object and of the problem.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Returns the index and the snapshots that name this segment with these deletes, and are therefore
/// affected by its problems.
fn owners(references: &References, entry: &SegmentEntry) -> String {
    let is_index = references.manifest.manifest.segments.contains(entry);
    let records = references.snapshots.iter().filter_map(|(_, read)| read.as_ref().ok());
    let snapshots = records.filter(|record| record.segments.contains(entry)).map(|record| record.name.as_str());
    let mut snapshots: Vec<String> = snapshots.map(|name| format!("snapshot {name:?}")).collect();
    if is_index {
        snapshots.insert(0, "the index".to_owned());
    } else if let Some(last) = snapshots.last_mut() {
        last.push_str(", not of the index");
    }
    snapshots.join(", ")
}

impl Maintenance {
    pub(crate) async fn verify(&self) -> Result<VerifyReport> {
        loop {
            self.shared.check()?;
            let mut report = VerifyReport::default();
            let known = Arc::clone(&self.shared.view().manifest);
            let manifest = self.check_root_and_manifest(&known, &mut report).await?;
            self.verify_as_of(manifest.clone(), &mut report).await?;
            // An object that a newer manifest no longer names is not lost. In that case, check
            // again what the newer manifest names.
            let is_current = report.is_sound()
                || read_manifest(&self.shared.objects).await.is_ok_and(|newest| newest.digest == manifest.digest)
                || self.shared.view().manifest.digest == known.digest;
            if is_current {
                return Ok(report);
            }
        }
    }

    /// Checks the entries of the root and the manifest, and returns the newest manifest that can be
    /// trusted.
    async fn check_root_and_manifest(
        &self,
        known: &ManifestVersion,
        report: &mut VerifyReport,
    ) -> Result<ManifestVersion> {
        let objects = &self.shared.objects;
        let root = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?;
        if root.is_none_or(|entry| entry.value != objects.root().record) {
            let message = "the root record in the store differs from the one that this process opened";
            report.note("the root", Err(Error::new(ErrorKind::Damaged, message)))?;
        }
        match read_manifest(objects).await {
            Ok(there) if there.generation() >= known.generation() => return Ok(there),
            Ok(there) => {
                let (found, newest) = (there.generation(), known.generation());
                let message =
                    format!("the manifest in the store has generation {found}, but generation {newest} was published");
                report.note("the manifest", Err(Error::new(ErrorKind::Damaged, message)))?;
            }
            Err(error) => report.note("the manifest", Err(error))?,
        }
        Ok(known.clone())
    }

    async fn verify_as_of(&self, manifest: ManifestVersion, report: &mut VerifyReport) -> Result<()> {
        let objects = &self.shared.objects;
        let references = References::of(objects, manifest).await;
        let manifest = &references.manifest;
        report.rotation_unfinished = self.shared.is_rotation_unfinished(manifest);
        for (_, read) in &references.snapshots {
            report.snapshots += 1;
            report.note("a snapshot", read.as_ref().map(drop).map_err(Error::clone))?;
        }
        // A segment may be named several times, with different deletes.
        let records = references.snapshots.iter().filter_map(|(_, read)| read.as_ref().ok());
        let named = records.map(|record| &record.segments).chain([&manifest.manifest.segments]);
        let mut segments: BTreeMap<[u8; 16], Vec<&SegmentEntry>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for entry in named.flatten() {
            if seen.insert((entry.id, entry.deletes.as_ref().map(|deletes| deletes.secret))) {
                segments.entry(entry.id).or_default().push(entry);
            }
        }
        for entries in segments.values() {
            report.segments += 1;
            for entry in entries {
                let what = format!("segment {} of {}", hex(&entry.id), owners(&references, entry));
                for checked in self.verify_one(entry, report).await? {
                    report.note(&what, checked)?;
                }
            }
        }
        let checked = self.verify_ancestry(manifest).await;
        report.note("the ancestry of the manifest", checked)?;
        for checked in self.verify_old_digests(manifest).await {
            report.note("the older digests of the order", checked)?;
        }
        let checked = self.verify_journal(manifest, report).await;
        report.note("the journal", checked)?;
        report.documents = self.shared.view().read_view.document_count();
        Ok(())
    }

    /// Reads every node of the ancestry by looking up one child of each node of the lowest level:
    /// the lookup reads all nodes on the path to it.
    async fn verify_ancestry(&self, manifest: &ManifestVersion) -> Result<()> {
        let node = crate::format::ancestry::FAN_OUT as u64;
        let mut generation = 1;
        while generation < manifest.generation() {
            manifest.ancestor(&self.shared.objects, generation).await?;
            generation += node;
        }
        Ok(())
    }

    /// Reads the digests of older positions. They are needed to check a pin that has not been used
    /// for a long time.
    async fn verify_old_digests(&self, manifest: &ManifestVersion) -> Vec<Result<()>> {
        let objects = &self.shared.objects;
        // The blocks are named by the window. If the window cannot be read, the check of the
        // journal reports that.
        let Ok(order) = manifest.order(objects).await else { return Vec::new() };
        let blocks = futures::stream::iter(order.blocks());
        let checked = blocks.then(|block| async { manifest::fetch_block(objects, block).await.map(drop) });
        checked.collect().await
    }

    /// Checks a segment for consistency, and reads all of its pages even if that fails, so that
    /// every problem is found in one run.
    async fn verify_one(&self, entry: &SegmentEntry, report: &mut VerifyReport) -> Result<Vec<Result<()>>> {
        let shared = &self.shared;
        let handle = Arc::new(SegmentHandle::new(entry.clone()));
        let digests = shared.objects.fetch_digests(&handle).await.map(drop);
        let opened = futures::future::try_join(
            shared.objects.fetch_segment(&handle),
            shared.objects.fetch_deletes(handle.entry.deletes.as_ref()),
        );
        let opened = opened.await;
        let pass = Pass::new(&shared.objects, [handle]).await?;
        let documents = u64::from(entry.documents);
        let analyzer = shared.analyzer.clone();
        let check = move || {
            let checked = opened.and_then(|(segment, deletes)| check(&pass, segment, deletes, documents, analyzer));
            let rest = pass.read_rest().into_iter().map(Err);
            ([digests, checked].into_iter().chain(rest).collect(), pass.pages_and_bytes_read())
        };
        // On a blocking thread, because every document is analyzed again.
        let (found, (pages, bytes)): (Vec<Result<()>>, _) = if shared.objects.environment.is_single_threaded() {
            check()
        } else {
            let cut_off = |_| Error::new(ErrorKind::Closed, "the verification of a segment was aborted");
            tokio::task::spawn_blocking(check).await.map_err(cut_off)?
        };
        report.pages += pages;
        report.bytes += bytes;
        Ok(found)
    }

    /// Applies the whole journal to the order as of the manifest, as an opener would, and compares
    /// the result with the order of this process.
    async fn verify_journal(&self, manifest: &ManifestVersion, report: &mut VerifyReport) -> Result<()> {
        let objects = &self.shared.objects;
        let known = self.shared.progress.read(|progress| progress.seen);
        report.ignored = self.shared.progress.read(|progress| progress.ignored);
        let mut order = manifest.order(objects).await?;
        let at_manifest = order.clone();
        let mut junk = Vec::new();
        let mut entries = objects.backend.scan(&objects.layout.catalog, &objects.layout.journal, Revision::ZERO);
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            let revision = entry.entry.revision;
            let opened = match records::open(objects, &entry) {
                Err(error) if error.kind() == ErrorKind::UnsupportedVersion => return Err(error),
                Err(_) => {
                    junk.push((entry.key, revision));
                    continue;
                }
                Ok(opened) => opened,
            };
            match order.judge(&opened) {
                // Records that the manifest already covers stay in the journal for one more fold.
                Verdict::Ignored(Ignored::Duplicate | Ignored::Stale) => {}
                Verdict::Ignored(reason) => report.ignored.count(reason),
                Verdict::Ahead => {
                    let message = format!("the record at {revision} follows records that are missing");
                    return Err(Error::new(ErrorKind::Lost, message));
                }
                Verdict::Next => self.verify_record(manifest, &mut order, &opened, revision).await?,
            }
            report.records = order.position() - manifest.position();
        }
        for (key, revision) in junk.into_iter().filter(|(key, _)| may_be_needed(&at_manifest, key)) {
            let message = format!(
                "{key} at {revision} cannot be decrypted: either a record was damaged and its writes are lost, or \
                 someone without a key stored the entry"
            );
            report.note("the journal", Err(Error::new(ErrorKind::Damaged, message)))?;
        }
        if order.position() < known.position {
            let missing = known.position - order.position();
            let message = format!("{missing} records that this process applied are missing");
            return Err(Error::new(ErrorKind::Lost, message));
        }
        check_digest(known.position, manifest::digest_at(objects, &order, known.position).await?, known.order)
    }

    async fn verify_record(
        &self,
        manifest: &ManifestVersion,
        order: &mut Order,
        opened: &OpenedRecord,
        revision: Revision,
    ) -> Result<()> {
        let objects = &self.shared.objects;
        let attested = match manifest.attested(objects, opened.record.generation).await? {
            Some(attested) => order.attests(&opened.record, attested),
            // It attests a newer manifest, which the next round of the verification reads.
            None => opened.record.generation > manifest.generation(),
        };
        if !attested {
            let message = format!("the record at {revision} attests a different history");
            return Err(Error::new(ErrorKind::Forked, message));
        }
        // A record that no process can read is not part of the order.
        if records::changes(objects, &opened.record.body).await?.is_some() {
            order.accept(opened);
        }
        Ok(())
    }
}

/// Returns whether `key` belongs to a record that the manifest does not cover.
fn may_be_needed(at_manifest: &Order, key: &Key) -> bool {
    Layout::parse_record_key(key).is_some_and(|(writer, sequence)| !at_manifest.has_passed(writer, sequence))
}

fn check(pass: &Pass, segment: Arc<Segment>, deletes: Deletes, documents: u64, analyzer: Analyzer) -> Result<()> {
    let mut verification = Verification::new(segment, deletes, analyzer)?;
    let Progress::Ready(checked) = pass.outcome(verification.advance(pass))? else {
        return Err(Error::new(ErrorKind::Damaged, "the segment requests pages that it was already given"));
    };
    if checked.documents != documents {
        let message = format!("the segment has {} documents, but the manifest lists {documents}", checked.documents);
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    Ok(())
}

impl VerifyReport {
    /// Adds an error that is a problem of the index to the report, unless it is listed already.
    /// Returns any other error, because it prevents the check.
    fn note(&mut self, what: &str, checked: Result<()>) -> Result<()> {
        match checked {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Damaged | ErrorKind::Lost | ErrorKind::Forked | ErrorKind::UnsupportedVersion
                ) =>
            {
                let problem = Problem { kind: error.kind(), message: format!("{what}: {error}") };
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                Ok(())
            }
            other => other,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
