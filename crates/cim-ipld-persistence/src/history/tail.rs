//! The journal after a manifest, read without following the catalog, and as far as it is intact.
//!
//! A process that follows the catalog stops at the first record that depends on something missing
//! or damaged. Here, everything that can still be read is returned, with the reason why the rest is
//! not part of the order.

use cim_ipld_backend::{Key, KeyedEntry, Revision};
use futures::StreamExt;

use super::change::Change;
use super::manifest::{ManifestVersion, is_missing_or_invalid};
use super::order::{Ignored, OpenedRecord, Order, Verdict};
use super::progress::IgnoredEntries;
use super::records;
use crate::format::manifest::{Manifest, Watermark};
use crate::format::window::{Window, WriterEntry};
use crate::format::writer_id::WriterId;
use crate::objects::Objects;
use crate::objects::layout::Layout;
use crate::rules::Rules;
use crate::{Error, ErrorKind, Result};

/// The journal after a manifest.
pub(crate) struct Tail {
    /// The order after the last record that is accepted.
    pub(crate) order: Order,
    /// The changes of the accepted records, in order, if they are kept.
    pub(crate) changes: Vec<Vec<Change>>,
    /// Records that are sealed under a key of the index, but follow something that is missing.
    pub(crate) stranded: Vec<Stranded>,
    /// Accepted records whose changes are missing or damaged.
    pub(crate) lost_bodies: Vec<LostBody>,
    /// Entries that do not open, and whose names are those of records that the manifest does not
    /// cover.
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) ignored: IgnoredEntries,
    /// The newest manifest generation that a record attests.
    pub(crate) newest_generation: u64,
    /// The keys of all entries.
    pub(crate) keys: Vec<Key>,
    at_manifest: Order,
    keeps_changes: bool,
    /// Whether the window is lost, and with it the writers before the watermark.
    lacks_window: bool,
}

/// A record that the order cannot accept.
pub(crate) struct Stranded {
    pub(crate) key: Key,
    pub(crate) opened: OpenedRecord,
    pub(crate) reason: Reason,
}

/// Why a record is stranded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It follows records that are missing.
    Ahead,
    /// It attests another history than the accepted records.
    History,
    /// It attests a manifest that is unknown, or whose digest can no longer be found.
    Manifest,
}

pub(crate) struct LostBody {
    pub(crate) key: Key,
    pub(crate) revision: Revision,
    pub(crate) error: Error,
}

pub(crate) struct Unreadable {
    pub(crate) key: Key,
    pub(crate) revision: Revision,
}

/// Returns the order at a watermark whose window is lost. Only records whose writer had applied at
/// least all records up to this position can be judged. The only known writer is that of the last
/// record.
pub(crate) fn order_without_window(rules: Rules, watermark: &Watermark, epoch: u64) -> Result<Order> {
    let last = watermark.record.map(|mark| WriterEntry {
        id: mark.writer,
        sequence: Some(mark.sequence),
        is_closed: false,
        position: watermark.position,
        record: mark.digest,
    });
    let window = Window {
        position: watermark.position,
        digests: vec![watermark.digest],
        writers: last.into_iter().collect(),
        blocks: Vec::new(),
        announced: Vec::new(),
    };
    Order::at(rules, watermark, epoch, Some(window))
}

impl Tail {
    /// Reads the journal in the store. `order` is the order of the manifest.
    pub(crate) async fn read(
        objects: &Objects,
        manifest: &ManifestVersion,
        order: Order,
        keeps_changes: bool,
    ) -> Result<Self> {
        Self::new(order, keeps_changes).read_after(objects, manifest, Revision::ZERO).await
    }

    /// Reads the journal in the store after a manifest whose window is lost. Only the place of the
    /// last covered record tells which records follow.
    pub(crate) async fn read_without_window(
        objects: &Objects,
        manifest: &ManifestVersion,
        keeps_changes: bool,
    ) -> Result<Self> {
        let Manifest { watermark, epoch, .. } = &manifest.manifest;
        let order = order_without_window(objects.rules, watermark, *epoch)?;
        let after = watermark.record.map_or(Revision::ZERO, |mark| Revision::new(mark.revision));
        let tail = Self { lacks_window: true, ..Self::new(order, keeps_changes) };
        tail.read_after(objects, manifest, after).await
    }

    async fn read_after(mut self, objects: &Objects, manifest: &ManifestVersion, after: Revision) -> Result<Self> {
        let mut entries = objects.backend.scan(&objects.layout.catalog, &objects.layout.journal, after);
        while let Some(entry) = entries.next().await {
            self.push(objects, manifest, entry?).await?;
        }
        Ok(self)
    }

    pub(crate) fn new(order: Order, keeps_changes: bool) -> Self {
        Self {
            at_manifest: order.clone(),
            order,
            changes: Vec::new(),
            stranded: Vec::new(),
            lost_bodies: Vec::new(),
            unreadable: Vec::new(),
            ignored: IgnoredEntries::default(),
            newest_generation: 0,
            keys: Vec::new(),
            keeps_changes,
            lacks_window: false,
        }
    }

