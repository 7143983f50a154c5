//! The protocol of each process: what is sealed, what a process remembers, and how it judges
//! entries.
//!
//! Without the key, sealed objects cannot be modified or forged. Therefore a record or manifest is
//! an index into [`Sealed`], and the store can only choose which index to show to which process.

use super::order::{Documents, List, Operation, Operations};
use super::rule::{Rule, Rules};

/// All records and manifests ever sealed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sealed {
    pub(crate) records: Vec<Record>,
    pub(crate) manifests: Vec<Manifest>,
}

/// A journal record: its writer, operation and attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) client: u8,
    /// The random id of a client, new at every start.
    pub(crate) writer: u8,
    pub(crate) sequence: u8,
    pub(crate) operation: Operation,
    /// The order applied by the writer, attested by its digest. Its length is `seen`.
    pub(crate) attested: List,
    /// The manifest known to the writer, attested by its hash. Its generation is `generation`.
    pub(crate) manifest: u8,
    pub(crate) epoch: u8,
    pub(crate) closes: List,
}

/// A manifest: the folded prefix of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Manifest {
    pub(crate) generation: u8,
    /// Its ancestors, oldest first.
    pub(crate) ancestors: List,
    /// The folded order. Its length is the watermark W, and it represents D(W).
    pub(crate) folded: List,
    /// The watermark of the previous manifest.
    pub(crate) previous_watermark: u8,
    /// The content of the segments.
    pub(crate) documents: Documents,
    pub(crate) epoch: u8,
    /// Whether it restores an empty snapshot instead of folding.
    pub(crate) is_restore: bool,
    /// The revision of the last folded record, as a hint, or 0.
    pub(crate) scan_revision: u8,
}

/// A process, with what survives a crash: its pin and the remaining operations of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) alarm: Option<Alarm>,
    /// Restarted and not yet at the state of the pin. Nothing is published.
    pub(crate) recovering: bool,
    pub(crate) order: List,
    pub(crate) manifest: u8,
    pub(crate) documents: Documents,
    /// The newest epoch whose key the process has.
    pub(crate) key: u8,
    pub(crate) writer: u8,
    pub(crate) sequence: u8,
    /// The record in flight. A writer has at most one.
    pub(crate) pending: Option<u8>,
    /// The number of operations of its client that were acknowledged or given up.
    pub(crate) done: u8,
    pub(crate) acknowledged: Operations,
    pub(crate) pin: Option<Pin>,
    /// The former writers of this client with unknown outcomes.
    pub(crate) closes: List,
    /// The last restore adopted.
    pub(crate) restored: Option<u8>,
}

/// The newest state that a process has seen. Writer ids are pinned as well, see `Process::closes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pin {
    pub(crate) manifest: u8,
    pub(crate) order: List,
    pub(crate) key: u8,
}

/// Why a process stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Alarm {
    /// The store shows a state that is older than the pin or does not continue it.
    Rollback,
    /// Something is missing: what the writer of a record had seen, or the root or manifest that the
    /// process needs.
    Lost,
    /// Two orders or manifests contradict each other.
    Forked,
}

/// The verdict on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Ignored,
    /// The record is sealed under a key that this process has not read yet.
    UnknownKey,
    Alarm(Alarm),
}

/// The first manifest, in which nothing is folded.
pub(crate) const GENESIS: Manifest = Manifest {
    generation: 0,
    ancestors: List::EMPTY,
    folded: List::EMPTY,
    previous_watermark: 0,
    documents: Documents::NONE,
    epoch: 0,
    is_restore: false,
    scan_revision: 0,
};

impl Sealed {
    pub(crate) fn genesis() -> Self {
        Self { records: Vec::new(), manifests: vec![GENESIS] }
    }

    pub(crate) fn record(&self, number: u8) -> &Record {
        &self.records[usize::from(number)]
    }

    pub(crate) fn manifest(&self, number: u8) -> &Manifest {
        &self.manifests[usize::from(number)]
    }

    /// Adds a record and returns its index. Sealing the same content twice gives the same index.
    pub(crate) fn seal_record(&mut self, record: Record) -> u8 {
        number_of(&mut self.records, record)
    }

    pub(crate) fn seal_manifest(&mut self, manifest: Manifest) -> u8 {
        number_of(&mut self.manifests, manifest)
    }

    pub(crate) fn operations<'a>(&'a self, order: &'a List) -> impl Iterator<Item = Operation> + 'a {
        order.iter().map(|record| self.record(record).operation)
    }

