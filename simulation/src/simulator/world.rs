//! The state shared by all parts of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cim_ipld_backend::Bucket;
use tokio::time::Instant;

use cim_ipld_persistence::{Event, Rules, content_cid};

use super::history::{Documents, History, Link, Order, Published};
use super::plan::{Kind, Plan};
use crate::store::Store;

/// The number of documents.
pub(super) const DOCUMENTS: usize = 6;

/// An acknowledged write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub(super) number: usize,
    pub(super) version: Option<u64>,
    pub(super) position: u64,
    /// When the write began and when it was acknowledged, as logical times.
    pub(super) began: u64,
    pub(super) moment: u64,
}

/// A restore: when it began and when its snapshot was created, both as logical times. After it has
/// succeeded, also a generation that contains it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restore {
    pub(super) moment: u64,
    pub(super) snapshot_moment: u64,
    pub(super) generation: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) history: History,
    violations: Vec<String>,
    versions: u64,
    moments: u64,
    pub(super) acknowledged: Vec<Acknowledged>,
    pub(super) restores: Vec<Restore>,
    /// When each snapshot was created.
    pub(super) snapshots: BTreeMap<String, u64>,
    pub(super) published: BTreeMap<usize, Published>,
    /// The pin of each process, and the published state that it records.
    pub(super) pins: BTreeMap<usize, Vec<u8>>,
    pinned: BTreeMap<usize, Published>,
    /// On an honest store, the digest of every position published by any process.
    agreed: BTreeMap<u64, Order>,
    /// When the catalog was purged or recreated, as a logical time.
    pub(super) purged_at: Option<u64>,
    /// The open processes.
    pub(super) open: BTreeSet<usize>,
    /// Until this time, no open process may end, because the one that ends could be the only one
    /// able to repair the catalog.
    pub(super) quiet_until: Option<Instant>,
    /// The number of the newest key: 0 at creation, and one more after each rotation that
    /// succeeded or may have succeeded.
    pub(super) key: u8,
    pub(super) rotating: bool,
}

/// The world of a run. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct World(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) plan: Plan,
    pub(super) rules: Rules,
    /// When the run began.
    pub(super) started: Instant,
    state: Mutex<State>,
}

