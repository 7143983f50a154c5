//! Reads what is left of the journal, with the records that sources have.

use cim_ipld_backend::{Entry, Key, KeyedEntry, Revision};
use futures::StreamExt;

use super::Repair;
use super::named::Named;
use crate::Result;
use crate::history::change::Change;
use crate::history::manifest::ManifestVersion;
use crate::history::order::Order;
use crate::history::records;
use crate::history::tail::{Reason, Tail};
use crate::objects::layout::Layout;

/// The journal after the manifest, as a repair continues it.
pub(super) struct RepairedTail {
    /// The order after the last record that is accepted.
    pub(super) order: Order,
    /// The changes to apply to the segments, in order.
    pub(super) changes: Vec<Vec<Change>>,
    /// Whether the journal cannot be left to an opener, and is folded by the repair instead.
    pub(super) needs_fold: bool,
    /// The entries to remove once the repaired manifest is published.
    pub(super) obsolete: Vec<Key>,
}

impl Repair<'_> {
    pub(super) async fn read_journal(&mut self, manifest: &ManifestVersion, named: &Named) -> Result<RepairedTail> {
        let objects = self.objects;
        let own = self.own_entries(manifest, named).await?;
        let mut entries = own.clone();
        let mut restored = 0;
        for source in self.sources {
            let copies = source.journal(objects.layout.catalog.name()).await?;
            restored += self.merge(&mut entries, copies, named)?;
        }
        let mut tail = Tail::new(named.order.clone(), true);
        for entry in entries {
            // The chunks of the body may have to be put back.
            if let Ok(opened) = records::open(objects, &entry) {
                let _ = self.read(async || records::changes(objects, &opened.record.body).await.map(drop)).await?;
            }
            tail.push(objects, manifest, entry).await?;
        }
        tail.retry(objects, manifest).await?;
        let needs_fold =
            !tail.is_whole() || named.has_lost_window || restored > 0 || tail.newest_generation > manifest.generation();
        let mut repaired = RepairedTail {
            order: tail.order.clone(),
            changes: std::mem::take(&mut tail.changes),
            needs_fold,
            obsolete: Vec::new(),
        };
        if !needs_fold {
            return Ok(repaired);
        }
        self.report.restored_records += restored;
        self.report.changed_history |= !tail.is_whole() || named.has_lost_window;
        self.report.lost_records += (tail.unreadable.len() + tail.lost_bodies.len() + tail.missing().len()) as u64;
        self.salvage(&mut tail, &mut repaired).await?;
        // Whatever the repaired manifest covers is removed, except the record at its watermark.
        let last = repaired.order.watermark().record;
        let last = last.map(|last| Layout::record(last.writer, last.sequence)).transpose()?;
        let keys = self.journal_keys().await?;
        repaired.obsolete = keys.into_iter().filter(|key| Some(key) != last.as_ref()).collect();
        Ok(repaired)
    }

    /// Applies the records that follow lost ones, as far as they can be read.
    async fn salvage(&mut self, tail: &mut Tail, repaired: &mut RepairedTail) -> Result<()> {
        let mut stranded = std::mem::take(&mut tail.stranded);
        stranded.sort_by_key(|record| record.opened.record.seen);
        for record in stranded {
            match records::changes(self.objects, &record.opened.record.body).await {
                Ok(Some(changes)) => {
                    self.report.salvaged_records += 1;
                    repaired.changes.push(changes);
                }
                Ok(None) => {}
                Err(_) => self.report.lost_records += 1,
            }
            debug_assert!(record.reason != Reason::Ahead || record.opened.record.seen > 0, "{:?}", record.key);
        }
        Ok(())
    }

    /// Returns the journal entries in the store, except those that the manifest is known to cover.
    async fn own_entries(&self, manifest: &ManifestVersion, named: &Named) -> Result<Vec<KeyedEntry>> {
        let objects = self.objects;
        // Without the window, only the place of the last covered record tells which ones follow.
        let mark = manifest.manifest.watermark.record.filter(|_| named.has_lost_window);
        let after = mark.map_or(Revision::ZERO, |mark| Revision::new(mark.revision));
        let mut scanned = objects.backend.scan(&objects.layout.catalog, &objects.layout.journal, after);
        let mut entries = Vec::new();
        while let Some(entry) = scanned.next().await {
            entries.push(entry?);
        }
        Ok(entries)
    }

    async fn journal_keys(&self) -> Result<Vec<Key>> {
        let objects = self.objects;
        let mut scanned = objects.backend.scan(&objects.layout.catalog, &objects.layout.journal, Revision::ZERO);
        let mut keys = Vec::new();
        while let Some(entry) = scanned.next().await {
            keys.push(entry?.key);
        }
        Ok(keys)
    }

    /// Inserts the records of a source that are missing or damaged in `entries`, each before the
    /// record that follows it in the source. Returns their number.
    fn merge(&self, entries: &mut Vec<KeyedEntry>, copies: Vec<(String, bytes::Bytes)>, named: &Named) -> Result<u64> {
        let mut merged = 0;
        let mut pending: Vec<KeyedEntry> = Vec::new();
        for (key, value) in copies {
            let key = Key::new(&key)?;
            let copy = KeyedEntry { key, entry: Entry { value, revision: Revision::ZERO } };
            let place = entries.iter().position(|entry| entry.key == copy.key);
            if let Some(place) = place
                && records::open(self.objects, &entries[place]).is_ok()
            {
                merged += pending.len() as u64;
                entries.splice(place..place, pending.drain(..));
                continue;
            }
            let Ok(opened) = records::open(self.objects, &copy) else { continue };
            if named.order.has_passed(opened.writer, opened.sequence)
                || opened.record.seen < named.order.position() && (named.has_lost_window || is_covered(named, &opened))
            {
                continue;
            }
            if let Some(place) = place {
                // The copy replaces the damaged entry, whose place in the order is known.
                let revision = entries[place].entry.revision;
                entries[place].entry = Entry { revision, ..copy.entry };
                merged += 1 + pending.len() as u64;
                entries.splice(place..place, pending.drain(..));
                continue;
            }
            pending.push(copy);
        }
        merged += pending.len() as u64;
        entries.append(&mut pending);
        Ok(merged)
    }
}

/// Returns whether the order already contains the record, or can no longer accept it.
fn is_covered(named: &Named, opened: &crate::history::order::OpenedRecord) -> bool {
    matches!(named.order.judge(opened), crate::history::order::Verdict::Ignored(_))
}
