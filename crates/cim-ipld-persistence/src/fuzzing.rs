//! Entry points for hostile content, one per format, for the tests here and the fuzz targets in
//! `fuzz/`. A holder of the key can seal any content.
//!
//! Each function takes arbitrary bytes, returns whether they were accepted, and panics if an
//! invariant is violated.

use std::collections::HashSet;

use bytes::Bytes;
use cim_ipld_backend::Revision;
use futures::FutureExt;

use crate::archive::reader::ArchiveReader;
use crate::format::ancestry::{Node, Path};
use crate::format::archive::{ArchiveRoot, Directory};
use crate::format::digest::{Digest, ShortDigest};
use crate::format::manifest::{Manifest, SegmentEntry, Watermark};
use crate::format::pin::PinRecord;
use crate::format::record::{self, Body, Operation, Record};
use crate::format::snapshot::SnapshotRecord;
use crate::format::window::{Window, block_from_bytes, block_to_bytes};
use crate::format::writer_id::WriterId;
use crate::history::change::Change;
use crate::history::order::{OpenedRecord, Order, Verdict};
use crate::history::records;
use crate::objects::layout::{IndexName, Layout};
use crate::objects::segments::SegmentHandle;
use crate::rules::Rules;
use crate::{ErrorKind, Result};

/// Decodes a manifest, looks up its ancestors, and derives the names of its objects.
pub fn manifest(data: &[u8]) -> bool {
    accepted(data, Manifest::from_bytes, Manifest::to_bytes, |manifest| {
        let last = manifest.generation;
        for generation in [0, 1, 2, 15, 16, 17, 256, 257, last / 2, last - 1, last, u64::MAX] {
            let is_ancestor = (1..last).contains(&generation);
            assert_eq!(manifest.ancestry.path(generation) != Path::Absent, is_ancestor, "{generation} of {last}");
        }
        let mut ancestry = manifest.ancestry.clone();
        ancestry.push(Digest::default());
        assert_eq!(ancestry.generations(), last);
        segments(&manifest.segments);
        manifest.snapshots.iter().for_each(|entry| drop(Layout::snapshot(entry)));
        let _ = Order::at(Rules::default(), &manifest.watermark, manifest.epoch, None);
    })
}

/// Decodes a full node of the ancestry.
pub fn ancestry_node(data: &[u8]) -> bool {
    accepted(data, Node::from_bytes, Node::to_bytes, |node| {
        assert!(node.child(15).is_some() && node.child(16).is_none());
    })
}

/// Decodes a window, judges and accepts records after it, and encodes the resulting window.
pub fn window(data: &[u8]) -> bool {
    accepted(data, Window::from_bytes, Window::to_bytes, |window| {
        let digest = *window.digests.last().expect("at least one");
        let (position, blocks) = (window.position, window.blocks.clone());
        let more = [WriterId(0), WriterId(u64::MAX)];
        let writers: Vec<WriterId> = window.writers.iter().map(|writer| writer.id).take(4).chain(more).collect();
        let watermark = Watermark { position, digest, record: None };
        let mut order = Order::at(Rules::default(), &watermark, 0, Some(window)).expect("of this watermark");
        for writer in writers {
            for seen in [0, position / 2, position, u64::MAX] {
                let opened = opened(writer, seen);
                order.attests(&opened.record, Digest::default());
                if order.judge(&opened) == Verdict::Next {
                    order.accept(&opened);
                }
            }
        }
        drop(order.full_blocks());
        let again = order.window(blocks.into_iter().take(1).collect());
        drop(again.to_bytes());
    })
}

/// Decodes a block of four digests of the order.
pub fn order_chunk(data: &[u8]) -> bool {
    accepted(data, |bytes| block_from_bytes(bytes, 4), |digests| block_to_bytes(digests), drop)
}

