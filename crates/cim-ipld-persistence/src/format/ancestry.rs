//! The digests of all ancestors of a manifest, as an append-only Merkle tree: a Merkle mountain
//! range of fan-out 16. The manifest contains the right edge of the tree (the frontier), and its
//! full nodes are separate objects.

use bincode::{Decode, Encode};

use super::digest::Digest;
use super::{damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// The number of children of a node.
pub(crate) const FAN_OUT: usize = 16;

/// The right edge of the tree. Level 0 holds digests of manifests; each higher level holds digests
/// of full nodes of the level below. Every level has fewer than [`FAN_OUT`] entries, so the edge
/// stays below 4 KiB for four billion generations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Ancestry {
    levels: Vec<Vec<Digest>>,
}

/// A full node: the digests of its children.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Node {
    children: Vec<Digest>,
}

/// The place of a node in the tree: its level, which is 1 for nodes whose children are manifests,
/// and its index within the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodePlace {
    pub(crate) level: usize,
    pub(crate) index: u64,
}

impl NodePlace {
    pub(crate) fn child(self, index: usize) -> Self {
        Self { level: self.level - 1, index: self.index * FAN_OUT as u64 + index as u64 }
    }
}

/// Where the digest of a generation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Here(Digest),
    /// In a full node, with the child indexes on the path down.
    Below {
        node: Digest,
        place: NodePlace,
        children: Vec<usize>,
    },
    /// Not an ancestor.
    Absent,
}

impl Ancestry {
    /// Returns the number of generations covered.
    pub(crate) fn generations(&self) -> u64 {
        let mut covered = 0_u64;
        let mut weight = 1_u64;
        for level in &self.levels {
            covered = covered.saturating_add(weight.saturating_mul(level.len() as u64));
            weight = weight.saturating_mul(FAN_OUT as u64);
        }
        covered
    }

    /// Adds the digest of the next generation. Returns the nodes completed by it, which must be
    /// stored before a manifest names them.
    pub(crate) fn push(&mut self, digest: Digest) -> Vec<(NodePlace, Node)> {
        let (mut nodes, mut carried) = (Vec::new(), digest);
        let mut weight = FAN_OUT as u64;
        let covered = self.generations() + 1;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(carried);
            if self.levels[level].len() < FAN_OUT {
                break;
            }
            let node = Node { children: std::mem::take(&mut self.levels[level]) };
            carried = node.digest();
            nodes.push((NodePlace { level: level + 1, index: covered / weight - 1 }, node));
            weight = weight.saturating_mul(FAN_OUT as u64);
        }
        nodes
    }

    /// Finds the digest of `generation`, which is at least 1.
    pub(crate) fn path(&self, generation: u64) -> Path {
        if generation == 0 || generation > self.generations() {
            return Path::Absent;
        }
        // Entries of higher levels are older.
        let mut index = generation - 1;
        for (level, digests) in self.levels.iter().enumerate().rev() {
            let weight = (FAN_OUT as u64).saturating_pow(u32::try_from(level).expect("there are at most 16 levels"));
            let covered = weight.saturating_mul(digests.len() as u64);
            if index >= covered {
                index -= covered;
                continue;
            }
            let entry = usize::try_from(index / weight).expect("less than a level's length");
            if level == 0 {
                return Path::Here(digests[entry]);
            }
            let (mut rest, mut below, mut children) = (index % weight, weight, Vec::with_capacity(level));
            for _ in 0..level {
                below /= FAN_OUT as u64;
                children.push(usize::try_from(rest / below).expect("less than the fan-out"));
                rest %= below;
            }
            let place = NodePlace { level, index: (generation - 1) / weight };
            return Path::Below { node: digests[entry], place, children };
        }
        Path::Absent
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.levels.len() > FAN_OUT || self.levels.iter().any(|level| level.len() >= FAN_OUT) {
            return Err(damaged("the ancestry of the manifest", "a level has too many entries"));
        }
        Ok(())
    }
}

impl Node {
    pub(crate) fn digest(&self) -> Digest {
        Digest::of("cim/v1/ancestry", &[&self.to_bytes()])
    }

    pub(crate) fn child(&self, index: usize) -> Option<Digest> {
        self.children.get(index).copied()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let node: Self = decode("a node of the manifest's ancestry", VERSION, bytes)?;
        if node.children.len() != FAN_OUT {
            return Err(damaged("a node of the manifest's ancestry", "it does not have 16 children"));
        }
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn finds_every_ancestor_and_no_other() {
        let digest = |generation: u64| Digest::of("test", &[&generation.to_le_bytes()]);
        let (mut ancestry, mut stored) = (Ancestry::default(), BTreeMap::new());
        for generation in 1..=5000_u64 {
            assert_eq!(ancestry.generations(), generation - 1);
            for (place, node) in ancestry.push(digest(generation)) {
                let node = Node::from_bytes(&node.to_bytes()).expect("decodes");
                assert!(stored.insert(place, node).is_none(), "{place:?} twice");
            }
            ancestry.check().expect("consistent");
            if generation % 97 != 0 && generation > 40 {
                continue;
            }
            for wanted in 1..=generation {
                let found = match ancestry.path(wanted) {
                    Path::Here(found) => found,
                    Path::Below { mut node, mut place, children } => {
                        for child in children {
                            let stored: &Node = &stored[&place];
                            assert_eq!(stored.digest(), node);
                            node = stored.child(child).expect("a child");
                            place = place.child(child);
                        }
                        node
                    }
                    Path::Absent => panic!("{wanted} of {generation} is missing"),
                };
                assert_eq!(found, digest(wanted), "{wanted} of {generation}");
            }
            assert_eq!(ancestry.path(0), Path::Absent);
            assert_eq!(ancestry.path(generation + 1), Path::Absent);
        }
        assert_eq!(stored.len(), 312 + 19 + 1);
    }
}
