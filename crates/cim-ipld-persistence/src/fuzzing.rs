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
        let writers: Vec<u64> = window.writers.iter().map(|writer| writer.id).take(4).chain([0, u64::MAX]).collect();
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
        let opened = OpenedRecord { record, ..opened(1, 0) };
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

fn opened(writer: u64, seen: u64) -> OpenedRecord {
    let body = Body::Inline(Vec::new());
    let attest = ShortDigest::default();
    let record = Record { seen, generation: 1, attest, closes: vec![writer ^ 1], announces: None, body };
    OpenedRecord { writer, sequence: 1, epoch: 0, digest: ShortDigest::default(), revision: Revision::ZERO, record }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use allocation_counter::measure;
    use cim_ipld_backend_testkit::seeds;
    use cim_ipld_index::{AnalyzerSpec, Document, codec};

    use super::*;
    use crate::format::announcement::Announcement;
    use crate::format::archive::{ArchivedBucket, ArchivedSnapshot, DirectoryEntry, Place};
    use crate::format::manifest::{DeletesEntry, RecordMark, SnapshotEntry, WindowEntry};
    use crate::format::window::{DigestBlock, WriterEntry};
    use crate::{archive, content_cid};

    type Target = (&'static str, fn(&[u8]) -> bool, Vec<u8>);

    fn digest(number: u8) -> Digest {
        Digest::of("seed", &[&[number]])
    }

    fn segment() -> SegmentEntry {
        SegmentEntry {
            id: [7; 16],
            secret: [8; 32],
            pages: vec![(1, 1), (2, 3), (6, 300)],
            digests: digest(1),
            documents: 1000,
            bytes: 1 << 20,
            deletes: Some(DeletesEntry { secret: [9; 32], chunk_count: 1, documents: 12, digest: digest(2) }),
        }
    }

    fn sound_manifest() -> Manifest {
        let mut ancestry = crate::format::ancestry::Ancestry::default();
        (1..40).for_each(|generation| drop(ancestry.push(digest(generation))));
        let record = RecordMark { writer: 1 << 60, sequence: 3, revision: 70_000, digest: digest(3).short() };
        Manifest {
            generation: 40,
            parent: digest(39),
            ancestry,
            watermark: Watermark { position: 5000, digest: digest(4).short(), record: Some(record) },
            previous_position: 4000,
            epoch: 1,
            keyset_generation: 2,
            root_digest: digest(5),
            window: Some(WindowEntry { secret: [1; 32], chunk_count: 1, digest: digest(6) }),
            names_secret: [2; 32],
            analyzer: AnalyzerSpec::default().to_bytes(),
            segments: vec![segment()],
            snapshots: vec![SnapshotEntry { hidden_name: "k5yxiyvq".into(), id: [3; 16], digest: digest(7) }],
        }
    }

    fn sound_window() -> Window {
        let writer = |id, sequence, is_closed| WriterEntry {
            id,
            sequence,
            is_closed,
            position: 4097,
            record: digest(8).short(),
        };
        Window {
            position: 4098,
            digests: (0..9).map(|number| digest(number).short()).collect(),
            writers: vec![writer(3, Some(0), false), writer(1 << 40, None, true), writer(u64::MAX, Some(300), false)],
            blocks: vec![DigestBlock { index: 0, secret: [4; 32], chunk_count: 1, digest: digest(9) }],
            announced: vec![Announcement { root: digest(10), data_key: [10; 8] }],
        }
    }

    fn sound_operations() -> Vec<Operation> {
        let document = Document::new(content_cid(b"a")).with_title("Title").with_text("some words").with_tag("tag");
        let encoded = codec::encode(&document).expect("within the limits");
        vec![Operation::Put(encoded.into()), Operation::Delete(content_cid(b"b").to_bytes().into())]
    }

    fn sound_record() -> Record {
        Record {
            seen: 0,
            generation: 1,
            attest: digest(11).short(),
            closes: vec![1, u64::MAX],
            announces: Some(Announcement { root: digest(12), data_key: [12; 8] }),
            body: Body::Inline(sound_operations()),
        }
    }

    fn sound_archive_root() -> ArchiveRoot {
        let entry = SnapshotEntry { hidden_name: "k5yxiyvq".into(), id: [3; 16], digest: digest(7) };
        ArchiveRoot {
            id: [1; 16],
            index_name: Some("photos".into()),
            created_at_ms: 1_700_000_000_000,
            root: digest(5),
            manifest: vec![1; 40],
            window: Some(vec![2; 30]),
            segments: vec![segment()],
            documents: 988,
            snapshots: vec![ArchivedSnapshot { entry, record: vec![3; 20] }],
            bases: vec![[4; 32]],
        }
    }

    fn sound_directory() -> Directory {
        let place = |bucket, kind| Place { bucket, kind, generation: 1 << 32, key: "k5yxiyvq".into() };
        let places = [place(ArchivedBucket::Text, 4), place(ArchivedBucket::Metadata, 0x12)];
        let entries = places.map(|place| DirectoryEntry { place, digest: digest(1).0 }).into();
        Directory { entries, blocks: 9, is_last: true }
    }

    /// Every target with a sound encoding.
    fn targets() -> [Target; 11] {
        let (name, segments) = ("before the move".to_owned(), vec![segment()]);
        let snapshot_record =
            SnapshotRecord { name, created_at_ms: 1_700_000_000_000, documents: 988, position: 5000, segments };
        let pin_record = PinRecord {
            generation: 40,
            manifest: digest(40),
            position: 5000,
            order: digest(4).short(),
            keyset_generation: 2,
            root: digest(5),
            writers: vec![1 << 60, 4],
        };
        let mut node = vec![1, 16];
        (0..16).for_each(|number| node.extend(digest(number).0));
        let chunk: Vec<ShortDigest> = (0..4).map(|number| digest(number).short()).collect();
        [
            ("catalog_manifest", manifest, sound_manifest().to_bytes()),
            ("catalog_ancestry_node", ancestry_node, node),
            ("catalog_window", window, sound_window().to_bytes()),
            ("catalog_order_chunk", order_chunk, block_to_bytes(&chunk)),
            ("catalog_record", journal_record, sound_record().to_bytes()),
            ("catalog_operations", operations, record::operations_to_bytes(&sound_operations())),
            ("catalog_snapshot", snapshot, snapshot_record.to_bytes()),
            ("catalog_pin", pin, pin_record.to_bytes()),
            ("archive_root", archive_root, sound_archive_root().to_bytes()),
            ("archive_directory", archive_directory, sound_directory().to_bytes()),
            ("archive", super::archive, archive::reader::sound_archive()),
        ]
    }

    fn folder(name: &str) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds")).join(name)
    }

    /// Rewrites the seeds if the environment variable `WRITE_SEEDS` is set.
    #[test]
    fn sound_content_is_accepted() {
        for (name, target, sound) in targets() {
            assert!(target(&sound), "{name}");
            if std::env::var_os("WRITE_SEEDS").is_some() {
                let folder = folder(name);
                fs::create_dir_all(&folder).expect("a folder");
                let newer = [&[sound[0].wrapping_add(1)], &sound[1..], &[0]].concat();
                let seeds = [("sound", &sound[..]), ("cut", &sound[..sound.len() * 2 / 3]), ("newer", &newer)];
                seeds.iter().for_each(|(seed, bytes)| fs::write(folder.join(seed), bytes).expect("written"));
            }
        }
    }

    #[test]
    fn targets_accept_any_content() {
        for (name, target, _) in targets() {
            seeds::run(&folder(name), target, 4000);
        }
    }

    #[test]
    fn allocations_are_bounded_by_the_size_of_the_content() {
        const LENGTHS: [&[u8]; 5] = [
            &[250],
            &[251, 0xff, 0xff],
            &[252, 0, 0, 0x10, 0],
            &[252, 0xff, 0xff, 0xff, 0x0e],
            &[253, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ];
        for (name, target, sound) in targets() {
            for at in 1..sound.len() {
                for length in LENGTHS {
                    let hostile = [&sound[..at], length, &sound[at + 1..]].concat();
                    let taken = measure(|| assert!(target(&hostile) || !hostile.is_empty()));
                    let limit = (128 << 10) + 256 * hostile.len() as u64;
                    assert!(taken.bytes_max <= limit, "{name} at {at}: {taken:?} for {} bytes", hostile.len());
                }
            }
        }
    }

    #[test]
    fn counts_that_no_index_reaches_are_refused() {
        let mut far = sound_manifest();
        far.watermark.position = u64::MAX;
        assert!(!manifest(&far.to_bytes()));
        let mut large = sound_manifest();
        large.segments[0].bytes = u64::MAX;
        assert!(!manifest(&large.to_bytes()));
        let mut far = sound_window();
        far.blocks[0].index = u64::MAX;
        assert!(!window(&far.to_bytes()));
        far = sound_window();
        far.position = u64::MAX;
        assert!(!window(&far.to_bytes()));
    }
}
