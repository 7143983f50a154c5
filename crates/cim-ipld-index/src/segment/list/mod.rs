//! Posting lists of a segment.
//!
//! A dictionary value starts with `document frequency << 1 | inline`. An inline list (at most four
//! postings) follows at once: per posting the document's distance from the one before (varint), the
//! frequency (varint), the positions (varint differences). Any other value gives the places of the
//! list in the postings stream and of its positions in theirs: two offsets and two lengths
//! (varints).
//!
//! A list in the postings stream is its full blocks of 128 postings, its tail, and what a reader
//! needs first:
//!
//! * block: documents (strictly sorted, bit-packed differences), then frequencies less one
//!   (bit-packed);
//! * tail: per posting `distance << 1 | frequency is 1` and, if it is not 1, the frequency
//!   (varints);
//! * per block, each as an array over all blocks: last document (u32), end of its positions (u32),
//!   width of documents, width of frequencies, width of positions, and the bound: frequency and
//!   length code of its first pair, then of its second (u8 each);
//! * if there is a tail: width of its positions, and the bound (u8 each).
//!
//! Positions of a block are its postings' positions in order, in the width of the largest, least
//! significant bits first; the first of a posting stands as it is, the others as differences.

mod read;
mod write;

pub(crate) use read::{Directory, InlineList, ListPlace, PlaceKind, visit_positions};
pub(super) use write::{ListStreams, ListWriter};

use bitpacking::{BitPacker, BitPacker4x};

/// Postings of a full block.
pub(crate) const BLOCK: usize = BitPacker4x::BLOCK_LEN;
/// The longest list that stands in the dictionary itself.
const MAX_INLINE: usize = 4;
/// The most positions of a list that stands in the dictionary itself.
const MAX_INLINE_POSITIONS: usize = 32;
/// The bytes of a block in the arrays that follow the tail.
const BLOCK_META: usize = 15;
const TAIL_META: usize = 5;
/// The widest document difference: sums of 128 of them stay below 2^32.
const MAX_DOCUMENT_WIDTH: u8 = 24;
