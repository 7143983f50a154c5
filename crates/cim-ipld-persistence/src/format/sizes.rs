//! The sizes of the formats, as stated in docs/decisions/0010.

use cim_ipld_index::AnalyzerSpec;

use super::ancestry::Ancestry;
use super::announcement::Announcement;
use super::digest::{Digest, ShortDigest};
use super::manifest::{Manifest, RecordMark, SegmentEntry, Watermark, WindowEntry};
use super::name_secret::NameSecret;
use super::record::{Body, Operation, Record};
use super::window::{WINDOW_POSITIONS, Window, WriterEntry};
use super::writer_id::WriterId;

const POSITION: u64 = 1_000_000;
const GENERATION: u64 = 1000;

fn record(closes: Vec<WriterId>, announces: Option<Announcement>, body: Body) -> usize {
    let attest = ShortDigest::default();
    Record { seen: POSITION, generation: GENERATION, attest, closes, announces, body }.to_bytes().len()
}

#[test]
fn bytes_besides_the_operations() {
    let document = vec![0; 200];
    let operation = 1 + 1 + document.len();
    let body = || Body::Inline(vec![Operation::Put(document.clone().into())]);
    let plain = record(Vec::new(), None, body()) - operation;
    assert_eq!(plain, 29);
    let announcement = Announcement { root: Digest::default(), data_key: [0; 8] };
    assert_eq!(record(vec![WriterId(u64::MAX)], None, body()) - operation - plain, 9);
    assert_eq!(record(Vec::new(), Some(announcement), body()) - operation - plain, 40);
    let spilled = Body::Spilled { secret: NameSecret([0; 32]), chunk_count: 9, digest: Digest::default() };
    assert_eq!(record(Vec::new(), None, spilled), 93);
}

#[test]
fn bytes_of_a_window() {
    let window = |writers: u64| {
        let writer = |number: u64| WriterEntry {
            id: WriterId(u64::MAX / writers * number + (1 << 40)),
            sequence: Some(number % 3),
            is_closed: false,
            position: POSITION - number,
            record: ShortDigest::default(),
        };
        let window = Window {
            position: POSITION,
            digests: vec![ShortDigest::default(); 1 + WINDOW_POSITIONS as usize],
            writers: (0..writers).map(writer).collect(),
            blocks: Vec::new(),
            announced: Vec::new(),
        };
        Window::from_bytes(&window.to_bytes()).expect("consistent");
        window.to_bytes().len()
    };
    assert_eq!(window(1), 65_597);
    assert_eq!(window(WINDOW_POSITIONS), 200_734);
}

#[test]
fn bytes_of_a_manifest() {
    let manifest = |generation: u64, segments: Vec<SegmentEntry>| {
        let mut ancestry = Ancestry::default();
        (1..generation).for_each(|_| drop(ancestry.push(Digest::default())));
        let record = RecordMark {
            writer: WriterId(u64::MAX),
            sequence: 7,
            revision: 3 * POSITION,
            digest: ShortDigest::default(),
        };
        let manifest = Manifest {
            generation,
            parent: Digest::default(),
            ancestry,
            watermark: Watermark { position: POSITION, digest: ShortDigest::default(), record: Some(record) },
            previous_position: POSITION - 1,
            collections: 1,
            epoch: 1,
            keyset_generation: 1,
            root_digest: Digest::default(),
            window: Some(WindowEntry { secret: NameSecret([0; 32]), chunk_count: 1, digest: Digest::default() }),
            names_secret: NameSecret([0; 32]),
            analyzer: AnalyzerSpec::default().to_bytes(),
            segments,
            snapshots: Vec::new(),
        };
        Manifest::from_bytes(&manifest.to_bytes()).expect("consistent");
        manifest.to_bytes().len()
    };
    assert_eq!((manifest(2, Vec::new()), manifest(1_000_000, Vec::new())), (269, 1493));
    let segment = SegmentEntry {
        id: [0; 16],
        secret: NameSecret([0; 32]),
        pages: (1..=14).map(|class| (class, 300)).collect(),
        digests: Digest::default(),
        documents: 100_000,
        bytes: 50_000_000,
        deletes: None,
    };
    assert_eq!(manifest(2, vec![segment]) - manifest(2, Vec::new()), 148);
}
