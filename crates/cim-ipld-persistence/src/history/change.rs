//! The changes of a journal record.

use std::collections::HashMap;

use cid::Cid;
use cim_ipld_index::{Document, Location, codec, content_id};

use crate::format::record::Operation;
use crate::{Error, ErrorKind, Result};

/// One change of a record, decoded.
pub(crate) enum Change {
    Put(Document),
    Delete(Cid),
}

impl Change {
    pub(crate) fn decode(operation: &Operation) -> Result<Self> {
        Ok(match operation {
            Operation::Put(bytes) => Self::Put(codec::decode(bytes)?),
            Operation::Delete(bytes) => Self::Delete(content_id::from_bytes(bytes).map_err(|error| {
                Error::new(ErrorKind::Damaged, "a journal record deletes a document by an invalid CID")
                    .with_source(error)
            })?),
        })
    }

    pub(crate) fn cid(&self) -> Cid {
        match self {
            Self::Put(document) => document.cid,
            Self::Delete(cid) => *cid,
        }
    }
}

/// The decoded changes of a record, and the locations of the documents that they replace.
pub(crate) struct Changes {
    pub(crate) changes: Vec<Change>,
    pub(crate) places: HashMap<Cid, Location>,
}

#[cfg(feature = "simulation")]
impl Changes {
    pub(crate) fn list(&self) -> Vec<(Cid, Option<Document>)> {
        let of = |change: &Change| match change {
            Change::Put(document) => (document.cid, Some(document.clone())),
            Change::Delete(cid) => (*cid, None),
        };
        self.changes.iter().map(of).collect()
    }
}
