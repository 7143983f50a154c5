//! The order: the replicated log of an index, and the rules by which a record is accepted into it.
//!
//! Every accepted record has a position in the log, starting at 1. The digest at a position is the
//! head of a hash chain over all records up to it, so two processes with equal digests have
//! accepted the same records in the same sequence.
//!
//! A verdict depends only on the accepted prefix and the bytes of the record, never on a revision
//! assigned by the store, so processes that have accepted the same prefix reach the same verdict.
//! Source: docs/protocol.md.

use std::collections::{BTreeMap, VecDeque};

use cim_ipld_backend::Revision;

use super::announced::Announced;
use crate::format::announcement::Announcement;
use crate::format::digest::{Digest, ShortDigest};
use crate::format::manifest::{RecordMark, Watermark};
use crate::format::record::{Record, attestation};
use crate::format::window::{DigestBlock, MAX_ANNOUNCED, RETAINED_BLOCKS, Window, WriterEntry};
use crate::format::writer_id::WriterId;
use crate::rules::{Rule, Rules};
use crate::{Error, ErrorKind, Result};

/// A decrypted record, with the information from its key and its envelope.
#[derive(Clone, Debug)]
pub(crate) struct OpenedRecord {
    pub(crate) writer: WriterId,
    pub(crate) sequence: u64,
    /// The generation of the keyset that introduced the data key which sealed it.
    pub(crate) epoch: u64,
    /// The digest of the sealed bytes.
    pub(crate) digest: ShortDigest,
    /// The revision at which it was found.
    pub(crate) revision: Revision,
    pub(crate) record: Record,
}

impl OpenedRecord {
    pub(crate) fn mark(&self) -> RecordMark {
        let revision = self.revision.number();
        RecordMark { writer: self.writer, sequence: self.sequence, revision, digest: self.digest }
    }
}

/// Why a catalog entry is ignored. An ignored entry has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ignored {
    /// It cannot be decrypted or decoded.
    Junk,
    /// It was sealed under a retired data key.
    Retired,
    /// It lags behind by more than a window.
    Stale,
    /// It, or a later record of its writer, is already part of the order.
    Duplicate,
    /// Its writer was closed.
    Closed,
    /// It is an older root or manifest that has been replaced since.
    Replayed,
}

/// The verdict on a record, apart from its attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next record, provided that it [attests](Order::attests) this order.
    Next,
    Ignored(Ignored),
    /// Its writer had applied more records than this order contains.
    Ahead,
}

/// The accepted records up to a position: their digests and the state of their writers.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    rules: Rules,
    position: u64,
    epoch: u64,
    /// The digests at the last positions, ending with the current one.
    digests: VecDeque<ShortDigest>,
    /// Digests from this position on are kept until a fold has stored them.
    kept_from: u64,
    writers: BTreeMap<WriterId, WriterEntry>,
    /// Older digests in the store, oldest first.
    blocks: Vec<DigestBlock>,
    last: Option<RecordMark>,
    /// The roots announced by records, newest last.
    announced: VecDeque<Announcement>,
    /// The position at which writers were last pruned.
    writers_pruned_at: u64,
}

impl Order {
    /// Returns the digest of the empty order of a new index. The nonce makes it unique.
    pub(crate) fn genesis(index_id: &[u8; 16], nonce: &[u8; 32]) -> ShortDigest {
        Digest::of("cim/v1/genesis", &[index_id, nonce]).short()
    }

    /// Returns the order at the watermark of a manifest.
    pub(crate) fn at(rules: Rules, watermark: &Watermark, epoch: u64, window: Option<Window>) -> Result<Self> {
        let window = window.unwrap_or_else(|| Window {
            position: 0,
            digests: vec![watermark.digest],
            writers: Vec::new(),
            blocks: Vec::new(),
            announced: Vec::new(),
        });
        if window.position != watermark.position || window.digests.last() != Some(&watermark.digest) {
            return Err(Error::new(ErrorKind::Damaged, "the window of the order does not belong to its manifest"));
        }
        Ok(Self {
            rules,
            position: watermark.position,
            epoch,
            digests: window.digests.into(),
            kept_from: block_start(rules, watermark.position),
            writers: window.writers.into_iter().map(|writer| (writer.id, writer)).collect(),
            blocks: window.blocks,
            last: watermark.record,
            announced: window.announced.into(),
            writers_pruned_at: watermark.position,
        })
    }

