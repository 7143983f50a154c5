//! The query language: what texts mean, and where they cannot be understood.

use cim_ipld_index::{Document, Field, MemoryIndex, Query, SearchOptions};
use proptest::prelude::*;

use crate::model::cid;

#[test]
fn texts_and_builders_say_the_same() {
    let any = |words: &[&str]| Query::any(words.iter().map(|word| Query::term(*word)));
    let all = |words: &[&str]| Query::all(words.iter().map(|word| Query::term(*word)));
    let cases = [
        ("", Query::everything()),
        ("   ", Query::everything()),
        ("a", Query::term("a")),
        ("a b", any(&["a", "b"])),
        ("a OR b", any(&["a", "b"])),
        ("a AND b", all(&["a", "b"])),
        ("a AND b AND c", all(&["a", "b", "c"])),
        ("a b AND c", Query::any([Query::term("a"), all(&["b", "c"])])),
        ("(a b) AND c", Query::all([any(&["a", "b"]), Query::term("c")])),
        ("((a))", Query::term("a")),
        ("\"a b\"", Query::phrase(Field::Any, "a b", 0)),
        ("\"a b\"~3", Query::phrase(Field::Any, "a b", 3)),
        ("ab*", Query::prefix(Field::Any, "ab")),
        ("ab~", Query::fuzzy(Field::Any, "ab", 1)),
        ("ab~2", Query::fuzzy(Field::Any, "ab", 2)),
        ("title:a", Query::term_in(Field::Title, "a")),
        ("author:\"a b\"", Query::phrase(Field::Author, "a b", 0)),
        ("title:(a b)", Query::any([Query::term_in(Field::Title, "a"), Query::term_in(Field::Title, "b")])),
        ("a^2.5", Query::term("a").boost(2.5)),
        ("tag:x a", Query::term("a").tag("x")),
        ("tag:\"x y\" -tag:z", Query::everything().tag("x y").no_tag(["z"])),
        ("tag:use::mail", Query::everything().tag("use::mail")),
        ("type:text/plain type:image/png", Query::everything().content_type("text/plain").content_type("image/png")),
        ("tag:x AND a", Query::term("a").tag("x")),
        ("http://a/b", Query::term("http://a/b")),
        ("ANDROID ORBIT", any(&["ANDROID", "ORBIT"])),
    ];
    for (text, expected) in cases {
        assert_eq!(Query::parse(text).as_ref(), Ok(&expected), "{text:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_named_with_its_place() {
    let cases = [
        ("(a", 2, "`)`"),
        ("a)", 1, "a word"),
        ("\"a", 2, "closing"),
        ("a AND", 5, "after AND"),
        ("a AND OR b", 6, "after AND"),
        ("AND a", 0, "before AND"),
        ("OR a", 2, "before OR"),
        ("a OR", 4, "after OR"),
        ("NOT", 3, "after NOT"),
        ("a -", 3, "right after"),
        ("a^x", 2, "boost"),
        ("a~7", 3, "1 or 2"),
        ("\"a b\"~x", 6, "how many"),
        ("title: a", 6, "value"),
        ("tag:", 4, "value"),
        ("-type:x", 6, "type that is wanted"),
        ("é (", 4, "`)`"),
    ];
    for (text, position, expected) in cases {
        let error = Query::parse(text).unwrap_err();
        assert_eq!(error.position, position, "{text:?}: {error}");
        assert!(error.expected.contains(expected), "{text:?}: {error}");
    }
    assert!(Query::parse(&"(".repeat(100_000)).unwrap_err().expected.contains("fewer"));
    assert!(Query::parse(&"title:".repeat(100_000)).unwrap_err().expected.contains("fewer"));
}

#[test]
fn queries_find_what_they_say() {
    let index = MemoryIndex::new();
    let documents = [
        ("Moby Dick", "Melville", "the white whale swims far from the white ship", "sea"),
        ("Whale Songs", "Payne", "songs of the humpback", "Sea"),
        ("Arctic", "Lopez", "white snow, white-tailed foxes and a whaler", "ice"),
        ("Straße", "Müller", "Café am Meer", "ice"),
    ];
    for (n, (title, author, text, tag)) in documents.into_iter().enumerate() {
        let document = Document::new(cid(n as u64)).with_title(title).with_author(author).with_text(text).with_tag(tag);
        index.insert(&document).unwrap();
    }
    let cases: &[(&str, &[u64])] = &[
        ("whale", &[0, 1]),
        ("title:whale", &[1]),
        ("whale -ship", &[1]),
        ("whale NOT ship", &[1]),
        ("+white ship", &[0, 2]),
        ("whal*", &[0, 1, 2]),
        ("whele~", &[0, 1]),
        ("whele~2", &[0, 1, 2]),
        ("\"white whale\"", &[0]),
        ("\"white swims\"", &[]),
        ("\"white swims\"~1", &[0]),
        ("\"the ship\"~2", &[0]),
        ("\"whale white\"", &[]),
        ("white-tailed", &[2]),
        ("\"foxes dick\"~1000", &[]),
        ("payne AND (humpback OR fox)", &[1]),
        ("tag:SEA", &[0, 1]),
        ("white tag:ice", &[2]),
        ("-tag:ice", &[0, 1]),
        ("NOT white", &[1, 3]),
        ("*", &[0, 1, 2, 3]),
        ("strasse", &[3]),
        ("CAFE AND muller", &[3]),
        ("--", &[]),
        ("whale AND --", &[0, 1]),
    ];
    for compact in [false, true] {
        if compact {
            index.compact().unwrap();
        }
        for (text, expected) in cases {
            let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let results = index.search(&query, &SearchOptions::default()).unwrap();
            let mut found: Vec<_> = results.hits.iter().map(|hit| hit.cid).collect();
            let mut wanted: Vec<_> = expected.iter().map(|n| cid(*n)).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{text}");
            assert_eq!(results.total, expected.len() as u64, "{text}");
        }
    }
}

#[test]
fn filters_combine() {
    let index = MemoryIndex::new();
    for n in 0..6 {
        let document = Document::new(cid(n)).with_tag(format!("a{}", n % 2)).with_tag(format!("b{}", n % 3));
        index.insert(&document.with_content_type(if n < 3 { "text/plain" } else { "Image/PNG" })).unwrap();
    }
    let everything = Query::everything;
    let cases = [
        (everything().tag("a0").tag("b1"), 1),
        (everything().any_tag(["b0", "b1"]), 4),
        (everything().any_tag(["b0", "b1"]).no_tag(["a1"]), 2),
        (everything().content_type("image/png"), 3),
        (everything().content_type("image/png").content_type("TEXT/plain"), 6),
        (everything().tag("missing"), 0),
        (everything().no_tag(["missing"]), 6),
    ];
    for (query, total) in cases {
        assert_eq!(index.search(&query, &SearchOptions::default()).unwrap().total, total, "{query:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error_inside_it(text in "[ab \"()+\\-~^*:ANDORtile0-9é]{0,40}") {
        match Query::parse(&text) {
            Ok(query) => drop(MemoryIndex::new().search(&query, &SearchOptions::default()).unwrap()),
            Err(error) => prop_assert!(error.position <= text.len() && text.is_char_boundary(error.position)),
        }
    }
}