    /// Returns whether `ancestor` is `manifest` or one of its ancestors.
    pub(crate) fn descends(&self, manifest: u8, ancestor: u8) -> bool {
        manifest == ancestor || self.manifest(manifest).ancestors.contains(ancestor)
    }
}

fn number_of<T: PartialEq>(all: &mut Vec<T>, one: T) -> u8 {
    let at = all.iter().position(|other| *other == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    });
    at as u8
}

impl Process {
    pub(crate) fn new(writer: u8) -> Self {
        Self {
            alarm: None,
            recovering: false,
            order: List::EMPTY,
            manifest: 0,
            documents: Documents::NONE,
            key: 0,
            writer,
            sequence: 0,
            pending: None,
            done: 0,
            acknowledged: Operations::NONE,
            pin: None,
            closes: List::EMPTY,
            restored: None,
        }
    }

    /// Returns whether the process answers its callers.
    pub(crate) fn is_published(&self) -> bool {
        self.alarm.is_none() && !self.recovering
    }

    /// Returns the newest epoch of the records of the order and of the known manifest.
    pub(crate) fn epoch(&self, sealed: &Sealed) -> u8 {
        let newest = self.order.iter().map(|record| sealed.record(record).epoch).max().unwrap_or(0);
        newest.max(sealed.manifest(self.manifest).epoch)
    }

    /// Judges a record by rules 2 to 7 of "Judging a record" in docs/protocol.md, but applies rules
    /// 6 and 7 first to the attested order, then to the attested manifest.
    pub(crate) fn judge(&self, rules: Rules, window: usize, sealed: &Sealed, record: &Record) -> Verdict {
        let (applied, seen) = (self.order.len(), record.attested.len());
        if record.epoch > self.key {
            return Verdict::UnknownKey;
        }
        if rules.hold(Rule::Retired) && record.epoch < self.epoch(sealed) {
            return Verdict::Ignored;
        }
        if rules.hold(Rule::Stale) && applied > seen + window {
            return Verdict::Ignored;
        }
        for recent in self.order.iter().rev().take(window).map(|recent| sealed.record(recent)) {
            let is_later = recent.writer == record.writer && recent.sequence >= record.sequence;
            let is_closed = recent.closes.contains(record.writer);
            if rules.hold(Rule::Duplicate) && is_later || rules.hold(Rule::Closed) && is_closed {
                return Verdict::Ignored;
            }
        }
        if seen > applied {
            return Verdict::Alarm(Alarm::Lost);
        }
        if rules.hold(Rule::OrderAttestation) && !self.order.begins_with(&record.attested) {
            return Verdict::Alarm(Alarm::Forked);
        }
        if rules.hold(Rule::ManifestAttestation) {
            if sealed.manifest(record.manifest).generation > sealed.manifest(self.manifest).generation {
                return Verdict::Alarm(Alarm::Lost);
            }
            if !sealed.descends(self.manifest, record.manifest) {
                return Verdict::Alarm(Alarm::Forked);
            }
        }
        Verdict::Accepted
    }

    /// Appends an accepted record to the order. If it is the process's own pending record, this
    /// acknowledges it.
    pub(crate) fn accept(&mut self, sealed: &Sealed, record: u8) {
        self.order.push(record);
        self.documents.apply(sealed.record(record).operation);
        if self.acknowledge(sealed) {
            self.pin = Some(self.newest());
        }
        self.compare_with_pin();
    }

    /// Ignores a record. A record of the process itself is sealed again under the next sequence
    /// number.
    pub(crate) fn ignore(&mut self, record: u8) {
        if self.pending == Some(record) {
            self.pending = None;
            self.sequence += 1;
        }
        self.compare_with_pin();
    }

    /// Adopts a newer manifest, or raises an alarm if it belongs to another history.
    pub(crate) fn take_up(&mut self, rules: Rules, sealed: &Sealed, number: u8) {
        let manifest = sealed.manifest(number);
        let known = sealed.manifest(self.manifest).generation;
        if manifest.generation <= known || manifest.epoch > self.key {
            return;
        }
        let descends = manifest.ancestors.at(known.into()) == Some(self.manifest);
        let on_one_chain = manifest.folded.on_one_chain(&self.order);
        if rules.hold(Rule::Ancestry) && !descends || rules.hold(Rule::ManifestOrder) && !on_one_chain {
            self.alarm = Some(Alarm::Forked);
            return;
        }
        let mut order = manifest.folded;
        let mut documents = manifest.documents;
        for record in self.order.iter().skip(manifest.folded.len()) {
            order.push(record);
            documents.apply(sealed.record(record).operation);
        }
        self.order = order;
        self.manifest = number;
        self.documents = documents;
        if manifest.is_restore {
            self.restored = Some(number);
        }
        self.acknowledge(sealed);
        if !self.recovering {
            self.pin = Some(self.newest());
        }
        self.compare_with_pin();
    }