    /// Forgets the blocks of older digests for which `is_kept` returns false.
    pub(crate) fn retain_blocks(&mut self, is_kept: impl FnMut(&DigestBlock) -> bool) {
        self.blocks.retain(is_kept);
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn digest(&self) -> ShortDigest {
        *self.digests.back().expect("there is a digest of the position itself")
    }

    pub(crate) fn watermark(&self) -> Watermark {
        Watermark { position: self.position, digest: self.digest(), record: self.last }
    }

    pub(crate) fn writer(&self, id: WriterId) -> Option<&WriterEntry> {
        self.writers.get(&id)
    }

    /// Returns whether this record, or a later one of its writer, has been accepted, so that it can
    /// never be accepted again.
    pub(crate) fn has_passed(&self, writer: WriterId, sequence: u64) -> bool {
        self.writer(writer).is_some_and(|writer| writer.sequence.is_some_and(|highest| highest >= sequence))
    }

    pub(crate) fn blocks(&self) -> &[DigestBlock] {
        &self.blocks
    }

    pub(crate) fn announced(&self) -> Announced {
        Announced::new(self.announced.iter().copied())
    }

    /// Returns the digest at `position`, or `None` if it is not in memory.
    pub(crate) fn digest_at(&self, position: u64) -> Option<ShortDigest> {
        let back = self.position.checked_sub(position)?;
        let at = (self.digests.len() as u64).checked_sub(back + 1)?;
        self.digests.get(usize::try_from(at).ok()?).copied()
    }

    /// Judges a record by all rules except its attestation.
    pub(crate) fn judge(&self, opened: &OpenedRecord) -> Verdict {
        let rules = self.rules;
        if opened.epoch < self.epoch && rules.enforces(Rule::Epoch) {
            return Verdict::Ignored(Ignored::Retired);
        }
        let lag = self.position.checked_sub(opened.record.seen);
        if lag.is_some_and(|lag| lag > self.rules.window()) && rules.enforces(Rule::Stale) {
            return Verdict::Ignored(Ignored::Stale);
        }
        // A writer without any record within the window may already have been pruned. Its old
        // records are stale in that case.
        let oldest = self.position.saturating_sub(self.rules.window());
        if let Some(writer) = self.writers.get(&opened.writer).filter(|writer| writer.position >= oldest) {
            if writer.is_closed && rules.enforces(Rule::Closed) {
                return Verdict::Ignored(Ignored::Closed);
            }
            if writer.sequence.is_some_and(|highest| opened.sequence <= highest) && rules.enforces(Rule::Duplicate) {
                return Verdict::Ignored(Ignored::Duplicate);
            }
        }
        if lag.is_none() && rules.enforces(Rule::RecordChain) { Verdict::Ahead } else { Verdict::Next }
    }

    /// Returns whether the record attests a prefix of this order and `manifest`, the manifest of
    /// the generation that it names.
    pub(crate) fn attests(&self, record: &Record, manifest: Digest) -> bool {
        self.digest_at(record.seen).is_some_and(|order| attestation(order, manifest) == record.attest)
    }

    /// Appends the record.
    pub(crate) fn accept(&mut self, opened: &OpenedRecord) {
        let parts: [&[u8]; 2] = [&self.digest().0, &opened.digest.0];
        let digest = Digest::of("cim/v1/order", &parts).short();
        self.position += 1;
        self.digests.push_back(digest);
        self.epoch = self.epoch.max(opened.epoch);
        self.last = Some(opened.mark());
        let position = self.position;
        for id in &opened.record.closes {
            let unknown =
                WriterEntry { id: *id, sequence: None, is_closed: true, position, record: ShortDigest::default() };
            let writer = self.writers.entry(*id).or_insert(unknown);
            (writer.is_closed, writer.position) = (true, position);
        }
        let entry = WriterEntry {
            id: opened.writer,
            sequence: Some(opened.sequence),
            is_closed: opened.record.closes.contains(&opened.writer),
            position,
            record: opened.digest,
        };
        self.writers.insert(opened.writer, entry);
        self.announced.extend(opened.record.announces);
        while self.announced.len() > MAX_ANNOUNCED {
            self.announced.pop_front();
        }
        self.prune();
    }

    /// Drops the digests and writers that no later verdict needs.
    fn prune(&mut self) {
        let oldest = self.position.saturating_sub(self.rules.window()).min(self.kept_from);
        while (self.digests.len() as u64) > self.position - oldest + 1 {
            self.digests.pop_front();
        }
        // This makes at most one pass over all writers per window of records, so its amortized cost
        // is small no matter how many writers each record closes.
        let window = self.rules.window();
        if self.writers.len() as u64 > 2 * window && self.position - self.writers_pruned_at >= window {
            self.prune_writers();
        }
    }

    fn prune_writers(&mut self) {
        self.writers_pruned_at = self.position;
        let oldest = self.position.saturating_sub(self.rules.window());
        self.writers.retain(|_, writer| writer.position >= oldest);
    }

    /// Returns the blocks of digests completed since the watermark of the last manifest, with their
    /// indexes.
    pub(crate) fn full_blocks(&self) -> Vec<(u64, Vec<ShortDigest>)> {
        let first = self.kept_from / self.rules.window();
        let digests = |index: u64| {
            let start = index * self.rules.window();
            (start..start + self.rules.window()).map(|position| self.digest_at(position)).collect::<Option<Vec<_>>>()
        };
        (first..self.position / self.rules.window()).filter_map(|index| Some((index, digests(index)?))).collect()
    }

    /// Returns the window of this order for a manifest. `stored` contains the newest blocks, which
    /// no manifest names yet.
    pub(crate) fn window(mut self, stored: Vec<DigestBlock>) -> Window {
        self.prune_writers();
        let digests = self.digests.len().saturating_sub(usize::try_from(self.rules.window()).expect("fits") + 1);
        let mut blocks = self.blocks;
        blocks.extend(stored);
        let surplus = blocks.len().saturating_sub(RETAINED_BLOCKS);
        Window {
            position: self.position,
            digests: self.digests.into_iter().skip(digests).collect(),
            writers: self.writers.into_values().collect(),
            blocks: blocks.split_off(surplus),
            announced: self.announced.into(),
        }
    }

    /// Adopts the blocks of this order that a new manifest names.
    pub(crate) fn stored(&mut self, watermark: u64, blocks: Vec<DigestBlock>) {
        self.kept_from = self.kept_from.max(block_start(self.rules, watermark));
        self.blocks = blocks;
        self.prune();
    }
}

/// Returns the first position of the block that contains `position`.
fn block_start(rules: Rules, position: u64) -> u64 {
    position / rules.window() * rules.window()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::Body;
    use crate::format::window::WINDOW_POSITIONS;

    fn order() -> Order {
        let digest = Order::genesis(&[1; 16], &[2; 32]);
        Order::at(Rules::default(), &Watermark { position: 0, digest, record: None }, 1, None).expect("consistent")
    }

    fn manifest() -> Digest {
        Digest::of("test", &[b"manifest"])
    }

    fn record(order: &Order, seen: u64, writer: u64, sequence: u64) -> OpenedRecord {
        let digest = Digest::of("test", &[&writer.to_le_bytes(), &sequence.to_le_bytes()]).short();
        let attest = attestation(order.digest_at(seen).unwrap_or_default(), manifest());
        let body = Body::Inline(Vec::new());
        let record = Record { seen, generation: 1, attest, closes: Vec::new(), announces: None, body };
        OpenedRecord { writer: WriterId(writer), sequence, epoch: 1, digest, revision: Revision::ZERO, record }
    }

    fn grown(records: u64) -> Order {
        let mut order = order();
        for number in 0..records {
            let next = record(&order, order.position(), number, 0);
            assert_eq!(order.judge(&next), Verdict::Next);
            assert!(order.attests(&next.record, manifest()));
            order.accept(&next);
        }
        order
    }

    #[test]
    fn judges_every_rule_at_its_boundary() {
        let k = WINDOW_POSITIONS;
        let order = grown(k + 10);
        let p = order.position();
        let with = |change: fn(&mut OpenedRecord), mut opened: OpenedRecord| {
            change(&mut opened);
            opened
        };
        let cases = [
            ("next", record(&order, p, 1 << 40, 0), Verdict::Next),
            ("the maximum lag", record(&order, p - k, 1 << 40, 0), Verdict::Next),
            ("more than the maximum lag", record(&order, p - k - 1, 1 << 40, 0), Verdict::Ignored(Ignored::Stale)),
            ("ahead", record(&order, p + 1, 1 << 40, 0), Verdict::Ahead),
            ("the last record again", record(&order, p - 1, p - 1, 0), Verdict::Ignored(Ignored::Duplicate)),
            ("the next record of that writer", record(&order, p - 1, p - 1, 1), Verdict::Next),
            ("an old record again", record(&order, 3, 3, 0), Verdict::Ignored(Ignored::Stale)),
            (
                "a retired key",
                with(|opened| opened.epoch = 0, record(&order, p, 1 << 40, 0)),
                Verdict::Ignored(Ignored::Retired),
            ),
        ];
        for (what, opened, expected) in cases {
            assert_eq!(order.judge(&opened), expected, "{what}");
        }
    }

    #[test]
    fn a_closed_writer_is_pruned_only_when_its_records_are_stale() {
        let k = WINDOW_POSITIONS;
        let mut order = grown(3);
        let late = record(&order, order.position(), 77, 5);
        let mut closing = record(&order, order.position(), 100, 0);
        closing.record.closes = vec![WriterId(77)];
        order.accept(&closing);
        assert_eq!(order.judge(&late), Verdict::Ignored(Ignored::Closed));
        for number in 0..2 * k + 10 {
            let next = record(&order, order.position(), 1000 + number, 0);
            order.accept(&next);
            let verdict = order.judge(&late);
            assert!(matches!(verdict, Verdict::Ignored(Ignored::Closed | Ignored::Stale)), "{number}: {verdict:?}");
        }
    }

    #[test]
    fn an_order_is_unchanged_after_it_is_restored_from_its_window() {
        for records in [0, 1, 40, WINDOW_POSITIONS - 1, WINDOW_POSITIONS, WINDOW_POSITIONS + 1, 3 * WINDOW_POSITIONS] {
            let order = grown(records);
            let full = order.full_blocks();
            assert_eq!(full.len() as u64, records / WINDOW_POSITIONS);
            let window = Window::from_bytes(&order.clone().window(Vec::new()).to_bytes()).expect("consistent");
            let opened =
                Order::at(Rules::default(), &order.watermark(), order.epoch(), Some(window)).expect("consistent");
            let oldest = records.saturating_sub(WINDOW_POSITIONS);
            for position in oldest..=records {
                assert_eq!(opened.digest_at(position), order.digest_at(position), "{position} of {records}");
            }
            let again = record(&order, order.position(), 1 << 50, 0);
            assert_eq!(opened.judge(&again), order.judge(&again));
        }
    }

    #[test]
    fn an_attestation_is_valid_for_one_history_only() {
        let (one, mut other) = (grown(5), grown(4));
        other.accept(&record(&other, 4, 99, 0));
        let next = record(&one, 5, 1 << 40, 0);
        assert!(one.attests(&next.record, manifest()));
        assert!(!other.attests(&next.record, manifest()), "a different order");
        assert!(!one.attests(&next.record, Digest::of("test", &[b"another manifest"])));
        let shared = record(&one, 4, 1 << 40, 0);
        assert!(one.attests(&shared.record, manifest()) && other.attests(&shared.record, manifest()));
    }
}
