//! Documents survive a round trip through bytes, and hostile bytes give errors.

use cid::Cid;
use cim_ipld_index::{Document, DocumentKind, ErrorKind, Timestamp, Value, codec};
use multihash::Multihash;
use proptest::prelude::*;

fn cid(digest: &[u8]) -> Cid {
    Cid::new_v1(0x55, Multihash::wrap(0x1e, digest).unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,20}".prop_map(Value::Text),
        ".{0,20}".prop_map(Value::Keyword),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("NaN is not equal to itself", |f| !f.is_nan()).prop_map(Value::Float),
        any::<i64>().prop_map(|ms| Value::Date(Timestamp(ms))),
    ]
}

prop_compose! {
    fn document()(
        digest in proptest::collection::vec(any::<u8>(), 0..64),
        texts in proptest::array::uniform4(proptest::option::of(".{0,40}")),
        tags in proptest::collection::vec(".{0,10}", 0..5),
        times in proptest::array::uniform2(proptest::option::of(any::<i64>())),
        size in proptest::option::of(any::<u64>()),
        kind in 0usize..4,
        attributes in proptest::collection::btree_map(".{0,8}", value(), 0..4),
    ) -> Document {
        let mut document = Document::new(cid(&digest));
        [document.title, document.author, document.content_type, document.text] = texts;
        document.tags = tags;
        [document.created_at, document.modified_at] = times.map(|time| time.map(Timestamp));
        document.size = size;
        document.kind = DocumentKind::ALL[kind];
        document.attributes = attributes;
        document
    }
}

proptest! {
    #[test]
    fn documents_round_trip(document in document()) {
        let bytes = codec::encode(&document).unwrap();
        prop_assert_eq!(codec::decode(&bytes).unwrap(), document);
        for len in 0..bytes.len() {
            prop_assert!(codec::decode(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn altered_bytes_are_an_error_or_another_document(document in document(), at in any::<usize>(), to in any::<u8>()) {
        let mut bytes = codec::encode(&document).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(decoded) = codec::decode(&bytes) {
            let _ = codec::encode(&decoded);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), versioned in any::<bool>()) {
        if let (true, Some(version)) = (versioned, bytes.first_mut()) {
            *version = 1;
        }
        let _ = codec::decode(&bytes);
    }
}

#[test]
fn a_newer_layout_has_its_own_kind() {
    let mut bytes = codec::encode(&Document::new(cid(&[7; 32]))).unwrap();
    bytes[0] = 2;
    assert_eq!(codec::decode(&bytes).unwrap_err().kind(), ErrorKind::UnsupportedVersion);
}

#[test]
fn each_limit_is_an_error_that_names_it() {
    let base = Document::new(cid(&[1; 32]));
    let mut crowded = base.clone();
    crowded.attributes = (0..257).map(|n| (n.to_string(), Value::Integer(n))).collect();
    let cases = [
        (base.clone().with_tag("x".repeat(513)), "513 bytes"),
        (base.clone().with_content_type("x".repeat(513)), "513 bytes"),
        ((0..1025).fold(base.clone(), |document, n| document.with_tag(n.to_string())), "1025 tags"),
        (base.clone().with_attribute("x".repeat(257), Value::Integer(0)), "attribute name"),
        (base.clone().with_attribute("x", Value::Keyword("y".repeat(1025))), "a keyword"),
        (crowded, "257 attributes"),
    ];
    for (document, expected) in cases {
        let error = codec::encode(&document).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidDocument);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
