//! Names from secrets: every input matters, and different kinds of names never collide.

use std::collections::BTreeSet;

use cim_ipld_envelope::ObjectNames;

#[test]
fn encryption_names_tell_everything_apart() {
    let (names, other) = (ObjectNames::from_secret([7; 32]), ObjectNames::from_secret([8; 32]));
    let mut all = BTreeSet::new();
    for names in [&names, &other] {
        for class in [0, 1, 255] {
            for ordinal in [0, 1, 256, u32::MAX] {
                assert!(all.insert(names.name(class, ordinal)));
            }
        }
        for text in ["", "a", "b", "ab"] {
            assert!(all.insert(names.name_of(text)));
        }
    }
    assert!(
        all.iter().all(|name| name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')))
    );
    assert_eq!(names.name_of("a"), ObjectNames::from_secret(*names.secret()).name_of("a"));
}

/// If the label of `name` were a prefix of the label of `name_of`, the two names could collide: the
/// bytes of a class and an ordinal could equal the remaining bytes of the longer label followed by
/// the text.
#[test]
fn encryption_names_of_texts_are_never_those_of_ordinals() {
    let names = ObjectNames::generate();
    for text in ["XY", "ab", "", "longer text"] {
        for label in ["-of", "-text", "text"] {
            let continued = [label.as_bytes(), text.as_bytes(), &[0; 5]].concat();
            let (class, ordinal) = (continued[0], u32::from_le_bytes(*continued[1..].first_chunk().expect("5 bytes")));
            assert_ne!(names.name(class, ordinal), names.name_of(text));
        }
    }
    assert_ne!(names.name(b'-', u32::from_le_bytes(*b"ofXY")), names.name_of("XY"));
}
