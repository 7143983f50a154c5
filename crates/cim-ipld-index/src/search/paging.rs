//! Positions in the order of hits, from which a later search continues.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::codec;
use crate::encoding::wire::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::query::NumberField;
use crate::search::collection::Collection;
use crate::search::order::{Sort, SortBy, SortOrder};

const VERSION: u8 = 2;

/// The position after a hit: its sort key and CID.
///
/// Paging with cursors is stable: a document that does not change is neither repeated nor skipped,
/// whatever is inserted, deleted, turned into a segment or merged in between. For a sort by score,
/// the cursor therefore carries the statistics that scores depend on: the number of documents and,
/// for each word of the query, the number of documents that contain it and the average length of
/// its field.
///
/// A cursor has a binary and a text form, which a program may hand to its own clients; both are
/// validated when they are parsed. They reveal the CID and the sort key of a hit, and these
/// statistics.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, NumberField, Query, SearchCursor, SearchOptions, Sort};
///
/// let index = MemoryIndex::new();
/// for cid in [
///     "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
///     "bafkreidgvpkjawlxz6sffxzwgooowe5yt7i6wsyg236mfoks77nywkptdq",
/// ] {
///     index.insert(&Document::new(cid.parse()?).with_size(10))?;
/// }
/// let options = SearchOptions::default().limit(1).sort(Sort::ascending(NumberField::Size));
/// let first = index.search(&Query::everything(), &options)?;
/// let cursor: SearchCursor = first.next.expect("a full page").to_string().parse()?;
/// let second = index.search(&Query::everything(), &options.after(cursor))?;
/// assert_ne!(first.hits[0].cid, second.hits[0].cid);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SearchCursor {
    /// Identifies the sort order.
    order: u64,
    rank: u128,
    cid: Cid,
    collection: Collection,
}

impl SearchCursor {
    pub(crate) fn new(sort: &Sort, rank: u128, cid: Cid, collection: Collection) -> Self {
        Self { order: order_of(sort), rank, cid, collection }
    }

    /// Returns the rank and the CID, if the cursor is of this sort order.
    pub(crate) fn place(&self, sort: &Sort) -> Result<(u128, Vec<u8>)> {
        if self.order != order_of(sort) {
            return Err(Error::new(ErrorKind::InvalidQuery, "the cursor belongs to a search with another sort order"));
        }
        Ok((self.rank, self.cid.to_bytes()))
    }

    /// Returns the statistics on which the scores of the search were based.
    pub(crate) fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Returns the cursor as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.order.to_le_bytes());
        out.extend(self.rank.to_le_bytes());
        self.collection.put(&mut out);
        out.extend(self.cid.to_bytes());
        out
    }

    /// Decodes a cursor that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidQuery`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read = || -> Result<Option<Self>> {
            let mut reader = Reader::new(bytes);
            if reader.u8()? != VERSION {
                return Ok(None);
            }
            let (order, rank) = (u64::from_le_bytes(reader.array()?), u128::from_le_bytes(reader.array()?));
            let collection = Collection::read(&mut reader)?;
            let cid = codec::cid_from_bytes(reader.take(reader.remaining())?)?;
            Ok(Some(Self { order, rank, cid, collection }))
        };
        // A varint has several encodings, but a cursor has only one.
        read()
            .ok()
            .flatten()
            .filter(|cursor| cursor.to_bytes() == bytes)
            .ok_or_else(|| Error::new(ErrorKind::InvalidQuery, "not a search cursor"))
    }
}

/// Returns an FNV-1a hash that identifies the sort order.
fn order_of(sort: &Sort) -> u64 {
    let (code, name) = match &sort.by {
        SortBy::Score => (0, ""),
        SortBy::Number(NumberField::CreatedAt) => (1, ""),
        SortBy::Number(NumberField::ModifiedAt) => (2, ""),
        SortBy::Number(NumberField::Size) => (3, ""),
        SortBy::Number(NumberField::Attribute(name)) => (4, &**name),
    };
    let parts = [code, u8::from(sort.order == SortOrder::Ascending)].into_iter().chain(name.bytes());
    parts.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for SearchCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SearchCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let pairs = text.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
        Self::from_bytes(&bytes.unwrap_or_default())
    }
}

impl Serialize for SearchCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SearchCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
