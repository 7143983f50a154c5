//! All records accepted by any process, as a tree of orders. A digest represents the order up to
//! it.

use std::collections::{BTreeMap, BTreeSet};

use cim_ipld_persistence::Event;

pub(super) type Order = [u8; 16];
pub(super) type Manifest = [u8; 32];

/// The version of every existing document, by its number.
pub(super) type Documents = BTreeMap<usize, u64>;

/// One record in an order.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) before: Order,
    pub(super) position: u64,
    pub(super) record: [u8; 16],
    pub(super) epoch: u64,
    /// The document numbers and their new versions.
    pub(super) changes: Vec<(usize, Option<u64>)>,
}

/// The history that a record attests.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) slot: usize,
    pub(super) life: usize,
    pub(super) seen: u64,
    pub(super) order: Order,
    pub(super) manifest: Manifest,
}

/// A published state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) life: usize,
    pub(super) position: u64,
    pub(super) order: Order,
    pub(super) generation: u64,
    pub(super) manifest: Manifest,
}

#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) links: BTreeMap<Order, Link>,
    pub(super) sealed: BTreeMap<[u8; 16], Sealed>,
    manifests: BTreeMap<Manifest, (Manifest, u64)>,
}

impl History {
    pub(super) fn sealed(&mut self, slot: usize, life: usize, event: &Event) {
        if let Event::Sealed { record, seen, order, manifest, .. } = event {
            let sealed = Sealed { slot, life, seen: *seen, order: *order, manifest: *manifest };
            self.sealed.insert(*record, sealed);
        }
    }

    pub(super) fn manifest(&mut self, manifest: Manifest, parent: Manifest, position: u64) {
        self.manifests.insert(manifest, (parent, position));
    }

    /// Returns the records up to `order`, oldest first.
    pub(super) fn chain(&self, order: Order) -> Vec<&Link> {
        let mut chain = Vec::new();
        let mut at = order;
        while let Some(link) = self.links.get(&at) {
            chain.push(link);
            at = link.before;
        }
        chain.reverse();
        chain
    }

    /// Returns the digest at `position` of the chain that ends in `order`.
    pub(super) fn digest_at(&self, order: Order, position: u64) -> Option<Order> {
        let mut at = order;
        loop {
            let link = self.links.get(&at);
            match link {
                Some(link) if link.position == position => return Some(at),
                Some(link) if link.position < position => return None,
                Some(link) if link.position == position + 1 => return Some(link.before),
                Some(link) => at = link.before,
                None => return None,
            }
        }
    }

    /// Returns whether `ancestor` is `manifest` or one of its known ancestors.
    pub(super) fn descends(&self, manifest: Manifest, ancestor: Manifest) -> bool {
        let mut at = manifest;
        loop {
            if at == ancestor {
                return true;
            }
            match self.manifests.get(&at) {
                Some((parent, _)) => at = *parent,
                None => return false,
            }
        }
    }

    /// Returns the documents that result from the order without restores.
    pub(super) fn documents(&self, order: Order) -> Documents {
        let mut documents = Documents::new();
        for (number, version) in self.chain(order).iter().flat_map(|link| &link.changes) {
            match version {
                Some(version) => documents.insert(*number, *version),
                None => documents.remove(number),
            };
        }
        documents
    }

    /// Checks the records of a chain.
    pub(super) fn check_chain(&self, order: Order, manifest: Manifest, closes: bool) -> Result<(), String> {
        let (mut records, mut lives, mut epoch) = (BTreeSet::new(), BTreeMap::new(), 0);
        let chain = self.chain(order);
        for link in &chain {
            let position = link.position;
            if !records.insert(link.record) {
                return Err(format!("a record is applied twice, the second time at position {position}"));
            }
            if link.epoch < epoch {
                return Err(format!("a record under a retired key is applied at position {position}"));
            }
            epoch = epoch.max(link.epoch);
            let Some(sealed) = self.sealed.get(&link.record) else {
                return Err(format!("a record that no process sealed is applied at position {position}"));
            };
            if sealed.seen >= position {
                return Err(format!(
                    "the record at position {position} attests {} earlier records, more than precede it",
                    sealed.seen
                ));
            }
            let prefix = self.digest_at(order, sealed.seen);
            if prefix.is_some_and(|prefix| prefix != sealed.order) {
                return Err(format!(
                    "the record at position {position} attests an order other than the one in which it was applied"
                ));
            }
            if !self.descends(manifest, sealed.manifest) {
                return Err(format!("the record at position {position} attests a manifest of another branch"));
            }
            let newest = lives.entry(sealed.slot).or_insert(sealed.life);
            if closes && sealed.life < *newest {
                return Err(format!("a record of a closed writer is applied at position {position}"));
            }
            *newest = sealed.life.max(*newest);
        }
        Ok(())
    }
}
