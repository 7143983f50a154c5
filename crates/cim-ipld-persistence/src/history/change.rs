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
    pub(crate) places: Places,
}

/// Where the document of each change is. A record may change a document more than once.
pub(crate) struct Places {
    /// For each change, the number of its document.
    documents: Vec<usize>,
    places: Vec<Option<Location>>,
}

impl Places {
    /// Returns the CIDs of all changes, each once and in order, and for each change the number of
    /// its own.
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

    /// Takes for each change the number of its document, and for each document its place.
    pub(crate) fn new(documents: Vec<usize>, places: Vec<Option<Location>>) -> Self {
        Self { documents, places }
    }

    /// Notes the place that the document of a change has now, and returns the one it had.
    pub(crate) fn replace(&mut self, change: usize, place: Option<Location>) -> Option<Location> {
        std::mem::replace(&mut self.places[self.documents[change]], place)
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
    fn a_document_that_is_changed_twice_has_one_place() {
        let cid = |number: u8| crate::content_cid(&[number]);
        let changes = [2, 1, 2, 3, 1].map(|number| Change::Delete(cid(number)));
        let (cids, documents) = Places::cids(&changes);
        assert!(cids.is_sorted() && cids.len() == 3, "{cids:?}");
        for (change, document) in changes.iter().zip(&documents) {
            assert_eq!(change.cid(), cids[*document]);
        }
        let place = |document| Location::Memtable { index: 0, document: cim_ipld_index::DocId(document) };
        let mut places = Places::new(documents, vec![None; 3]);
        assert_eq!(places.replace(0, Some(place(7))), None);
        assert_eq!(places.replace(1, None), None);
        assert_eq!(places.replace(2, Some(place(8))), Some(place(7)));
        assert_eq!(places.replace(4, None), None);
    }
}
