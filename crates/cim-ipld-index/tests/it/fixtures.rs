//! This version opens, verifies and searches the segments that earlier versions wrote.
//!
//! A fixture is named after the version that wrote it. The fixture of this version is written by
//! `cargo run -p cim-ipld-index --example write_fixture`; an existing fixture is never rewritten.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cim_ipld_index::{
    Analyzer, Deletes, Field, PageClass, PageId, PageMap, PageSink, Progress, Query, ReadView, SearchOptions, Segment,
    SegmentId, Verification, codec,
};

#[path = "../../examples/write_fixture/documents.rs"]
mod documents;

use documents::{DOCUMENTS, document};

const ID: SegmentId = SegmentId([7; 16]);

/// Reads the output of `write_fixture`: per page its class, ordinal and length, then its bytes.
fn read(path: &Path) -> PageMap {
    let bytes = fs::read(path).unwrap();
    let mut pages = PageMap::new();
    let mut sink = pages.sink(ID);
    let mut rest = &bytes[..];
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let (page, next) = tail.split_at(number(5) as usize);
        let class = PageClass::from_code(head[0]).unwrap();
        sink.page(PageId::new(class, number(1)), page.to_vec()).unwrap();
        rest = next;
    }
    assert!(rest.is_empty());
    drop(sink);
    pages
}

#[test]
fn segments_of_every_version_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let pages = read(&path);
        let segment = Arc::new(Segment::open(ID, &pages.header(ID)).unwrap());
        check(&path, segment, &pages);
        seen.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    let own = env!("CARGO_PKG_VERSION").to_owned();
    assert!(seen.contains(&own), "there is no fixture of version {own}: run the example write_fixture");
}

fn check(path: &Path, segment: Arc<Segment>, pages: &PageMap) {
    let name = path.display();
    let mut verification = Verification::new(segment.clone(), Deletes::new(), Analyzer::default()).unwrap();
    let Progress::Ready(report) = verification.advance(pages).unwrap_or_else(|error| panic!("{name}: {error}")) else {
        panic!("{name}: a page is missing");
    };
    assert_eq!(report.documents, DOCUMENTS, "{name}");

    let snapshot = ReadView::new(Analyzer::default(), vec![(segment, Deletes::new())], vec![]).unwrap();
    let all: Vec<_> = (0..DOCUMENTS).map(document).collect();
    let cids: Vec<_> = all.iter().map(|document| document.cid).collect();
    let stored = snapshot.documents(&cids, pages).unwrap().ready().unwrap();
    assert!(stored.iter().zip(&all).all(|(stored, document)| stored.as_ref() == Some(document)), "{name}");

    let everywhere = DOCUMENTS;
    let counted: [(Query, u64); 9] = [
        (Query::term("everywhere"), everywhere),
        (Query::term("third"), DOCUMENTS.div_ceil(3)),
        (Query::all([Query::term("third"), Query::term("fifth")]), DOCUMENTS.div_ceil(15)),
        (Query::phrase(Field::Any, "word and everywhere", 0), everywhere),
        (Query::prefix(Field::Title, "numb"), everywhere),
        (Query::everything().tag("seventh"), DOCUMENTS.div_ceil(7)),
        (Query::everything().content_type("text/plain"), everywhere),
        (Query::parse("size:[0 TO 99]").unwrap(), 100),
        (Query::parse("shelf:upper").unwrap(), DOCUMENTS.div_ceil(2)),
    ];
    for (query, total) in counted {
        let found = snapshot.search(&query, &SearchOptions::default(), pages).unwrap().ready().unwrap();
        assert_eq!(found.total, total, "{name}: {query:?}");
    }
}

#[test]
fn an_encoded_document_has_the_bytes_it_always_had() {
    let bytes = codec::encode(&document(0)).unwrap();
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(
        (bytes.len(), hash),
        (222, 14_932_326_277_178_353_183),
        "the layout of documents changed: give it a new version"
    );
}
