//! The changes of a journal record.

use cid::Cid;
use cim_ipld_index::{EncodedDocument, Location, content_id};

use crate::format::record::Operation;
use crate::{Error, ErrorKind, Result};

/// One change of a record, decoded.
#[expect(clippy::large_enum_variant, reason = "nearly every change is a put")]
pub(crate) enum Change {
    Put(EncodedDocument),
    Delete(Cid),
}

impl Change {
    pub(crate) fn decode(operation: &Operation) -> Result<Self> {
        Ok(match operation {
            Operation::Put(bytes) => Self::Put(EncodedDocument::decode(bytes.clone())?),
            Operation::Delete(bytes) => Self::Delete(content_id::from_bytes(bytes).map_err(|error| {
                Error::new(ErrorKind::Damaged, "a journal record deletes a document by an invalid CID")
                    .with_source(error)
            })?),
        })
    }

    pub(crate) fn cid(&self) -> Cid {
        match self {
            Self::Put(document) => document.cid(),
            Self::Delete(cid) => *cid,
        }
    }
}

/// The decoded changes of a record, and the locations of the documents that they replace.
pub(crate) struct Changes {
    pub(crate) changes: Vec<Change>,
    pub(crate) locations: Locations,
}

/// The current location of the document of each change. A record may change the same document more
/// than once.
pub(crate) struct Locations {
    /// For each change, the index of its document in `locations`.
    documents: Vec<usize>,
    locations: Vec<Option<Location>>,
}

impl Locations {
    /// Returns the distinct CIDs of all changes in ascending order, and for each change the index
    /// of its CID.
    pub(crate) fn cids(changes: &[Change]) -> (Vec<Cid>, Vec<usize>) {
        let all: Vec<Cid> = changes.iter().map(Change::cid).collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_unstable_by(|a, b| all[*a].cmp(&all[*b]));
        let (mut cids, mut documents) = (Vec::with_capacity(all.len()), vec![0; all.len()]);
        for change in order {
            if cids.last() != Some(&all[change]) {
                cids.push(all[change]);
            }
            documents[change] = cids.len() - 1;
        }
        (cids, documents)
    }

    /// Combines the index of the document of each change with the location of each document.
    pub(crate) fn new(documents: Vec<usize>, locations: Vec<Option<Location>>) -> Self {
        Self { documents, locations }
    }

    /// Sets the current location of the document of a change, and returns the previous one.
    pub(crate) fn replace(&mut self, change: usize, location: Option<Location>) -> Option<Location> {
        std::mem::replace(&mut self.locations[self.documents[change]], location)
    }
}

#[cfg(feature = "simulation")]
impl Changes {
    pub(crate) fn list(&self) -> Vec<(Cid, Option<cim_ipld_index::Document>)> {
        let of = |change: &Change| match change {
            Change::Put(document) => Some(document.to_document()),
            Change::Delete(_) => None,
        };
        self.changes.iter().map(|change| (change.cid(), of(change))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_changed_twice_has_one_location() {
        let cid = |number: u8| crate::content_cid(&[number]);
        let changes = [2, 1, 2, 3, 1].map(|number| Change::Delete(cid(number)));
        let (cids, documents) = Locations::cids(&changes);
        assert!(cids.is_sorted() && cids.len() == 3, "{cids:?}");
        for (change, document) in changes.iter().zip(&documents) {
            assert_eq!(change.cid(), cids[*document]);
        }
        let location = |document| Location::Memtable { index: 0, document: cim_ipld_index::DocId(document) };
        let mut locations = Locations::new(documents, vec![None; 3]);
        assert_eq!(locations.replace(0, Some(location(7))), None);
        assert_eq!(locations.replace(1, None), None);
        assert_eq!(locations.replace(2, Some(location(8))), Some(location(7)));
        assert_eq!(locations.replace(4, None), None);
    }
}
