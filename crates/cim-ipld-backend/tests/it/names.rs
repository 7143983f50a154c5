//! Valid and invalid bucket names, keys and prefixes.

use cim_ipld_backend::{Bucket, BucketKind, ErrorKind, Key, KeyPrefix, MAX_BUCKET_BYTES, MAX_KEY_BYTES};

#[test]
fn bucket_names() {
    let longest = "b".repeat(MAX_BUCKET_BYTES);
    for name in ["catalog_v1", "My-index_catalog_v1", "0", "_", &longest] {
        assert_eq!(Bucket::log(name).unwrap().name(), name);
        assert_eq!(Bucket::objects(name).unwrap().kind(), BucketKind::Objects);
    }
    let too_long = "b".repeat(MAX_BUCKET_BYTES + 1);
    for name in ["", "a.b", "a b", "a/b", "a*", ">", "ü", "a\n", &too_long] {
        assert_eq!(Bucket::log(name).unwrap_err().kind(), ErrorKind::InvalidName, "{name:?}");
        assert_eq!(Bucket::objects(name).unwrap_err().kind(), ErrorKind::InvalidName, "{name:?}");
    }
}

#[test]
fn keys() {
    let longest = "k".repeat(MAX_KEY_BYTES);
    for key in ["a", "a.b.c", "journal.0f-9/x_y=", "-", &longest] {
        assert_eq!(Key::new(key).unwrap().as_str(), key);
    }
    let too_long = "k".repeat(MAX_KEY_BYTES + 1);
    for key in ["", ".", ".a", "a.", "a..b", "a b", "a*", "a.>", "é", "a\r\nPUB", "a\0", &too_long] {
        assert_eq!(Key::new(key).unwrap_err().kind(), ErrorKind::InvalidName, "{key:?}");
        assert_eq!(KeyPrefix::below(key).unwrap_err().kind(), ErrorKind::InvalidName, "{key:?}");
    }
}

#[test]
fn prefixes_end_at_a_token() {
    let below = |tokens, key| KeyPrefix::below(tokens).unwrap().contains(&Key::new(key).unwrap());
    for (tokens, key, contained) in [
        ("journal", "journal.a", true),
        ("journal", "journal.a.b", true),
        ("journal", "journal", false),
        ("journal", "journals.a", false),
        ("journal", "journal-a", false),
        ("a.b", "a.b.c", true),
        ("a.b", "a.bc", false),
        ("a.b", "a", false),
    ] {
        assert_eq!(below(tokens, key), contained, "{key} below {tokens}");
    }
    assert!(KeyPrefix::all().contains(&Key::new("any").unwrap()));
}
