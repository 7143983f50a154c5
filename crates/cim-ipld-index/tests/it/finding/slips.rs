//! Queries with the slips that people make: they find what is meant, or are refused with the place.

use cim_ipld_index::{Document, MemoryIndex, Query, QueryErrorKind, Value};

use super::{Row, found};
use crate::model::cid;

fn index() -> MemoryIndex {
    let index = MemoryIndex::new();
    let string = |text: &str| Value::String(text.to_owned());
    let documents = [
        Document::new(cid(0))
            .with_text("harbour fog")
            .with_tag("sea")
            .with_content_type("text/plain")
            .with_attribute("path", string("/usr/bin/ls"))
            .with_attribute("user", string("@ann"))
            .with_attribute("mood", string("🍩")),
        Document::new(cid(1)).with_text("harbour").with_tag("ice").with_content_type("image/png"),
        Document::new(cid(2)).with_title("path usr bin ls").with_text("report1.pdf fo1-bar file2_x fog"),
    ];
    for (size, mut document) in [100, 250, 5].into_iter().zip(documents) {
        document.size = Some(size);
        index.insert(&document).unwrap();
    }
    index
}

#[test]
fn slips_find_what_is_meant() {
    let cases: &[Row] = &[
        // The value of an attribute may start with a sign.
        ("path:/usr/bin/ls", &[0]),
        ("-path:/usr/bin/ls", &[1, 2]),
        ("user:@ann", &[0]),
        ("mood:🍩", &[0]),
        ("other:/usr/bin/ls", &[]),
        // Operators between types.
        ("type:text/plain type:image/png", &[0, 1]),
        ("type:text/plain AND type:image/png", &[]),
        ("+type:text/plain +type:image/png", &[]),
        ("type:(text/plain AND image/png)", &[]),
        ("type:text/* AND type:text/plain", &[0]),
        ("harbour AND type:text/plain", &[0]),
        ("harbour AND (type:text/plain AND type:image/png)", &[]),
        ("harbour AND (type:text/plain OR type:image/png)", &[0, 1]),
        // A lower-case `to`, and spaces after the colon.
        ("size:[50 to 200]", &[0]),
        ("size: 100", &[0]),
        ("size: [50 TO 200]", &[0]),
        ("tag: sea", &[0]),
        ("harbour tag: sea", &[0]),
        ("tag: (sea OR ice)", &[0, 1]),
        ("title: path", &[2]),
        ("title: harbour", &[]),
        // A question mark before a sign.
        ("report?.pdf", &[2]),
        ("fo?-bar", &[2]),
        ("file?_x", &[2]),
        ("harbour?", &[0, 1]),
        ("fog?...", &[0, 2]),
        // An operator too many, or punctuation between operators.
        ("harbour AND AND fog", &[0]),
        ("harbour AND , fog", &[0]),
        ("harbour AND - fog", &[0]),
        ("harbour AND ??? fog", &[0]),
        ("harbour AND", &[0, 1]),
        ("harbour AND OR fog", &[0, 1, 2]),
        // A distance of none.
        ("harbor~0", &[]),
        ("harbour~0", &[0, 1]),
        ("harbor~1", &[0, 1]),
    ];
    let index = index();
    for is_compact in [false, true] {
        if is_compact {
            index.compact().unwrap();
        }
        for (text, expected) in cases {
            let query = Query::parse_typed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let mut hits = found(&index, &query);
            hits.sort_unstable();
            assert_eq!(hits, *expected, "{text}");
        }
    }
}

#[test]
fn slips_that_may_mean_anything_are_refused() {
    let cases = [
        ("size:[50 TO 200", "", "`]` or `}`"),
        ("size:[100 TO]", "", "a number or `*`"),
        ("created:[2024-01-01 2025-01-01]", "2025-01-01]", "TO"),
        ("created: yesterday", "yesterday", "a date such as 2024-01-31"),
        ("fog~3", "3", "a distance of 1 or 2"),
        ("fog~0.8", "0.8", "a distance of 1 or 2"),
        ("fo*~", "~", "no `~` after a wildcard"),
        ("\"harbour fog\"~", "", "the maximum number of words in between, such as 2"),
        ("\"harbour fog\"~x", "x", "the maximum number of words in between, such as 2"),
    ];
    let places = cases.map(|(text, _, expected)| {
        let error = Query::parse_typed(text).expect_err(text);
        assert_eq!((error.kind, error.expected.as_str()), (QueryErrorKind::Value, expected), "{text}");
        (text, &text[error.range])
    });
    assert_eq!(places, cases.map(|(text, place, _)| (text, place)));
}
