//! The query language: the meaning of query texts, and the positions of errors.

use std::ops::Bound;

use cim_ipld_index::{
    Document, ErrorKind, Field, MemoryIndex, Number, NumberField, Query, QueryErrorKind, SearchOptions, Timestamp,
    Value,
};
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
        ("a OR b AND c OR d", Query::any([Query::term("a"), all(&["b", "c"]), Query::term("d")])),
        ("(a AND b)", all(&["a", "b"])),
        ("NOT NOT a", Query::term("a")),
        ("a OR NOT b", Query::any([Query::term("a"), Query::everything().and_not(Query::term("b"))])),
        ("tag:x OR tag:y", Query::any([Query::tagged("x"), Query::tagged("y")])),
        ("a OR tag:x", Query::any([Query::term("a"), Query::tagged("x")])),
        ("tag:(x OR y) a", Query::term("a").filter(Query::any([Query::tagged("x"), Query::tagged("y")]))),
        ("a tag:x type:t", Query::term("a").tag("x").content_type("t")),
        ("-type:x", Query::everything().and_not(Query::typed("x"))),
        ("C\\+\\+", Query::term("C++")),
        ("\\-a", Query::term("-a")),
        ("\\AND", Query::term("AND")),
        ("a\\*", Query::term("a*")),
        ("a\\:b", Query::term("a:b")),
        ("\"the \\\"best\\\"\"", Query::term("the \"best\"")),
        ("tag:a\\)b", Query::everything().tag("a)b")),
        ("tag:c++", Query::everything().tag("c++")),
        ("lang:en", Query::named("lang", "en")),
        ("lang:\"en GB\"", Query::named("lang", "en GB")),
        ("my\\ name:v", Query::named("my name", "v")),
        ("12:30", Query::term("12:30")),
        ("std::fmt", Query::term("std::fmt")),
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
        ("OR a", 0, "before OR"),
        ("a OR", 4, "after OR"),
        ("NOT", 3, "after NOT"),
        ("a -", 3, "right after"),
        ("a^x", 2, "boost"),
        ("a~7", 2, "1 or 2"),
        ("\"a b\"~x", 6, "the maximum number of words"),
        ("title: a", 6, "value"),
        ("tag:", 4, "value"),
        ("é (", 4, "`)`"),
        ("a^99999999999999999999999999999999999999999999", 2, "boost"),
        ("size:", 5, "value"),
        ("size:abc", 5, "a number"),
        ("a size:[1 TO", 12, "a number or `*`"),
        ("size:[1 2]", 8, "TO"),
        ("size:[1 TO 2", 12, "`]` or `}`"),
        ("size:2024-01-31", 5, "a number"),
        ("created:[5 TO *]", 9, "a date such as 2024-01-31 or `*`"),
        ("created:>2024-02-30", 9, "a date"),
        ("due:[2024-01-01 TO 5]", 19, "two numbers or two dates"),
        ("due:[soon TO *]", 5, "a number or a date such as 2024-01-31 or `*`"),
        ("title:[a TO b]", 6, "a word or a phrase"),
        ("a\\", 2, "backslash"),
    ];
    for (text, position, expected) in cases {
        let error = Query::parse(text).unwrap_err();
        assert_eq!(error.range.start, position, "{text:?}: {error}");
        assert!(error.expected.contains(expected), "{text:?}: {error}");
    }
    for nested in ["(", "title:(", "name:(", "-(", "NOT(", "a AND("] {
        let error = Query::parse(&nested.repeat(100_000)).unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::Limit, "{nested}: {error}");
    }
}

#[test]
fn ranges_say_what_builders_say() {
    let at = |text: &str| text.parse::<i64>().map(Timestamp).unwrap();
    let (jan, feb, mar) = (at("1704067200000"), at("1706745600000"), at("1709251200000"));
    let size = |bounds: (Bound<u64>, Bound<u64>)| Query::range(NumberField::Size, bounds);
    let created = |bounds: (Bound<Timestamp>, Bound<Timestamp>)| Query::range(NumberField::CreatedAt, bounds);
    let attribute = |bounds: (Bound<Number>, Bound<Number>)| Query::range(NumberField::Attribute("x".into()), bounds);
    let float = |bounds: (Bound<f64>, Bound<f64>)| Query::range(NumberField::Attribute("x".into()), bounds);
    let integer = |number: i64| Bound::Included(Number::from(number));
    use Bound::{Excluded, Included, Unbounded};
    let cases = [
        ("size:[100 TO 200}", size((Included(100), Excluded(200)))),
        ("size:{100 TO 200]", size((Excluded(100), Included(200)))),
        ("size:[* TO 200]", size((Unbounded, Included(200)))),
        ("size:[ 100  TO  * ]", size((Included(100), Unbounded))),
        ("size:>=100", size((Included(100), Unbounded))),
        ("size:>100", size((Excluded(100), Unbounded))),
        ("size:<=18446744073709551615", size((Unbounded, Included(u64::MAX)))),
        ("size:<100", size((Unbounded, Excluded(100)))),
        ("size:100", size((Included(100), Included(100)))),
        ("created:2024-01", created((Included(jan), Excluded(feb)))),
        ("created:[2024-01 TO 2024-02]", created((Included(jan), Excluded(mar)))),
        ("created:{2024-01 TO 2024-03}", created((Included(feb), Excluded(mar)))),
        ("created:>2024-01", created((Included(feb), Unbounded))),
        ("created:>=\"2024-02-01T00:00:00Z\"", created((Included(feb), Unbounded))),
        ("created:<2024-01-31T19:00:00-05:00", created((Unbounded, Excluded(feb)))),
        ("x:[-3 TO 2024]", attribute((integer(-3), integer(2024)))),
        ("x:>=-1.5", float((Included(-1.5), Unbounded))),
        ("x:<1e3", float((Unbounded, Excluded(1000.0)))),
        ("x:[2024 TO 2024-01]", attribute((Included(jan.into()), Excluded(feb.into())))),
        ("x:[* TO *]", attribute((Unbounded, Unbounded))),
    ];
    for (text, expected) in cases {
        assert_eq!(Query::parse(text), Ok(Query::everything().filter(expected.clone())), "{text:?}");
        let beside = Query::term("a").filter(expected.clone());
        assert_eq!(Query::parse(&format!("{text} a")), Ok(beside), "{text:?}");
        let either = Query::any([Query::term("a"), expected]);
        assert_eq!(Query::parse(&format!("a OR {text}")), Ok(either), "{text:?}");
    }
}

