//! Posting lists of a segment.
//!
//! A dictionary value starts with `document frequency << 1 | inline`. An inline list (at most four
//! postings) follows directly: per posting, the document's distance from the previous one (varint),
//! the frequency (varint) and the positions (varint differences). Any other value contains the
//! locations of the list in the postings stream and of its positions in the positions stream: two
//! offsets and two lengths (varints).
//!
//! A list in the postings stream consists of its full blocks of 128 postings, its tail, and a
//! directory, which a reader needs first:
//!
//! * block: documents (strictly increasing, bit-packed differences), then frequencies minus one
//!   (bit-packed);
//! * tail: per posting `distance << 1 | frequency is 1` and, if it is not 1, the frequency
//!   (varints);
//! * directory, with one array over all full blocks for each of these: the block's last document
//!   (u32), the end of the block's positions (u32), width of documents, width of frequencies, width
//!   of positions, and the bound: frequency and length code of its first pair, then of its second
//!   (u8 each);
//! * end of the directory, if there is a tail: width of the positions of the tail, and its bound
//!   (u8 each).
//!
//! The positions of a block are the positions of its postings in order, bit-packed in the width of
//! the largest, least significant bits first. The first position of a posting is stored as such,
//! the others as differences.

mod read;
mod write;

pub(crate) use read::{Directory, InlineList, ListPlace, PlaceKind, visit_positions};
pub(super) use write::{ListStreams, ListWriter};

use bitpacking::{BitPacker, BitPacker4x};

/// The number of postings in a full block.
pub(crate) const BLOCK: usize = BitPacker4x::BLOCK_LEN;
/// The maximum length of an inline list.
const MAX_INLINE: usize = 4;
/// The maximum number of positions in an inline list.
const MAX_INLINE_POSITIONS: usize = 32;
/// The size of a block's entry in the directory, in bytes.
const BLOCK_META: usize = 15;
const TAIL_META: usize = 5;
/// The maximum bit width of a document difference, so that sums of 128 stay below 2^32.
const MAX_DOCUMENT_WIDTH: u8 = 24;
