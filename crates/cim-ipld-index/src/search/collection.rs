//! The collection statistics of one query, which a cursor carries to the next page.

use crate::encoding::wire::{Reader, put_varint};
use crate::error::{Error, Result};

/// The collection statistics on which the scores of one query depend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Collection {
    pub(crate) documents: u64,
    /// The document frequency of each leaf.
    pub(crate) document_frequencies: Vec<u64>,
    /// The average field length of each leaf, as the bits of an `f32`.
    pub(crate) average_lengths: Vec<u32>,
}

impl Collection {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.documents);
        put_varint(out, self.document_frequencies.len() as u64);
        for (frequency, average) in self.document_frequencies.iter().zip(&self.average_lengths) {
            put_varint(out, *frequency);
            out.extend(average.to_le_bytes());
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut collection = Self { documents: reader.varint()?, ..Self::default() };
        for _ in 0..reader.count()? {
            let frequency = reader.varint()?;
            let average = u32::from_le_bytes(reader.array()?);
            if frequency > collection.documents || !f32::from_bits(average).is_finite() {
                return Err(Error::damaged("a cursor has impossible counts"));
            }
            collection.document_frequencies.push(frequency);
            collection.average_lengths.push(average);
        }
        Ok(collection)
    }
}
