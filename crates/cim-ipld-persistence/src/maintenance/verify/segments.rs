//! Checks the objects of one segment.

use std::sync::Arc;

use cim_ipld_index::{Analyzer, Deletes, PageClass, Progress, Segment, Verification};

use super::Verifier;
use super::report::{Dependents, Loss, VerifyReport};
use crate::format::manifest::SegmentEntry;
use crate::history::references::References;
use crate::objects::pass::Pass;
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// What was read of a segment.
struct Checked {
    segment: Option<Arc<Segment>>,
    errors: Vec<Error>,
    pages: u64,
    bytes: u64,
}

impl Verifier<'_> {
    /// Checks a segment by a sequential pass, and everything its entries name.
    pub(super) async fn verify_segment(
        &self,
        references: &References,
        entries: &[&SegmentEntry],
        report: &mut VerifyReport,
    ) -> Result<()> {
        let mut deletes = Vec::with_capacity(entries.len());
        for entry in entries {
            let dependents = dependents(references, |named| named == *entry);
            let fetched = self.objects.fetch_deletes(entry.deletes.as_ref()).await;
            deletes.push(fetched.as_ref().ok().cloned().unwrap_or_default());
            if let Err(error) = fetched {
                let what = format!("the deletes of segment {} of {dependents}", hex(&entry.id));
                report.note(&what, &dependents, Loss::Writes, error)?;
            }
        }
        let entry = entries[0];
        let handle = Arc::new(SegmentHandle::new(entry.clone()));
        let Checked { segment, errors, pages, bytes } = self.check_pages(&handle, entry).await?;
        report.pages += pages;
        report.bytes += bytes;
        let dependents = dependents(references, |named| named.id == entry.id);
        let what = format!("segment {} of {dependents}", hex(&entry.id));
        for (deletes, entry) in deletes.iter().zip(entries) {
            if deletes.iter().last().is_some_and(|last| last.0 >= entry.documents) {
                let error = Error::new(ErrorKind::Damaged, "its deletes contain a document that does not exist");
                report.note(&what, &dependents, Loss::Nothing, error)?;
            }
        }
        for error in errors {
            let loss = loss(&handle, segment.as_deref(), &deletes[0], &error);
            report.note(&what, &dependents, loss, error)?;
        }
        Ok(())
    }

    async fn check_pages(&self, handle: &Arc<SegmentHandle>, entry: &SegmentEntry) -> Result<Checked> {
        let objects = self.objects;
        let digests = objects.fetch_digests(handle).await.map(drop);
        let opened = objects.fetch_segment(handle).await;
        let segment = opened.as_ref().ok().cloned();
        let pass = Pass::new(objects, [Arc::clone(handle)]).await?;
        let (documents, analyzer) = (u64::from(entry.documents), self.analyzer.clone());
        let check = move || {
            let checked = opened.and_then(|segment| check(&pass, segment, documents, analyzer));
            let rest = pass.read_rest();
            let errors = [digests, checked].into_iter().filter_map(Result::err).chain(rest).collect();
            let (pages, bytes) = pass.pages_and_bytes_read();
            Checked { segment, errors, pages, bytes }
        };
        // On a blocking thread, because every document is analyzed again.
        if objects.environment.is_single_threaded() {
            return Ok(check());
        }
        let cut_off = |_| Error::new(ErrorKind::Closed, "the verification of a segment was aborted");
        tokio::task::spawn_blocking(check).await.map_err(cut_off)
    }
}

/// Checks the content of the pages against the stored documents. The deletes are checked apart,
/// since no page depends on them.
fn check(pass: &Pass, segment: Arc<Segment>, documents: u64, analyzer: Analyzer) -> Result<()> {
    let mut verification = Verification::new(segment, Deletes::new(), analyzer)?;
    let Progress::Ready(checked) = pass.outcome(verification.advance(pass))? else {
        return Err(Error::new(ErrorKind::Damaged, "the segment requests pages that it was already given"));
    };
    if checked.documents != documents {
        let message = format!("the segment has {} documents, but the manifest lists {documents}", checked.documents);
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    Ok(())
}

/// Returns the index and the snapshots that have a segment for which `names` returns true.
fn dependents(references: &References, names: impl Fn(&SegmentEntry) -> bool) -> Dependents {
    let records = references.snapshots.iter().filter_map(|(_, read)| read.as_ref().ok());
    let snapshots = records.filter(|record| record.segments.iter().any(&names)).map(|record| record.name.clone());
    Dependents { of_index: references.manifest.manifest.segments.iter().any(&names), snapshots: snapshots.collect() }
}

/// Returns what is lost with the object of an error. Everything but the stored documents is derived
/// from them.
fn loss(handle: &SegmentHandle, segment: Option<&Segment>, deletes: &Deletes, error: &Error) -> Loss {
    let Some(object) = error.object() else { return Loss::Nothing };
    let stored = handle.pages().flatten().filter(|page| page.class == PageClass::Stored);
    let Some(page) = stored.into_iter().find(|page| handle.page_name(*page) == object.key) else {
        return Loss::Nothing;
    };
    let Some(segment) = segment else { return Loss::Documents(handle.entry.live_documents()) };
    let documents = segment.stored_documents(page.ordinal);
    let live =
        (documents.start.0..documents.end.0).filter(|document| !deletes.contains(cim_ipld_index::DocId(*document)));
    match live.count() as u64 {
        // Only deleted documents were in it.
        0 => Loss::Nothing,
        live => Loss::Documents(live),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
