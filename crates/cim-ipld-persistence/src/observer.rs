//! What a simulation sees of an engine from inside, to compare with what it may do.

use cid::Cid;
use cim_ipld_index::Document;

/// Receives the events of one engine, in their order.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn observe(&self, event: Event);
}

/// Something that an engine did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It sealed a record over the past that it knows.
    Sealed {
        /// The writer.
        writer: u64,
        /// The digest of the sealed record.
        record: [u8; 16],
        /// How many records it had applied.
        seen: u64,
        /// The order's digest there.
        order: [u8; 16],
        /// The generation of the manifest that it knew.
        generation: u64,
        /// That manifest's digest.
        manifest: [u8; 32],
    },
    /// It accepted a record, in a state that may not be published yet.
    Accepted {
        /// The order's digest before.
        before: [u8; 16],
        /// And after.
        after: [u8; 16],
        /// The record's position.
        position: u64,
        /// The writer.
        writer: u64,
        /// The digest of the sealed record.
        record: [u8; 16],
        /// The keyset generation of the data key that sealed it.
        epoch: u64,
        /// What it changes: documents put, or removed where there is none.
        changes: Vec<(Cid, Option<Document>)>,
    },
    /// It let readers see a state.
    Published {
        /// The position.
        position: u64,
        /// The order's digest there.
        order: [u8; 16],
        /// The generation of the manifest.
        generation: u64,
        /// The manifest's digest.
        manifest: [u8; 32],
    },
    /// It sealed a manifest.
    Manifest {
        /// Its digest.
        manifest: [u8; 32],
        /// Its predecessor's.
        parent: [u8; 32],
        /// Its watermark.
        position: u64,
    },
}