impl Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl World {
    pub(super) fn new(store: Store, plan: Plan, rules: Rules) -> Self {
        Self(Arc::new(Inner { store, plan, rules, started: Instant::now(), state: Mutex::default() }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.store.say(&what);
        self.lock().violations.push(what);
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.lock().acknowledged.len()
    }

    pub(super) fn new_version(&self) -> u64 {
        let mut state = self.lock();
        state.versions += 1;
        state.versions
    }

    pub(super) fn moment(&self) -> u64 {
        let mut state = self.lock();
        state.moments += 1;
        state.moments
    }

    /// Returns the last state published by a process.
    pub(super) fn published(&self, slot: usize) -> Option<Published> {
        self.lock().published.get(&slot).copied()
    }

    /// Returns the highest acknowledged position.
    pub(super) fn newest_acknowledged(&self) -> u64 {
        self.lock().acknowledged.iter().map(|write| write.position).max().unwrap_or(0)
    }

    /// Returns whether the root and the manifest may be overwritten now: only if an open process
    /// knows the newest manifest and can restore both. In this case, no process ends for a while.
    pub(super) fn disturb(&self) -> bool {
        let mut state = self.lock();
        let newest = state.published.values().map(|published| published.generation).max();
        let known =
            state.open.iter().filter_map(|slot| state.published.get(slot)).map(|published| published.generation);
        // One attack at a time: nothing is promised against an attacker that overwrites these
        // entries continuously, who could as well delete everything.
        let is_quiet = state.quiet_until.is_some_and(|until| until > Instant::now());
        let has_records = state.acknowledged.iter().any(|write| write.position > 0);
        let is_known = newest.is_some() && known.max() == newest && !state.rotating && !is_quiet && has_records;
        if is_known {
            state.quiet_until = Some(Instant::now() + Duration::from_secs(10));
        }
        is_known
    }

    /// Waits until the process may end.
    pub(super) async fn quiet(&self) {
        loop {
            let until = self.lock().quiet_until.filter(|until| *until > Instant::now());
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    /// Returns the documents that a process must show at `order`.
    pub(super) fn expected(&self, order: Order) -> Documents {
        self.lock().history.documents(order)
    }

    /// Checks that a restore discards every write acknowledged before it began and after its
    /// snapshot.
    pub(super) fn check_restores(&self, found: &Documents, generation: u64) {
        // A forking store may show the restored state of another branch.
        if self.plan.kind == Kind::Adversary {
            return;
        }
        let survivor = self.lock().survivor(found, generation);
        if let Some(write) = survivor {
            self.violation(format!("the write acknowledged at position {} survived a restore", write.position));
        }
    }

    pub(super) fn catalog(&self) -> Bucket {
        Bucket::log("catalog_v1").expect("a name")
    }

    pub(super) fn observe(&self, slot: usize, life: usize, event: Event) {
        let mut state = self.lock();
        match event {
            Event::Sealed { .. } => state.history.sealed(slot, life, &event),
            Event::Manifest { manifest, parent, position } => state.history.manifest(manifest, parent, position),
            Event::Accepted { before, after, position, record, epoch, changes, .. } => {
                let changes = changes
                    .into_iter()
                    .filter_map(|(cid, document)| {
                        let number = (0..DOCUMENTS).find(|number| document_cid(*number) == cid)?;
                        Some((number, document.map(|document| document.size.unwrap_or_default())))
                    })
                    .collect();
                let link = Link { before, position, record, epoch, changes };
                state.history.links.insert(after, link);
            }
            Event::Published { position, order, generation, manifest } => {
                let published = Published { life, position, order, generation, manifest };
                if let Err(what) = state.publish(&self.plan, slot, published) {
                    state.violations.push(format!("process {slot}, life {life}: {what}"));
                }
            }
            _ => {}
        }
    }
}

impl State {
    /// Returns a write that a restore should have undone, but that is still visible in `found`,
    /// which was read under a manifest of `generation`.
    fn survivor(&self, found: &Documents, generation: u64) -> Option<Acknowledged> {
        let undoes = |restore: &Restore, write: &Acknowledged| {
            let is_held = restore.generation.is_some_and(|restored| restored <= generation);
            is_held && restore.snapshot_moment < write.began && write.moment < restore.moment
        };
        let is_undone = |write: &Acknowledged| {
            let may_be_back = self.restores.iter().any(|restore| restore.snapshot_moment >= write.began);
            !may_be_back && self.restores.iter().any(|restore| undoes(restore, write))
        };
        let shows =
            |write: &Acknowledged| write.version.is_some() && found.get(&write.number).copied() == write.version;
        self.acknowledged.iter().copied().find(|write| shows(write) && is_undone(write))
    }

    /// Stores a pin, which records the last published state.
    pub(super) fn pin(&mut self, slot: usize, life: usize, pin: &[u8]) {
        self.pins.insert(slot, pin.to_vec());
        match self.published.get(&slot).filter(|published| published.life == life) {
            Some(published) => self.pinned.insert(slot, *published),
            None => self.pinned.remove(&slot),
        };
    }

    /// Checks that the first published state of a life continues the state of its pin.
    fn check_pin(&self, slot: usize, published: Published) -> Result<(), String> {
        let Some(pinned) = self.pinned.get(&slot).filter(|pinned| pinned.life < published.life) else { return Ok(()) };
        if published.position < pinned.position {
            let (from, to) = (pinned.position, published.position);
            return Err(format!("an opener shows position {to}, but its pin records {from}"));
        }
        let prefix = self.history.digest_at(published.order, pinned.position);
        if prefix.is_some_and(|prefix| prefix != pinned.order) {
            return Err(format!("the order of an opener differs from its pin at position {}", pinned.position));
        }
        if !self.history.descends(published.manifest, pinned.manifest) {
            return Err(format!("an opener is on another branch than its pin of generation {}", pinned.generation));
        }
        Ok(())
    }

    fn publish(&mut self, plan: &Plan, slot: usize, published: Published) -> Result<(), String> {
        let former = self.published.insert(slot, published);
        // Without a pin, a new life knows nothing of the previous one.
        if let Some(former) = former.filter(|former| former.life == published.life) {
            if published.position < former.position {
                let (from, to) = (former.position, published.position);
                return Err(format!("the published position went back from {from} to {to}"));
            }
            let prefix = self.history.digest_at(published.order, former.position);
            if prefix.is_some_and(|prefix| prefix != former.order) {
                return Err(format!(
                    "the published order was replaced by one that differs at position {}",
                    former.position
                ));
            }
            if !self.history.descends(published.manifest, former.manifest) {
                return Err(format!("a manifest of another branch was adopted after generation {}", former.generation));
            }
        }
        self.check_pin(slot, published)?;
        let closes = plan.is_pinned;
        self.history.check_chain(published.order, published.manifest, closes)?;
        if plan.kind != Kind::Adversary {
            let agreed = *self.agreed.entry(published.position).or_insert(published.order);
            if agreed != published.order {
                return Err(format!("two processes have different orders at position {}", published.position));
            }
        }
        Ok(())
    }
}

pub(super) fn document_cid(number: usize) -> cid::Cid {
    content_cid(&[u8::try_from(number).expect("there are few documents")])
}
