//! Reads every object that the manifest, a snapshot or the journal names, and checks what the index claims of itself.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use cim_ipld_backend::Revision;
use cim_ipld_index::{Analyzer, Deletes, Progress, Segment, Verification};
use futures::StreamExt;

use crate::engine::Engine;
use crate::format::manifest::SegmentEntry;
use crate::pass::Pass;
use crate::segments::SegmentHandle;
use crate::state::ManifestVersion;
use crate::{Error, ErrorKind, Result, catalog, snapshots};

/// What was checked, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments named by the manifest or a snapshot.
    pub segments: u64,
    /// Their pages.
    pub pages: u64,
    /// The bytes of those pages, opened.
    pub bytes: u64,
    /// Journal records after the watermark.
    pub records: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Live documents of the index.
    pub documents: u64,
    /// Everything found wrong; empty means that nothing is.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// Tells whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What kind it is: `Damaged`, `Lost`, …
    pub kind: ErrorKind,
    /// What is affected and how.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Engine {
    /// Reads and checks everything that the index consists of, from the store and not from the cache.
    ///
    /// # Errors
    /// Only what keeps it from checking: `Unavailable`, `Denied`, `KeyRotated`. What is wrong with the index is in the
    /// report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        loop {
            self.shared.check()?;
            let manifest = catalog::read_manifest(&self.shared.objects).await?;
            let report = self.verify_as_of(&manifest).await?;
            // What a newer manifest let go of is not lost: look again at what it names.
            let newest = catalog::read_manifest(&self.shared.objects).await?;
            if report.is_sound() || newest.revision == manifest.revision {
                return Ok(report);
            }
        }
    }

    async fn verify_as_of(&self, manifest: &ManifestVersion) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let objects = &self.shared.objects;
        let mut records = Vec::new();
        for entry in &manifest.manifest.snapshots {
            report.snapshots += 1;
            let read = snapshots::read(objects, entry).await.map(|record| records.push(record));
            report.note("a snapshot", read)?;
        }
        // A segment may be named several times, with other deletes each time.
        let named = records.iter().map(|record| &record.segments).chain([&manifest.manifest.segments]);
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
                let what = format!("segment {}", hex(&entry.id));
                for checked in self.verify_one(entry, &mut report).await? {
                    report.note(&what, checked)?;
                }
            }
        }
        let checked = self.verify_journal(manifest.watermark(), &mut report).await;
        report.note("the journal", checked)?;
        report.documents = self.shared.view().snapshot.document_count();
        Ok(report)
    }

    /// Checks a segment against itself, and reads every page of it even when that fails: all that is wrong is found at
    /// once.
    async fn verify_one(&self, entry: &SegmentEntry, report: &mut VerifyReport) -> Result<Vec<Result<()>>> {
        let shared = &self.shared;
        let handle = Arc::new(SegmentHandle::new(entry.clone()));
        let opened = shared.objects.fetch_segment(&handle, shared.settings.parallel_transfers).await;
        let pass = Pass::new(shared, [handle]);
        let documents = u64::from(entry.documents);
        // Off the runtime's own threads: every document is analysed again.
        let checked = tokio::task::spawn_blocking(move || {
            let checked = opened.and_then(|(segment, deletes)| check(&pass, segment, deletes, documents));
            let rest = pass.read_rest().into_iter().map(Err);
            ([checked].into_iter().chain(rest).collect(), pass.read())
        });
        let cut_off = |_| Error::new(ErrorKind::Closed, "the verification of a segment was cut off");
        let (found, (pages, bytes)): (Vec<Result<()>>, _) = checked.await.map_err(cut_off)?;
        report.pages += pages;
        report.bytes += bytes;
        Ok(found)
    }

    async fn verify_journal(&self, watermark: Revision, report: &mut VerifyReport) -> Result<()> {
        let objects = &self.shared.objects;
        let mut entries = objects.backend.scan(&objects.layout.catalog, &objects.layout.journal, watermark);
        let mut known = HashSet::new();
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            let revision = entry.entry.revision.number();
            let record = catalog::open_record(objects, entry)?;
            for earlier in [record.previous, record.seen] {
                if earlier > watermark.number() && !known.contains(&earlier) {
                    let message = format!("the record at r{revision} follows one at r{earlier} that is gone");
                    return Err(Error::new(ErrorKind::Lost, message));
                }
            }
            catalog::operations(objects, record.body).await?;
            known.insert(revision);
            report.records += 1;
        }
        Ok(())
    }
}

fn check(pass: &Pass, segment: Arc<Segment>, deletes: Deletes, documents: u64) -> Result<()> {
    let mut verification = Verification::new(segment, deletes, Analyzer::default())?;
    let Progress::Ready(checked) = pass.outcome(verification.advance(pass))? else {
        return Err(Error::new(ErrorKind::Damaged, "it asks for pages that it was given"));
    };
    if checked.documents != documents {
        let message = format!("it has {} documents, the manifest says {documents}", checked.documents);
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    Ok(())
}

impl VerifyReport {
    /// Keeps what is wrong with the index, each problem once; passes on what kept it from being checked.
    fn note(&mut self, what: &str, checked: Result<()>) -> Result<()> {
        match checked {
            Err(error)
                if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Lost | ErrorKind::UnsupportedVersion) =>
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
        write!(text, "{byte:02x}").expect("a string takes every write");
        text
    })
}