#[test]
fn attributes_are_found_by_what_they_are() {
    let index = MemoryIndex::new();
    let days = |days: i64| Value::Date(Timestamp(days * 86_400_000));
    let text = |text: &str| Value::Text(text.to_owned());
    let keyword = |name: &str| Value::Keyword(name.to_owned());
    let attributes: [&[(&str, Value)]; 6] = [
        &[("lang", keyword("en")), ("year", Value::Integer(2024)), ("note", text("A whale, white as snow"))],
        &[("lang", keyword("en-GB")), ("year", Value::Float(2023.5)), ("due", days(1))],
        &[("lang", text("en and de")), ("year", text("about 2024")), ("due", days(-1))],
        &[("lang", keyword("EN")), ("year", days(19_723)), ("note", text("white whales"))],
        &[("year", Value::Float(f64::NAN)), ("note", text("--")), ("ratio", Value::Float(-0.0))],
        &[],
    ];
    for (n, own) in attributes.into_iter().enumerate() {
        let mut document = Document::new(cid(n as u64)).with_text(format!("document number {n}"));
        document.attributes = own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        document.size = Some(n as u64 * 100);
        document.created_at = Some(Timestamp(1_704_067_200_000 + n as i64 * 86_400_000));
        index.insert(&document).unwrap();
    }
    let cases: &[(&str, &[u64])] = &[
        ("lang:en", &[0, 2]),
        ("lang:EN", &[2, 3]),
        ("lang:en-GB", &[1]),
        ("lang:\"en and\"", &[2]),
        ("lang:e*", &[0, 1, 2]),
        ("lang:*", &[0, 1, 2, 3]),
        ("note:whale", &[0]),
        ("note:whale~", &[0, 3]),
        ("note:\"white whales\"", &[3]),
        ("note:\"whale snow\"~2", &[0]),
        ("note:*", &[0, 3]),
        ("whale", &[]),
        ("year:2024", &[0, 2, 3]),
        ("year:[2023 TO 2024]", &[0, 1]),
        ("year:>2023.5", &[0]),
        ("year:>=2024-01", &[3]),
        ("year:*", &[0, 1, 2, 3]),
        ("due:<1970-01", &[2]),
        ("due:1970-01-02", &[1]),
        ("ratio:0", &[4]),
        ("ratio:>=0", &[4]),
        ("size:[100 TO 300}", &[1, 2]),
        ("size:300", &[3]),
        ("created:2024-01-02", &[1]),
        ("created:>=2024-01-05", &[4, 5]),
        ("created:[* TO *] -lang:en", &[1, 3, 4, 5]),
        ("number lang:en size:>0", &[2]),
        ("size:0 OR size:500", &[0, 5]),
        ("5 OR note:snow", &[0, 5]),
        ("missing:x", &[]),
        ("missing:*", &[]),
    ];
    for compact in [false, true] {
        if compact {
            index.compact().unwrap();
        }
        for (text, expected) in cases {
            assert_found(&index, text, expected);
        }
    }
}

#[test]
fn queries_too_deep_are_refused() {
    let mut query = Query::term("a");
    for _ in 0..1000 {
        query = Query::any([query, Query::term("b")]);
    }
    let error = MemoryIndex::new().search(&query, &SearchOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery);
}

fn assert_found(index: &MemoryIndex, text: &str, expected: &[u64]) {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let results = index.search(&query, &SearchOptions::default()).unwrap();
    let mut found: Vec<_> = results.hits.iter().map(|hit| hit.cid).collect();
    let mut wanted: Vec<_> = expected.iter().map(|n| cid(*n)).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "{text}");
    assert_eq!(results.total, expected.len() as u64, "{text}");
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
            assert_found(&index, text, expected);
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
        (Query::any([everything().tag("a0").tag("b1"), everything().tag("a1").no_tag(["b1"])]), 3),
        (everything().and_not(everything().tag("a0")), 3),
        (everything().filter(Query::any([Query::tagged("b0"), Query::tagged("b1")])), 4),
        (everything().filter(everything().tag("a0").content_type("text/plain")), 2),
    ];
    for (query, total) in cases {
        assert_eq!(index.search(&query, &SearchOptions::default()).unwrap().total, total, "{query:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error_inside_it(text in "[ab \"()+\\-~^*:ANDORTtilesz0-9é<>=\\[\\]{}\\\\]{0,40}") {
        match Query::parse(&text) {
            Ok(query) => drop(MemoryIndex::new().search(&query, &SearchOptions::default()).unwrap()),
            Err(error) => prop_assert!(text.get(error.range).is_some()),
        }
    }
}