    /// Judges the next entry of the journal.
    pub(crate) async fn push(
        &mut self,
        objects: &Objects,
        manifest: &ManifestVersion,
        entry: KeyedEntry,
    ) -> Result<()> {
        self.keys.push(entry.key.clone());
        let opened = match records::open(objects, &entry) {
            Err(error) if error.kind() == ErrorKind::UnsupportedVersion => return Err(error),
            Err(_) => {
                if self.may_be_needed(&entry.key) {
                    self.unreadable.push(Unreadable { key: entry.key, revision: entry.entry.revision });
                }
                return Ok(());
            }
            Ok(opened) => opened,
        };
        self.judge(objects, manifest, entry.key, opened).await
    }

    /// Judges the stranded records again, until none of them continues the order.
    pub(crate) async fn retry(&mut self, objects: &Objects, manifest: &ManifestVersion) -> Result<()> {
        loop {
            let stranded = std::mem::take(&mut self.stranded);
            let before = stranded.len();
            for record in stranded {
                self.judge(objects, manifest, record.key, record.opened).await?;
            }
            if self.stranded.len() == before {
                return Ok(());
            }
        }
    }

    async fn judge(
        &mut self,
        objects: &Objects,
        manifest: &ManifestVersion,
        key: Key,
        opened: OpenedRecord,
    ) -> Result<()> {
        let reason = match self.order.judge(&opened) {
            // Records that the manifest already covers stay in the journal for one more fold.
            Verdict::Ignored(Ignored::Duplicate | Ignored::Stale) => return Ok(()),
            Verdict::Ignored(reason) => {
                self.ignored.count(reason);
                return Ok(());
            }
            Verdict::Ahead => Reason::Ahead,
            Verdict::Next => match self.attests(objects, manifest, &opened).await? {
                None => return self.accept(objects, key, &opened).await,
                Some(reason) => reason,
            },
        };
        self.stranded.push(Stranded { key, opened, reason });
        Ok(())
    }

    /// Returns why the record does not continue the order, or `None` if it does.
    async fn attests(
        &mut self,
        objects: &Objects,
        manifest: &ManifestVersion,
        opened: &OpenedRecord,
    ) -> Result<Option<Reason>> {
        self.newest_generation = self.newest_generation.max(opened.record.generation);
        if opened.record.generation > manifest.generation() {
            // It attests a newer manifest. Either a process has just published that, or it is lost.
            return Ok(None);
        }
        let attested = match manifest.attested(objects, opened.record.generation).await {
            Err(error) if is_missing_or_invalid(&error) => return Ok(Some(Reason::Manifest)),
            attested => attested?,
        };
        Ok(match attested {
            Some(attested) => (!self.order.attests(&opened.record, attested)).then_some(Reason::History),
            None => Some(Reason::Manifest),
        })
    }

    async fn accept(&mut self, objects: &Objects, key: Key, opened: &OpenedRecord) -> Result<()> {
        match records::changes(objects, &opened.record.body).await {
            // A record that no process can read is not part of the order.
            Ok(None) => return Ok(()),
            Ok(Some(changes)) if self.keeps_changes => self.changes.push(changes),
            Ok(Some(_)) => {}
            Err(error) if is_missing_or_invalid(&error) => {
                self.lost_bodies.push(LostBody { key, revision: opened.revision, error });
            }
            Err(error) => return Err(error),
        }
        self.order.accept(opened);
        Ok(())
    }

    /// Returns whether every entry of the journal was either accepted with its changes or ignored.
    pub(crate) fn is_whole(&self) -> bool {
        self.stranded.is_empty() && self.lost_bodies.is_empty() && self.unreadable.is_empty()
    }

    /// Returns whether `key` belongs to a record that the manifest does not cover.
    fn may_be_needed(&self, key: &Key) -> bool {
        Layout::parse_record_key(key).is_some_and(|(writer, sequence)| !self.at_manifest.has_passed(writer, sequence))
    }

    /// Returns the lowest sequence number of the entries of a writer.
    fn first_sequence(&self, writer: WriterId) -> u64 {
        let of_writer = self.keys.iter().filter_map(Layout::parse_record_key).filter(|(id, _)| *id == writer);
        of_writer.map(|(_, sequence)| sequence).min().unwrap_or(0)
    }

    /// Returns the keys of records that are missing from the store, as far as they follow from the
    /// later records of the same writers.
    pub(crate) fn missing(&self) -> Vec<Key> {
        let mut missing = Vec::new();
        for Stranded { opened, .. } in &self.stranded {
            let last = self.order.writer(opened.writer).and_then(|writer| writer.sequence);
            let first = match last {
                Some(last) => last + 1,
                None if self.lacks_window => self.first_sequence(opened.writer),
                None => 0,
            };
            // Only the last 64 sequence numbers are considered: a longer gap is taken for records
            // that were folded or never accepted.
            for sequence in first.max(opened.sequence.saturating_sub(64))..opened.sequence {
                if let Ok(key) = Layout::record(opened.writer, sequence)
                    && !self.keys.contains(&key)
                    && !missing.contains(&key)
                {
                    missing.push(key);
                }
            }
        }
        missing
    }
}