    /// Gives up waiting. The outcome stays unknown until the record itself, a later one of the same
    /// writer, or one that closes that writer is accepted.
    pub(crate) fn time_out(&mut self) {
        self.pending = None;
        self.sequence += 1;
        self.done += 1;
    }

    /// Returns the next operation to submit, if there is one and the process may submit it.
    pub(crate) fn next_record(&self, rules: Rules, sealed: &Sealed, client: usize) -> Option<Record> {
        let wanted = Operation::of(client).get(usize::from(self.done))?;
        let is_free = self.alarm.is_none() && !self.recovering && self.pending.is_none();
        if !is_free || self.key < self.epoch(sealed) {
            return None;
        }
        let is_closing = rules.hold(Rule::ClosingRecord) && !self.closes.is_empty();
        Some(self.seal(client, if is_closing { Operation::Barrier } else { *wanted }))
    }

    pub(crate) fn seal(&self, client: usize, operation: Operation) -> Record {
        Record {
            client: client as u8,
            writer: self.writer,
            sequence: self.sequence,
            operation,
            attested: self.order,
            manifest: self.manifest,
            epoch: self.key,
            closes: self.closes,
        }
    }

    /// Returns the manifest that folds everything applied so far, or `None` if the process has
    /// stopped or is recovering, or if its key is not the current one. The caller checks whether
    /// there is anything new to fold.
    pub(crate) fn next_manifest(&self, sealed: &Sealed) -> Option<Manifest> {
        let known = sealed.manifest(self.manifest);
        let epoch = self.epoch(sealed);
        let may = self.alarm.is_none() && !self.recovering && self.key == epoch;
        may.then(|| Manifest {
            generation: known.generation + 1,
            ancestors: known.ancestors.with(self.manifest),
            folded: self.order,
            previous_watermark: known.folded.len() as u8,
            documents: self.documents,
            epoch,
            is_restore: false,
            scan_revision: 0,
        })
    }

    /// Restarts under a new writer id with the manifest and the key shown by the store.
    pub(crate) fn restart(&mut self, rules: Rules, sealed: &Sealed, served: u8, key: u8, writer: u8) {
        let manifest = sealed.manifest(served);
        self.pending = None;
        if !rules.hold(Rule::CloseAll) {
            self.closes = List::EMPTY;
        }
        self.closes.push(self.writer);
        self.writer = writer;
        self.sequence = 0;
        self.manifest = served;
        self.order = manifest.folded;
        self.documents = manifest.documents;
        self.key = key;
        if let Some(pin) = self.pin.filter(|_| rules.hold(Rule::Pin)) {
            self.recovering = true;
            let is_older = manifest.generation < sealed.manifest(pin.manifest).generation;
            if is_older || key < pin.key || !sealed.descends(served, pin.manifest) {
                self.alarm = Some(Alarm::Rollback);
                return;
            }
        }
        self.compare_with_pin();
    }

    fn newest(&self) -> Pin {
        Pin { manifest: self.manifest, order: self.order, key: self.key }
    }

    /// Acknowledges the record in flight if the order contains it, and returns whether it does.
    fn acknowledge(&mut self, sealed: &Sealed) -> bool {
        let Some(own) = self.pending.filter(|own| self.order.contains(*own)) else { return false };
        self.pending = None;
        self.sequence += 1;
        let record = sealed.record(own);
        if record.operation != Operation::Barrier {
            self.acknowledged.insert(record.operation);
            self.done += 1;
        } else if !record.closes.is_empty() {
            self.resolve(sealed, record.client.into());
        }
        true
    }

    /// Resolves the unknown outcomes of closed former writers: their operations are in the order or
    /// never will be.
    fn resolve(&mut self, sealed: &Sealed, client: usize) {
        let order = self.order;
        let happened = |operation: &Operation| sealed.operations(&order).any(|other| other == *operation);
        while Operation::of(client).get(usize::from(self.done)).is_some_and(happened) {
            self.done += 1;
        }
        self.closes = List::EMPTY;
    }

    /// Ends the recovery once the order has reached the order in the pin. A different order is
    /// `Rollback`.
    fn compare_with_pin(&mut self) {
        if !self.recovering {
            return;
        }
        match self.pin {
            Some(pin) if !self.order.on_one_chain(&pin.order) => self.alarm = Some(Alarm::Rollback),
            Some(pin) if self.order.len() < pin.order.len() => {}
            _ => self.recovering = false,
        }
    }
}