/// Decodes a record, judges it, and decodes its changes.
pub fn journal_record(data: &[u8]) -> bool {
    let decode = |bytes: &[u8]| Record::from_bytes(&Bytes::copy_from_slice(bytes));
    accepted(data, decode, Record::to_bytes, |record| {
        records::chunked(&record.body);
        if let Body::Inline(operations) = &record.body {
            changes(operations);
        }
        let watermark = Watermark { position: 0, digest: ShortDigest::default(), record: None };
        let mut order = Order::at(Rules::default(), &watermark, 0, None).expect("consistent");
        let opened = OpenedRecord { record, ..opened(WriterId(1), 0) };
        order.attests(&opened.record, Digest::default());
        if order.judge(&opened) == Verdict::Next {
            order.accept(&opened);
            assert_eq!(order.position(), 1);
        }
    })
}

/// Decodes a spilled body and its changes.
pub fn operations(data: &[u8]) -> bool {
    accepted(
        data,
        |bytes| record::operations_from_bytes(&Bytes::copy_from_slice(bytes)),
        |operations| record::operations_to_bytes(operations),
        |operations| changes(&operations),
    )
}

/// Decodes a snapshot and derives the names of its objects.
pub fn snapshot(data: &[u8]) -> bool {
    accepted(data, SnapshotRecord::from_bytes, SnapshotRecord::to_bytes, |record| segments(&record.segments))
}

/// Decodes a pin.
pub fn pin(data: &[u8]) -> bool {
    accepted(data, PinRecord::from_bytes, PinRecord::to_bytes, drop)
}

/// Decodes the root block of an archive, and derives the names of its objects.
pub fn archive_root(data: &[u8]) -> bool {
    accepted(data, ArchiveRoot::from_bytes, ArchiveRoot::to_bytes, |root| {
        segments(&root.segments);
        root.snapshots.iter().for_each(|snapshot| drop(SnapshotRecord::from_bytes(&snapshot.record)));
    })
}

/// Decodes a directory of an archive.
pub fn archive_directory(data: &[u8]) -> bool {
    accepted(data, Directory::from_bytes, Directory::to_bytes, |directory| {
        let places: HashSet<_> = directory.entries.iter().map(|entry| entry.place.id()).collect();
        assert!(places.len() <= directory.entries.len() && directory.entries.len() as u64 <= directory.blocks);
    })
}

/// Reads a whole archive of a plaintext index.
pub fn archive(data: &[u8]) -> bool {
    let read = async {
        let mut archive = ArchiveReader::open(data, None).await?;
        while archive.next().await?.is_some() {}
        Ok::<_, crate::Error>(())
    };
    read.now_or_never().expect("reading from memory never waits").is_ok()
}

/// Checks that a decoded value encodes to bytes that decode to the same value.
fn accepted<T: PartialEq + std::fmt::Debug>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
    encode: impl Fn(&T) -> Vec<u8>,
    use_it: impl FnOnce(T),
) -> bool {
    match decode(data) {
        Ok(value) => {
            assert_eq!(decode(&encode(&value)).expect("encoded values can be decoded"), value);
            use_it(value);
            true
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::UnsupportedVersion), "{error}");
            false
        }
    }
}

/// Derives the names of the first objects of each segment. Not all of them, because their number is
/// bounded only by the size that the entry declares.
fn segments(entries: &[SegmentEntry]) {
    const SAMPLED: usize = 64;
    let layout = Layout::new(&IndexName::default()).expect("the default names");
    let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    assert!(bytes < u64::MAX / 2);
    for entry in entries.iter().take(SAMPLED) {
        let handle = SegmentHandle::new(entry.clone());
        handle.pages().take(SAMPLED).for_each(drop);
        handle.objects(&layout).take(SAMPLED).for_each(drop);
    }
}

fn changes(operations: &[Operation]) {
    operations.iter().for_each(|operation| drop(Change::decode(operation)));
}

fn opened(writer: WriterId, seen: u64) -> OpenedRecord {
    let body = Body::Inline(Vec::new());
    let attest = ShortDigest::default();
    let record = Record { seen, generation: 1, attest, closes: vec![WriterId(writer.0 ^ 1)], announces: None, body };
    OpenedRecord { writer, sequence: 1, epoch: 0, digest: ShortDigest::default(), revision: Revision::ZERO, record }
}

#[cfg(test)]
mod tests;
