//! Orders as short lists of numbers, and the operations in them.

use std::fmt;

const CAPACITY: usize = 15;

/// A short list of records, manifests or writers, by number.
///
/// A list of records also represents its digest, because hashes in the model are perfect.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct List {
    length: u8,
    items: [u8; CAPACITY],
}

impl List {
    pub(crate) const EMPTY: Self = Self { length: 0, items: [0; CAPACITY] };

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.items[..self.len()]
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.length)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn push(&mut self, item: u8) {
        self.items[self.len()] = item;
        self.length += 1;
    }

    pub(crate) fn with(mut self, item: u8) -> Self {
        self.push(item);
        self
    }

    pub(crate) fn contains(&self, item: u8) -> bool {
        self.as_slice().contains(&item)
    }

    pub(crate) fn last(&self) -> Option<u8> {
        self.as_slice().last().copied()
    }

    pub(crate) fn at(&self, index: usize) -> Option<u8> {
        self.as_slice().get(index).copied()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.as_slice().iter().copied()
    }

    /// Returns whether this list starts with `prefix`.
    pub(crate) fn begins_with(&self, prefix: &Self) -> bool {
        self.as_slice().starts_with(prefix.as_slice())
    }

    /// Returns whether one of the two lists is a prefix of the other.
    pub(crate) fn on_one_chain(&self, other: &Self) -> bool {
        self.begins_with(other) || other.begins_with(self)
    }

    /// Returns the length of the common prefix.
    pub(crate) fn common(&self, other: &Self) -> usize {
        self.iter().zip(other.iter()).take_while(|(one, two)| one == two).count()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// The operation of a record. Every operation is submitted once by its client, so a second
/// occurrence in an order is a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// None: the record closes writers or starts an epoch.
    Barrier,
    /// Client 0 puts document A.
    PutA,
    /// Client 0 then deletes document A.
    DeleteA,
    /// Client 1 puts document A.
    ReplaceA,
    /// Client 1 then puts document B.
    PutB,
    /// A thief with the retired key puts document A.
    ForgeA,
}

impl Operation {
    /// Returns what a client submits, in order.
    pub(crate) fn of(client: usize) -> &'static [Self] {
        match client {
            0 => &[Self::PutA, Self::DeleteA],
            1 => &[Self::ReplaceA, Self::PutB],
            _ => &[],
        }
    }
}

/// A set of operations.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Operations(u8);

impl Operations {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn insert(&mut self, operation: Operation) {
        self.0 |= 1 << operation as u8;
    }

    pub(crate) fn contains(self, operation: Operation) -> bool {
        self.0 >> operation as u8 & 1 == 1
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Operation::{DeleteA, ForgeA, PutA, PutB, ReplaceA};
        let all = [PutA, DeleteA, ReplaceA, PutB, ForgeA];
        f.debug_set().entries(all.iter().filter(|operation| self.contains(**operation))).finish()
    }
}

/// The result of an order: for each of two documents, the operation that put it, if it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Documents {
    a: Option<Operation>,
    b: Option<Operation>,
}

impl Documents {
    pub(crate) const NONE: Self = Self { a: None, b: None };

    pub(crate) fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Barrier => {}
            Operation::PutA | Operation::ReplaceA | Operation::ForgeA => self.a = Some(operation),
            Operation::DeleteA => self.a = None,
            Operation::PutB => self.b = Some(operation),
        }
    }
}
