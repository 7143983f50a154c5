//! The seeds of the fuzz targets, and mutations of them.

use std::fs;
use std::path::PathBuf;

use allocation_counter::measure;
use cim_ipld_backend_testkit::seeds;
use cim_ipld_index::{AnalyzerSpec, Document, codec};

use super::*;
use crate::format::announcement::Announcement;
use crate::format::archive::{ArchivedBucket, ArchivedSnapshot, DirectoryEntry, Place};
use crate::format::manifest::{DeletesEntry, RecordMark, SnapshotEntry, WindowEntry};
use crate::format::name_secret::NameSecret;
use crate::format::window::{DigestBlock, WriterEntry};
use crate::{archive, content_cid};

type Target = (&'static str, fn(&[u8]) -> bool, Vec<u8>);

fn digest(number: u8) -> Digest {
    Digest::of("seed", &[&[number]])
}

fn segment() -> SegmentEntry {
    SegmentEntry {
        id: [7; 16],
        secret: NameSecret([8; 32]),
        pages: vec![(1, 1), (2, 3), (6, 300)],
        digests: digest(1),
        documents: 1000,
        bytes: 1 << 20,
        deletes: Some(DeletesEntry { secret: NameSecret([9; 32]), chunk_count: 1, documents: 12, digest: digest(2) }),
    }
}

fn sound_manifest() -> Manifest {
    let mut ancestry = crate::format::ancestry::Ancestry::default();
    (1..40).for_each(|generation| drop(ancestry.push(digest(generation))));
    let record = RecordMark { writer: WriterId(1 << 60), sequence: 3, revision: 70_000, digest: digest(3).short() };
    Manifest {
        generation: 40,
        parent: digest(39),
        ancestry,
        watermark: Watermark { position: 5000, digest: digest(4).short(), record: Some(record) },
        previous_position: 4000,
        collections: 3,
        epoch: 1,
        keyset_generation: 2,
        root_digest: digest(5),
        window: Some(WindowEntry { secret: NameSecret([1; 32]), chunk_count: 1, digest: digest(6) }),
        names_secret: NameSecret([2; 32]),
        analyzer: AnalyzerSpec::default().to_bytes(),
        segments: vec![segment()],
        snapshots: vec![SnapshotEntry { hidden_name: "k5yxiyvq".into(), id: [3; 16], digest: digest(7) }],
    }
}

fn sound_window() -> Window {
    let writer = |id, sequence, is_closed| WriterEntry {
        id: WriterId(id),
        sequence,
        is_closed,
        position: 4097,
        record: digest(8).short(),
    };
    Window {
        position: 4098,
        digests: (0..9).map(|number| digest(number).short()).collect(),
        writers: vec![writer(3, Some(0), false), writer(1 << 40, None, true), writer(u64::MAX, Some(300), false)],
        blocks: vec![DigestBlock { index: 0, secret: NameSecret([4; 32]), chunk_count: 1, digest: digest(9) }],
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
        closes: vec![WriterId(1), WriterId(u64::MAX)],
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
        writers: vec![WriterId(1 << 60), WriterId(4)],
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
    let mut collected = sound_manifest();
    collected.collections = collected.generation;
    assert!(!manifest(&collected.to_bytes()));
    let mut far = sound_window();
    far.blocks[0].index = u64::MAX;
    assert!(!window(&far.to_bytes()));
    far = sound_window();
    far.position = u64::MAX;
    assert!(!window(&far.to_bytes()));
}
