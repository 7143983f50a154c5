//! Sorts hits by any key, starting after any position.
//!
//! A sort key becomes a rank, a number that is smaller for what comes first. Documents without the
//! key have the largest rank in either direction.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::source::Source;
use crate::encoding::numbers;
use crate::error::Result;
use crate::keys::{self, ColumnKind};
use crate::memtable::MemtableView;
use crate::page::fetch::Fetcher;
use crate::page::{DocId, PageClass};
use crate::search::options::SearchOptions;
use crate::search::order::{Sort, SortBy, SortOrder};
use crate::segment::Column;

const NO_KEY: u128 = u128::MAX;

/// Returns the rank of a score.
pub(super) fn rank_of_score(score: f32, order: SortOrder) -> u128 {
    // Scores are not negative, so their bits sort like the scores.
    directed(u128::from(score.to_bits()), order)
}

fn directed(key: u128, order: SortOrder) -> u128 {
    match order {
        SortOrder::Ascending => key,
        SortOrder::Descending => NO_KEY - 1 - key,
    }
}

/// Keeps the first documents of one source in the requested order.
pub(super) struct Sorter<'a> {
    order: SortOrder,
    /// The columns to sort by, or `None` for the score.
    numbers: Option<Vec<(ColumnKind, Numbers)>>,
    /// The memtable, whose CIDs break ties. For a segment it is `None`, because its documents are
    /// numbered in CID order.
    view: Option<&'a MemtableView>,
    after: Option<After>,
    limit: usize,
    /// A heap with the last of the kept documents on top.
    heap: BinaryHeap<Entry<'a>>,
}

/// A kept document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) rank: u128,
    tie: Tie<'a>,
    pub(super) document: u32,
    pub(super) score: f32,
}

/// The tie-breaker for documents of equal rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie<'a> {
    Document(u32),
    Cid(&'a [u8]),
}

/// The position after which hits start.
struct After {
    rank: u128,
    cid: Vec<u8>,
    /// In a segment, the first document with a larger CID.
    first: u32,
}

/// The numbers of one field, read in document order.
enum Numbers {
    Segment(Column),
    Memtable(std::iter::Peekable<std::vec::IntoIter<(u32, u64)>>),
}

/// Requests the table pages that a sort needs, but not yet the pages they refer to.
pub(super) fn request_order(source: &Source<'_>, options: &SearchOptions, fetcher: &Fetcher<'_>) -> Result<()> {
    let Source::Segment(segment, _) = source else { return Ok(()) };
    if let SortBy::Number(field) = &options.sort.by {
        let (kinds, name) = field.columns();
        kinds.iter().try_for_each(|kind| segment.find_column(fetcher, *kind, name).map(drop))?;
    }
    if let Some(after) = &options.after {
        let (_, cid) = after.place(&options.sort)?;
        segment.rank_above(fetcher, PageClass::Cids, &cid)?;
    }
    Ok(())
}

impl<'a> Sorter<'a> {
    /// Opens the columns that a sort needs. Missing pages are recorded by the fetcher and skipped.
    pub(super) fn open(source: &Source<'a>, options: &SearchOptions, fetcher: &Fetcher<'_>) -> Result<Self> {
        let Sort { by, order } = &options.sort;
        let numbers = match by {
            SortBy::Score => None,
            SortBy::Number(field) => {
                let (kinds, name) = field.columns();
                let opened = kinds.iter().map(|kind| Ok(Some((*kind, numbers_of(source, *kind, name, fetcher)?))));
                let opened = opened.collect::<Result<Vec<_>>>()?;
                Some(opened.into_iter().flatten().filter_map(|(kind, numbers)| Some((kind, numbers?))).collect())
            }
        };
        let after = options.after.as_ref().map(|after| after.place(&options.sort)).transpose()?;
        let after = after.map(|(rank, cid)| -> Result<After> {
            let first = match source {
                Source::Segment(segment, _) => segment.rank_above(fetcher, PageClass::Cids, &cid)?.unwrap_or_default(),
                Source::Memtable(..) => 0,
            };
            Ok(After { rank, cid, first })
        });
        let view = match source {
            Source::Segment(..) => None,
            Source::Memtable(view, _) => Some(*view),
        };
        let limit = options.offset + options.limit;
        Ok(Self { order: *order, numbers, view, after: after.transpose()?, limit, heap: BinaryHeap::new() })
    }

