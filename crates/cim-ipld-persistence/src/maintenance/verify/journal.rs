//! Checks the journal after the manifest.

use cim_ipld_backend::Key;

use super::Verifier;
use super::report::{Dependents, Loss, VerifyReport};
use crate::history::manifest::{self, ManifestVersion, check_digest, is_missing_or_invalid};
use crate::history::tail::{Reason, Tail};
use crate::{Error, ErrorKind, Result};

impl Verifier<'_> {
    /// Judges the journal from the beginning, like an opener, and compares the order with the one
    /// that this process has applied.
    pub(super) async fn verify_journal(&self, manifest: &ManifestVersion, report: &mut VerifyReport) -> Result<()> {
        let objects = self.objects;
        let index = Dependents::index();
        let tail = match manifest.order(objects).await {
            Ok(order) => {
                self.verify_old_digests(&order, report).await?;
                Tail::read(objects, manifest, order, false).await?
            }
            Err(error) if is_missing_or_invalid(&error) => {
                report.note("the window of the order", &index, Loss::Nothing, error)?;
                let mut tail = Tail::read_without_window(objects, manifest, false).await?;
                // What such records attest may be in the lost window.
                tail.stranded.retain(|record| record.reason != Reason::History);
                tail
            }
            Err(error) => return Err(error),
        };
        report.records = tail.order.position() - manifest.position();
        report.ignored = report.ignored.plus(tail.ignored);
        self.note_journal(&tail, report)?;
        let Some(known) = self.seen else { return self.note_newer_manifest(manifest, &tail, report) };
        if tail.order.position() < known.position {
            let missing = known.position - tail.order.position();
            let message = format!("{missing} records that this process applied are missing");
            return report.note("the journal", &index, Loss::Writes, Error::new(ErrorKind::Lost, message));
        }
        let digest = manifest::digest_at(objects, &tail.order, known.position).await;
        match digest.and_then(|digest| check_digest(known.position, digest, known.order)) {
            Err(error) => report.note("the journal", &index, Loss::Nothing, error),
            Ok(()) => Ok(()),
        }
    }

    /// Notes that the manifest in the store is older than one that a record attests.
    fn note_newer_manifest(&self, manifest: &ManifestVersion, tail: &Tail, report: &mut VerifyReport) -> Result<()> {
        let (newest, found) = (tail.newest_generation, manifest.generation());
        if newest <= found {
            return Ok(());
        }
        let layout = &self.objects.layout;
        let message = format!("its generation is {found}, but a journal record refers to generation {newest}");
        let error = Error::new(ErrorKind::Lost, message).about(&layout.catalog, layout.manifest.as_str());
        report.note("the manifest", &Dependents::index(), Loss::Writes, error)
    }

    /// Notes each damaged or lost record once, with the writes that it affects.
    fn note_journal(&self, tail: &Tail, report: &mut VerifyReport) -> Result<()> {
        let index = Dependents::index();
        let catalog = &self.objects.layout.catalog;
        let stranded = tail.stranded.iter().filter(|record| record.reason != Reason::History).count();
        let after = tail.order.position();
        let followers = match stranded {
            0 => String::new(),
            1 => "; 1 later record depends on it".to_owned(),
            count => format!("; {count} later records depend on it"),
        };
        let mut explains = false;
        for entry in &tail.unreadable {
            let (key, revision) = (&entry.key, entry.revision);
            let message = format!(
                "{key} at {revision} cannot be decrypted: either the record after position {after} was damaged and its \
                 writes are lost, or someone without a key stored the entry{followers}"
            );
            let error = Error::new(ErrorKind::Damaged, message).about(catalog, key.as_str());
            report.note("the journal", &index, Loss::Writes, error)?;
            explains = true;
        }
        for lost in &tail.lost_bodies {
            let (key, revision) = (&lost.key, lost.revision);
            let message = format!("the writes of the record {key} at {revision} are lost: {}", lost.error);
            let mut error = Error::new(lost.error.kind(), message);
            if let Some(object) = lost.error.object() {
                error = error.about(&self.objects.layout.metadata, &object.key);
            }
            report.note("the journal", &index, Loss::Writes, error)?;
        }
        let missing = tail.missing();
        for key in &missing {
            let message = missing_record(key, after, &followers);
            report.note(
                "the journal",
                &index,
                Loss::Writes,
                Error::new(ErrorKind::Lost, message).about(catalog, key.as_str()),
            )?;
            explains = true;
        }
        if stranded > 0 && !explains {
            let first = &tail.stranded[0].key;
            let message = match stranded {
                1 => format!("the record {first} depends on missing records after position {after}"),
                _ => format!(
                    "{stranded} records, the first of them {first}, depend on missing records after position {after}"
                ),
            };
            report.note("the journal", &index, Loss::Writes, Error::new(ErrorKind::Lost, message))?;
        }
        for record in tail.stranded.iter().filter(|record| record.reason == Reason::History) {
            let message =
                format!("the record {} at {} attests a different history", record.key, record.opened.revision);
            report.note("the journal", &index, Loss::Writes, Error::new(ErrorKind::Forked, message))?;
        }
        Ok(())
    }
}

fn missing_record(key: &Key, after: u64, followers: &str) -> String {
    format!("the record {key} after position {after} is missing, and its writes are lost{followers}")
}
