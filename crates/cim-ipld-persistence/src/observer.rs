//! The internal events of an engine, for a simulation that checks them against the protocol.

use cid::Cid;
use cim_ipld_index::Document;

/// Receives the events of one engine, in order.
///
/// ```
/// use std::sync::Mutex;
///
/// use cim_ipld_persistence::{Event, Observer};
///
/// #[derive(Default)]
/// struct Positions(Mutex<Vec<u64>>);
///
/// impl Observer for Positions {
///     fn observe(&self, event: Event) {
///         if let Event::Published { position, .. } = event {
///             self.0.lock().unwrap().push(position);
///         }
///     }
/// }
/// # let _ = Positions::default();
/// ```
pub trait Observer: Send + Sync {
    /// Receives one event.
    fn observe(&self, event: Event);
}

/// An internal event of an engine.
///
/// ```
/// use cim_ipld_persistence::Event;
///
/// fn position(event: &Event) -> Option<u64> {
///     match event {
///         Event::Accepted { position, .. } | Event::Published { position, .. } => Some(*position),
///         _ => None,
///     }
/// }
/// # let _ = position;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The engine sealed a record that attests the history it knows.
    Sealed {
        /// The writer.
        writer: u64,
        /// The digest of the sealed record.
        record: [u8; 16],
        /// The number of records that the engine had applied.
        seen: u64,
        /// The digest of the order at that position.
        order: [u8; 16],
        /// The generation of the newest manifest that the engine knew.
        generation: u64,
        /// The digest of that manifest.
        manifest: [u8; 32],
    },
    /// The engine accepted a record into a state that is not necessarily published yet.
    Accepted {
        /// The digest of the order before the record.
        before: [u8; 16],
        /// The digest of the order after the record.
        after: [u8; 16],
        /// The position of the record.
        position: u64,
        /// The writer.
        writer: u64,
        /// The digest of the sealed record.
        record: [u8; 16],
        /// The keyset generation of the data key that sealed it.
        epoch: u64,
        /// The changes: the document put under each CID, or `None` if it was deleted.
        changes: Vec<(Cid, Option<Document>)>,
    },
    /// The engine published a state to readers.
    Published {
        /// The position.
        position: u64,
        /// The digest of the order at that position.
        order: [u8; 16],
        /// The generation of the manifest.
        generation: u64,
        /// The digest of the manifest.
        manifest: [u8; 32],
    },
    /// The engine sealed a manifest.
    Manifest {
        /// The digest of the manifest.
        manifest: [u8; 32],
        /// The digest of its predecessor.
        parent: [u8; 32],
        /// The position of its watermark.
        position: u64,
    },
    /// An automatic garbage collection made progress, or ended.
    Collecting {
        /// The number of objects examined so far.
        examined: u64,
        /// The number of objects removed so far.
        removed: u64,
        /// The size in bytes of the objects removed so far.
        removed_bytes: u64,
    },
}