    /// Offers a match, which is kept if it is among the first so far. Documents come in increasing
    /// order.
    pub(super) fn offer(&mut self, document: u32, score: f32) {
        let rank = match &mut self.numbers {
            None => rank_of_score(score, self.order),
            Some(numbers) => {
                let key = numbers.iter_mut().find_map(|(kind, numbers)| Some(key_of(*kind, numbers.seek(document)?)));
                key.map_or(NO_KEY, |key| directed(key, self.order))
            }
        };
        if self.limit == 0 || self.heap.len() == self.limit && self.heap.peek().is_some_and(|last| rank > last.rank) {
            return;
        }
        let tie = match self.view {
            None => Tie::Document(document),
            Some(view) => Tie::Cid(view.cid_bytes(DocId(document)).unwrap_or_default()),
        };
        if self.after.as_ref().is_some_and(|after| !after.precedes(rank, tie)) {
            return;
        }
        let entry = Entry { rank, tie, document, score };
        if self.heap.len() < self.limit {
            self.heap.push(entry);
        } else if let Some(mut last) = self.heap.peek_mut()
            && entry < *last
        {
            *last = entry;
        }
    }

    /// Returns the kept documents, in order.
    pub(super) fn finish(self) -> Vec<Entry<'a>> {
        self.heap.into_sorted_vec()
    }
}

impl After {
    fn precedes(&self, rank: u128, tie: Tie<'_>) -> bool {
        let is_behind = match tie {
            Tie::Document(document) => document >= self.first,
            Tie::Cid(cid) => cid > self.cid.as_slice(),
        };
        rank > self.rank || rank == self.rank && is_behind
    }
}

fn numbers_of(source: &Source<'_>, kind: ColumnKind, name: &str, fetcher: &Fetcher<'_>) -> Result<Option<Numbers>> {
    Ok(match source {
        Source::Segment(segment, _) => match segment.find_column(fetcher, kind, name)?.flatten() {
            Some(found) => segment.open_column(fetcher, kind, found.value())?.map(Numbers::Segment),
            None => None,
        },
        Source::Memtable(view, _) => {
            let numbers = view.list(&keys::column(kind, name)).map(|list| list.numbers().collect::<Vec<_>>());
            numbers.map(|numbers| Numbers::Memtable(numbers.into_iter().peekable()))
        }
    })
}

impl Numbers {
    fn seek(&mut self, document: u32) -> Option<u64> {
        match self {
            Self::Segment(column) => column.seek(document),
            Self::Memtable(numbers) => {
                while numbers.next_if(|(at, _)| *at < document).is_some() {}
                numbers.next_if(|(at, _)| *at == document).map(|(_, number)| number)
            }
        }
    }
}

/// Returns a sort key for a number, so that integers and floats in one field compare by value.
///
/// The key consists of the largest float that does not exceed the number, and the remainder.
fn key_of(kind: ColumnKind, code: u64) -> u128 {
    let (float, above) = match kind {
        ColumnKind::Created | ColumnKind::Modified | ColumnKind::Size | ColumnKind::Length => return u128::from(code),
        ColumnKind::Float => (numbers::to_float(code), 0),
        ColumnKind::Integer | ColumnKind::Date => {
            let whole = i128::from(numbers::to_integer(code));
            let nearest = whole as f64;
            let float = if nearest as i128 > whole { nearest.next_down() } else { nearest };
            (float, whole - float as i128)
        }
    };
    // A 64-bit integer is at most 2^11 above that float.
    u128::from(numbers::of_float(float).unwrap_or_default()) << 16 | above as u128
}

impl Eq for Entry<'_> {}

impl Ord for Entry<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rank, self.tie).cmp(&(other.rank, other.tie))
    }
}

impl PartialOrd for Entry<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key_of_integer(number: i64) -> u128 {
        key_of(ColumnKind::Integer, numbers::of_integer(number))
    }

    fn key_of_float(number: f64) -> u128 {
        key_of(ColumnKind::Float, numbers::of_float(number).unwrap())
    }

    proptest! {
        #[test]
        fn keys_order_whole_numbers_and_others_as_one(
            a in prop_oneof![any::<i64>(), -9i64..9, Just(i64::MAX), Just(i64::MIN)],
            b in prop_oneof![any::<i64>(), -9i64..9, Just(i64::MAX - 1)],
            x in prop_oneof![-1e19..1e19f64, -9.0..9.0f64, any::<i64>().prop_map(|number| number as f64)],
        ) {
            prop_assert_eq!(key_of_integer(a).cmp(&key_of_integer(b)), a.cmp(&b));
            // Compares exactly: by the integer part, then by whether there is a fraction.
            let whole = x.floor() as i128;
            let expected = i128::from(a).cmp(&whole).then(if x.fract() == 0.0 { Ordering::Equal } else { Ordering::Less });
            prop_assert_eq!(key_of_integer(a).cmp(&key_of_float(x)), expected, "{} {}", a, x);
        }

        #[test]
        fn ranks_turn_keys_around_and_leave_the_keyless_last(a in any::<u64>(), b in any::<u64>()) {
            let [up, down] = [SortOrder::Ascending, SortOrder::Descending].map(|order| {
                let rank = |key: u64| directed(u128::from(key) << 16, order);
                assert!(rank(a) < NO_KEY);
                rank(a).cmp(&rank(b))
            });
            prop_assert_eq!(up, a.cmp(&b));
            prop_assert_eq!(down, b.cmp(&a));
        }
    }
}
