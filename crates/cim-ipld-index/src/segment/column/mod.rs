//! Columns: the numbers of one field, so that ranges and sorts need not read documents.
//!
//! A column is an entry of the fields table. Its value consists of the number of values (varint);
//! for lengths, their sum (varint); the length of the presence set, or 0 if every document has a
//! value (varint); per block of 4,096 values the minimum, as the difference to the previous block
//! (zigzag varint of the wrapping difference), and the difference between maximum and minimum
//! (varint); then the location of the rest (u8): inline, or at an offset (varint) of the column
//! stream.
//!
//! The rest is the presence set and the blocks: each value minus the minimum of its block,
//! bit-packed in the width of the block's largest difference, least significant bits first. Values
//! are in document order.

mod read;

pub(crate) use read::{Column, ColumnFetch};

use super::stream::{Emitter, StreamWriter};
use crate::encoding::docset;
use crate::encoding::wire::{Reader, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};
use crate::keys::ColumnKind;

/// The number of values in a full block.
const BLOCK: usize = 4096;
/// A column of at most this many bytes is stored inline in its table.
const MAX_INLINE: usize = 512;
const IN_TABLE: u8 = 0;
const IN_STREAM: u8 = 1;

/// A document and its value.
pub(crate) type Number = (u32, u64);

/// The decoded table entry of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnPlace<'a> {
    /// The number of documents with a value.
    pub(crate) count: u32,
    /// The sum of the values of a length column, otherwise 0.
    pub(crate) sum: u64,
    presence_len: u64,
    blocks: Vec<Block>,
    rest: Rest<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    min: u64,
    max: u64,
    /// The start of its values after the presence set, in bytes.
    start: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest<'a> {
    Table(&'a [u8]),
    Stream(u64),
}

/// Writes the numbers, given in document order. Returns the value of the table entry; the part that
/// is not inline goes to the stream.
pub(super) fn write(
    kind: ColumnKind,
    numbers: &[Number],
    document_count: u32,
    stream: &mut StreamWriter,
    out: &mut Emitter<'_>,
) -> Result<Vec<u8>> {
    let (value, rest) = encode(kind, numbers, document_count, stream.len());
    if let Some(rest) = rest {
        stream.write(&rest, out)?;
    }
    Ok(value)
}

/// Encodes a column. Returns the value of the table entry and the part for the stream at `offset`,
/// if any.
pub(crate) fn encode(
    kind: ColumnKind,
    numbers: &[Number],
    document_count: u32,
    offset: u64,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let (mut value, mut rest) = (Vec::new(), Vec::new());
    put_varint(&mut value, numbers.len() as u64);
    if kind == ColumnKind::Length {
        put_varint(&mut value, numbers.iter().map(|(_, length)| *length).sum());
    }
    if numbers.len() < document_count as usize {
        docset::encode(numbers.iter().map(|(document, _)| *document), &mut rest);
    }
    put_varint(&mut value, rest.len() as u64);
    let mut before = 0u64;
    for block in numbers.chunks(BLOCK) {
        let min = block.iter().map(|(_, number)| *number).min().unwrap_or(0);
        let max = block.iter().map(|(_, number)| *number).max().unwrap_or(0);
        put_varint(&mut value, zigzag(min.wrapping_sub(before) as i64));
        put_varint(&mut value, max - min);
        before = min;
        pack(block.iter().map(|(_, number)| number - min), width(min, max), &mut rest);
    }
    if rest.len() <= MAX_INLINE {
        value.push(IN_TABLE);
        value.append(&mut rest);
        return (value, None);
    }
    value.push(IN_STREAM);
    put_varint(&mut value, offset);
    (value, Some(rest))
}

/// Returns the bit width of a block's values.
fn width(min: u64, max: u64) -> u32 {
    64 - (max - min).leading_zeros()
}

fn block_bytes(values: usize, width: u32) -> u64 {
    (values as u64 * u64::from(width)).div_ceil(8)
}

fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut word, mut filled) = (0u128, 0);
    for value in values {
        word |= u128::from(value) << filled;
        filled += width;
        while filled >= 8 {
            out.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
}

impl<'a> ColumnPlace<'a> {
    pub(crate) fn decode(kind: ColumnKind, value: &'a [u8], document_count: u32) -> Result<Self> {
        let mut reader = Reader::new(value);
        let count = reader.varint_u32()?;
        let sum = if kind == ColumnKind::Length { reader.varint()? } else { 0 };
        let presence_len = reader.varint()?;
        if count == 0 || count > document_count || (presence_len == 0) != (count == document_count) {
            return Err(Error::damaged("a column has no values, or values of documents that do not exist"));
        }
        let len = (count as usize).div_ceil(BLOCK);
        if len * 2 > reader.remaining() {
            return Err(Error::damaged("a column has too few blocks for its values"));
        }
        let mut blocks = Vec::with_capacity(len);
        let (mut before, mut start) = (0u64, 0u64);
        for index in 0..len {
            let min = before.wrapping_add(unzigzag(reader.varint()?) as u64);
            let max = min.checked_add(reader.varint()?).ok_or_else(|| Error::damaged("a column's block overflows"))?;
            blocks.push(Block { min, max, start });
            start += block_bytes(block_len(count, index), width(min, max));
            before = min;
        }
        let rest = match reader.u8()? {
            IN_TABLE => Rest::Table(reader.take(reader.remaining())?),
            IN_STREAM => Rest::Stream(reader.varint()?),
            _ => return Err(Error::damaged("a column has an unknown location")),
        };
        let place = Self { count, sum, presence_len, blocks, rest };
        match rest {
            Rest::Table(bytes) if Some(bytes.len() as u64) != presence_len.checked_add(start) => {
                Err(Error::damaged("an inline column has the wrong length"))
            }
            Rest::Stream(_) if !reader.is_empty() => {
                Err(Error::damaged("trailing bytes follow the location of a column"))
            }
            _ => Ok(place),
        }
    }

    /// Returns the offset and length of the column in the stream, if it is there.
    pub(crate) fn stream_range(&self) -> Option<(u64, u64)> {
        match self.rest {
            Rest::Table(_) => None,
            Rest::Stream(offset) => Some((offset, self.presence_len.saturating_add(self.values_len()))),
        }
    }

    fn values_len(&self) -> u64 {
        let Some((last, index)) = self.blocks.last().zip(self.blocks.len().checked_sub(1)) else { return 0 };
        last.start + block_bytes(block_len(self.count, index), width(last.min, last.max))
    }
}

fn block_len(count: u32, index: usize) -> usize {
    (count as usize - index * BLOCK).min(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::docset::BitSet;
    use crate::page::fetch::Fetcher;
    use crate::page::{PageClass, PageMap, SegmentId};
    use proptest::prelude::*;

    const SEGMENT: SegmentId = SegmentId([1; 16]);

    /// Writes a column after a few other bytes, and passes its value and pages to `check`.
    fn with_column(numbers: &[Number], document_count: u32, check: impl FnOnce(&[u8], &ColumnFetch<'_>)) {
        let mut pages = PageMap::new();
        let (value, stream_len) = {
            let mut sink = pages.sink(SEGMENT);
            let mut out = Emitter::new(&mut sink);
            let mut stream = StreamWriter::new(PageClass::Columns);
            stream.write(b"others", &mut out).unwrap();
            let value = write(ColumnKind::Size, numbers, document_count, &mut stream, &mut out).unwrap();
            (value, stream.finish(&mut out).unwrap())
        };
        let fetcher = Fetcher::new(&pages);
        check(&value, &ColumnFetch { fetcher: &fetcher, segment: SEGMENT, stream_len });
    }

    fn numbers(value: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<Number>> {
        proptest::collection::btree_map(0u32..300, value, 1..120).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn columns_round_trip_and_ranges_equal_a_scan(
            numbers in prop_oneof![numbers(any::<u64>()), numbers(0u64..9), numbers((1u64 << 63)..(1 << 63) + 1000)],
            is_full in any::<bool>(),
            bounds in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let mut numbers = numbers;
            let mut document_count = 300;
            if is_full {
                numbers.iter_mut().zip(0..).for_each(|((document, _), index)| *document = index);
                document_count = numbers.len() as u32;
            }
            with_column(&numbers, document_count, |value, fetch| {
                let place = ColumnPlace::decode(ColumnKind::Size, value, document_count).unwrap();
                let mut column = place.open(fetch, document_count).unwrap().unwrap();
                assert_eq!(column.iter().collect::<Vec<_>>(), numbers);
                let wanted = |document: u32| numbers.iter().find(|(own, _)| *own == document).map(|(_, number)| *number);
                (0..document_count).for_each(|document| assert_eq!(column.seek(document), wanted(document)));
                let (a, b) = (bounds.0.get(&numbers).1, bounds.1.get(&numbers).1);
                let range = a.min(b)..=a.max(b).saturating_add(1);
                let mut set = BitSet::empty(document_count);
                assert!(place.insert_range(fetch, &range, &mut set).unwrap());
                let expected: Vec<u32> =
                    numbers.iter().filter(|(_, number)| range.contains(number)).map(|(document, _)| *document).collect();
                assert_eq!(set.iter().collect::<Vec<_>>(), expected);
            });
        }

        #[test]
        fn hostile_values_are_an_error_or_a_column(bytes in proptest::collection::vec(any::<u8>(), 0..60), stream in any::<u64>()) {
            let (pages, document_count) = (PageMap::new(), 1000);
            let fetcher = Fetcher::new(&pages);
            let fetch = ColumnFetch { fetcher: &fetcher, segment: SEGMENT, stream_len: stream };
            if let Ok(place) = ColumnPlace::decode(ColumnKind::Date, &bytes, document_count) {
                let _ = place.open(&fetch, document_count).map(|column| column.map(|column| column.iter().count()));
                let _ = place.insert_range(&fetch, &(3..=u64::MAX), &mut BitSet::empty(document_count));
            }
        }
    }

    #[test]
    fn a_range_reads_only_the_blocks_that_its_bounds_cut() {
        let numbers: Vec<Number> =
            (0..200_000).map(|n| (n, u64::from(n) * 1_000_003 % 65_536 + u64::from(n) * 100)).collect();
        with_column(&numbers, 200_000, |value, fetch| {
            let place = ColumnPlace::decode(ColumnKind::Size, value, 200_000).unwrap();
            let none = PageMap::new();
            let fetcher = Fetcher::new(&none);
            let cold = ColumnFetch { fetcher: &fetcher, ..*fetch };
            let mut set = BitSet::empty(200_000);
            assert!(place.insert_range(&cold, &(u64::MAX..=u64::MAX), &mut set).unwrap());
            assert!(place.insert_range(&cold, &(0..=u64::MAX), &mut set).unwrap());
            assert_eq!((set.count(), fetcher.missing_count()), (200_000, 0));
            assert!(!place.insert_range(&cold, &(10_000_000..=10_000_100), &mut set).unwrap());
            assert!((1..4).contains(&fetcher.missing_count()), "{}", fetcher.missing_count());
        });
    }

    #[test]
    fn a_block_of_full_width_is_read_across_words() {
        let numbers: Vec<Number> = (0..5000).map(|n| (n, u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        with_column(&numbers, 5000, |value, fetch| {
            let place = ColumnPlace::decode(ColumnKind::Size, value, 5000).unwrap();
            assert!(place.open(fetch, 5000).unwrap().unwrap().iter().eq(numbers.iter().copied()));
            let short = ColumnFetch { stream_len: fetch.stream_len - 1, ..*fetch };
            assert!(place.open(&short, 5000).is_err());
        });
    }
}
