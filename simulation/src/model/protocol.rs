//! The protocol as each process follows it: what is sealed, what a process remembers, how it judges
//! what it is shown.
//!
//! Sealed objects cannot be changed or invented by who has no key, so a record or manifest is a
//! number into [`Sealed`], and the store can do no more than choose whom it shows which number.

use super::order::{Documents, List, Operation, Operations};
use super::rule::{Rule, Rules};

/// Every record and manifest that was ever sealed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sealed {
    pub(crate) records: Vec<Record>,
    pub(crate) manifests: Vec<Manifest>,
}

/// A journal record: who wrote it, what it does, and what its writer attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) client: u8,
    /// The random identity that a client takes at every start.
    pub(crate) writer: u8,
    pub(crate) sequence: u8,
    pub(crate) operation: Operation,
    /// The order that the writer had applied, attested by its digest; its length is `seen`.
    pub(crate) attested: List,
    /// The manifest that the writer knew, attested by its hash; its generation is `generation`.
    pub(crate) manifest: u8,
    pub(crate) epoch: u8,
    pub(crate) closes: List,
}

/// A manifest: the folded prefix of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Manifest {
    pub(crate) generation: u8,
    /// The manifests before it, oldest first.
    pub(crate) ancestors: List,
    /// The folded order; its length is the watermark W, and it stands for D(W).
    pub(crate) folded: List,
    /// The watermark of the manifest before this one.
    pub(crate) previous_watermark: u8,
    /// What the segments hold.
    pub(crate) documents: Documents,
    pub(crate) epoch: u8,
    /// Whether it brings an empty snapshot back instead of folding.
    pub(crate) is_restore: bool,
    /// Where the last folded record was met; a hint. Zero when there is none.
    pub(crate) scan_revision: u8,
}

/// A process and what it remembers across a crash: its pin and what its client still wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) alarm: Option<Alarm>,
    /// Started again and not yet where the pin says that it was: nothing is published.
    pub(crate) recovering: bool,
    pub(crate) order: List,
    pub(crate) manifest: u8,
    pub(crate) documents: Documents,
    /// The newest epoch whose key it has.
    pub(crate) key: u8,
    pub(crate) writer: u8,
    pub(crate) sequence: u8,
    /// The record in flight; a writer has at most one.
    pub(crate) pending: Option<u8>,
    /// How many operations of its client were acknowledged or given up.
    pub(crate) done: u8,
    pub(crate) acknowledged: Operations,
    pub(crate) pin: Option<Pin>,
    /// Former writers of this client whose outcomes are in doubt.
    pub(crate) closes: List,
    /// The last restore that it took up.
    pub(crate) restored: Option<u8>,
}

/// The newest state that a process saw, sealed beside it. Writer identities are pinned as well:
/// `Process::closes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pin {
    pub(crate) manifest: u8,
    pub(crate) order: List,
    pub(crate) key: u8,
}

/// Why a process stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Alarm {
    /// The store serves an older state than the pin's.
    Rollback,
    /// Something that an accepted writer had seen is not there.
    Lost,
    /// Two orders or manifests that cannot both be true.
    Forked,
}

/// What a process makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Ignored,
    /// Sealed under a key that this process has not read yet.
    UnknownKey,
    Alarm(Alarm),
}

/// The first manifest: nothing is folded.
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

    /// Adds a record and returns its number; sealing the same content twice gives the same number.
    pub(crate) fn seal_record(&mut self, record: Record) -> u8 {
        number_of(&mut self.records, record)
    }

    pub(crate) fn seal_manifest(&mut self, manifest: Manifest) -> u8 {
        number_of(&mut self.manifests, manifest)
    }

    pub(crate) fn operations<'a>(&'a self, order: &'a List) -> impl Iterator<Item = Operation> + 'a {
        order.iter().map(|record| self.record(record).operation)
    }

    /// Whether `ancestor` is `manifest` or one of its ancestors.
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

    /// Whether it shows what it has to its callers.
    pub(crate) fn is_published(&self) -> bool {
        self.alarm.is_none() && !self.recovering
    }

    /// The newest epoch of the order: of its records and of the known manifest.
    pub(crate) fn epoch(&self, sealed: &Sealed) -> u8 {
        let newest = self.order.iter().map(|record| sealed.record(record).epoch).max().unwrap_or(0);
        newest.max(sealed.manifest(self.manifest).epoch)
    }

    /// "Judging a record when p records were applied, in this order".
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

    /// Appends an accepted record to the order. A record of its own is thereby acknowledged.
    pub(crate) fn accept(&mut self, sealed: &Sealed, record: u8) {
        self.order.push(record);
        self.documents.apply(sealed.record(record).operation);
        if self.acknowledge(sealed) {
            self.pin = Some(self.newest());
        }
        self.compare_with_pin();
    }

    /// Passes over an ignored record. One of its own is sealed again under the next sequence
    /// number.
    pub(crate) fn ignore(&mut self, record: u8) {
        if self.pending == Some(record) {
            self.pending = None;
            self.sequence += 1;
        }
        self.compare_with_pin();
    }

    /// Takes up a newer manifest, or raises the alarm when it belongs to another history.
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

    /// Gives up waiting: the outcome is unknown, and the next record that is accepted decides it.
    pub(crate) fn time_out(&mut self) {
        self.pending = None;
        self.sequence += 1;
        self.done += 1;
    }

    /// What the process submits next, when its client has something to say and it may.
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

    /// The manifest that would fold everything applied so far, when there is something to fold.
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

    /// Starts again under a new writer identity with the manifest and the key that the store
    /// serves.
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

    /// Acknowledges the record in flight when the order holds it, and returns whether it did.
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

    /// Former writers are closed, so what they left in doubt is now definite: their operations are
    /// in the order or never will be.
    fn resolve(&mut self, sealed: &Sealed, client: usize) {
        let order = self.order;
        let happened = |operation: &Operation| sealed.operations(&order).any(|other| other == *operation);
        while Operation::of(client).get(usize::from(self.done)).is_some_and(happened) {
            self.done += 1;
        }
        self.closes = List::EMPTY;
    }

    /// Ends the recovery once the order has reached the pin's; another order is `Rollback`.
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
