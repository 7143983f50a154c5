//! The query language in tables: queries typed by people and queries made by programs.

use cim_ipld_index::{
    Document, ErrorKind, MemoryIndex, NumberField, Query, QueryErrorKind, SearchOptions, Timestamp, Value,
};

use crate::model::cid;

/// Documents, by the letters that name them in the tables.
const TEXTS: [(char, &str); 16] = [
    ('a', "connect to localhost:8080 now"),
    ('b', "fixed TODO:cleanup in Re:Zero"),
    ('c', "doi:10.1000/xyz123 mailto:ann@example.org"),
    ('d', "uses std::vector and grammar::fa"),
    ('e', "starts at 12:30 sharp"),
    ('f', "AC/DC plays Thunderstruck live"),
    ('g', "what is 1 + 1 in C++ or 2^10"),
    ('h', "edit ~/.bashrc or C:\\Users\\ann\\notes.txt"),
    ('i', "the ping tree of a big_bad_wolf.txt"),
    ('j', "Tree ping, wolf alone"),
    ('k', "https://docs.example.org/consumer/querying?page=2&sort=asc"),
    ('l', "level=error service=billing jane.roe@mail.example.com"),
    ('m', "v6.2.8 of snake_case rock'n'roll"),
    ('n', "הרב כ\"ץ כתב"),
    ('o', "amsterdam rotterdam"),
    ('p', "NASA's wi-fi, AT&T and R&D"),
];

/// Queries and the documents that they match.
const FOUND: &[(&str, &str)] = &[
    // Colons in text.
    ("localhost:8080", "a"),
    ("TODO:cleanup", "b"),
    ("todo:CLEANUP", "b"),
    ("Re:Zero", "b"),
    ("re:zero thunderstruck", "bf"),
    ("doi:10.1000/xyz123", "c"),
    ("mailto:ann@example.org", "c"),
    ("std::vector", "d"),
    ("grammar::fa", "d"),
    ("12:30", "e"),
    ("starts:", "e"),
    ("localhost\\:8080", "a"),
    ("\"localhost:8080\"", "a"),
    ("+localhost:8080 -missing:x", "a"),
    ("localhost:80*", "a"),
    ("localhost:8?80", "a"),
    ("localhost:8081~", "a"),
    ("TODO:\"cleanup in\"", "b"),
    ("TODO:(cleanup OR other)", "b"),
    ("localhost:8080 OR Re:Zero", "ab"),
    ("localhost:8080 AND now", "a"),
    ("(localhost:8080 Re:Zero) AND fixed", "b"),
    ("NOT localhost:8080 TODO:cleanup", "b"),
    ("https://docs.example.org/consumer/querying", "k"),
    ("https://docs.example.org/consumer/querying?page=2&sort=asc", "k"),
    ("level=error", "l"),
    ("service=billing", "l"),
    ("text:localhost:8080", "a"),
    (":", ""),
    ("::", ""),
    ("a:", "i"),
    // Operators without a word.
    ("AC/DC - Thunderstruck", "f"),
    ("AC/DC – Thunderstruck", "f"),
    ("thunderstruck -", "f"),
    ("- thunderstruck", "f"),
    ("+ thunderstruck", "f"),
    ("-- thunderstruck", "f"),
    ("thunderstruck +", "f"),
    ("thunderstruck -> live", "f"),
    ("thunderstruck & live", "f"),
    ("thunderstruck | live", "f"),
    ("thunderstruck * live", "f"),
    ("thunderstruck ^ live", "f"),
    ("thunderstruck ~ live", "f"),
    ("thunderstruck ^^ live", "f"),
    ("thunderstruck)", "f"),
    ("(thunderstruck", "f"),
    ("((thunderstruck)", "f"),
    ("thunderstruck))", "f"),
    ("\"thunderstruck", "f"),
    ("thunderstruck\"", "f"),
    ("thunderstruck\\", "f"),
    ("thunderstruck AND", "f"),
    ("AND thunderstruck", "f"),
    ("OR thunderstruck OR", "f"),
    ("thunderstruck NOT", "f"),
    ("thunderstruck :-)", "f"),
    ("thunderstruck?", "f"),
    ("thunderstruck!!", "f"),
    ("[thunderstruck]", "f"),
    ("{thunderstruck}", "f"),
    ("<thunderstruck>", "f"),
    ("#thunderstruck", "f"),
    ("@thunderstruck;", "f"),
    ("1 + 1", "g"),
    ("C++", "gh"),
    ("2^10 +C++", "gh"),
    ("~/.bashrc", "h"),
    ("C:\\Users\\ann", "h"),
    ("\\Users\\ann", "h"),
    ("notes.txt", "h"),
    ("", "abcdefghijklmnop"),
    ("   ", "abcdefghijklmnop"),
    ("-", ""),
    ("?", ""),
    ("()", "abcdefghijklmnop"),
    // Quotes.
    ("\"ping tree\"", "i"),
    ("“ping tree”", "i"),
    ("„ping tree“", "i"),
    ("”ping tree”", "i"),
    ("«ping tree»", "i"),
    ("»ping tree«", "i"),
    ("“ping tree\"", "i"),
    ("\"ping tree”", "i"),
    ("ping tree", "ij"),
    ("\"ping tr*\"", "i"),
    ("\"the ping tr*\"", "i"),
    ("\"ping of*\"", ""),
    ("\"ping of*\"~1", "i"),
    ("-\"ping tree\" wolf", "j"),
    ("\"ping tree\"^2 wolf", "ij"),
    ("כ\"ץ", "n"),
    ("כ״ץ", "n"),
    ("rock'n'roll", "m"),
    // Words joined by punctuation are phrases of their parts.
    ("wolf", "ij"),
    ("wolf.txt", "i"),
    ("big_bad_wolf.txt", "i"),
    ("bad_wolf", "i"),
    ("wolf_bad", ""),
    ("jane.roe@mail.example.com", "l"),
    ("jane", "l"),
    ("roe@mail", "l"),
    ("snake", "m"),
    ("6.2.8", "m"),
    ("v6.2.8", "m"),
    ("6.2*", "m"),
    ("6.8", ""),
    ("wi-fi", "p"),
    ("AT&T", "p"),
    ("NASA", "p"),
    // Wildcards.
    ("amst*", "o"),
    ("*dam", "o"),
    ("*ster*", "o"),
    ("amst*dam", "o"),
    ("am?terdam", "o"),
    ("am?erdam", ""),
    ("?msterdam", "o"),
    ("AMST*DAM", "o"),
    ("*.example.org", "ck"),
    ("docs.*.org", "k"),
    ("big_*_wolf", "i"),
    ("w?lf.tx*", "i"),
    ("text:*", "abcdefghijklmnop"),
    ("*", "abcdefghijklmnop"),
    ("**", "abcdefghijklmnop"),
    // Boosts.
    ("wolf^1e3", "ij"),
    ("wolf^1e-3 AND txt", "i"),
    ("wolf^.5", "ij"),
    ("(wolf)^2", "ij"),
    ("wolf~^2", "ij"),
    ("tag:none^2 OR wolf^2", "ij"),
];

fn index() -> MemoryIndex {
    let index = MemoryIndex::new();
    for (name, text) in TEXTS {
        index.insert(&Document::new(cid(u64::from(name))).with_text(text)).unwrap();
    }
    index
}

fn found(index: &MemoryIndex, query: &Query) -> Result<String, cim_ipld_index::Error> {
    let hits = index.search(query, &SearchOptions::default().limit(100))?.hits;
    let name = |hit: &cim_ipld_index::Hit| TEXTS.iter().find(|(name, _)| cid(u64::from(*name)) == hit.cid).unwrap().0;
    let mut names: Vec<char> = hits.iter().map(name).collect();
    names.sort_unstable();
    Ok(names.into_iter().collect())
}

#[test]
fn what_people_type_finds_what_they_mean() {
    let index = index();
    let mut wrong = Vec::new();
    for is_compact in [false, true] {
        if is_compact {
            index.compact().unwrap();
        }
        for (text, expected) in FOUND {
            let query = Query::parse_typed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            match found(&index, &query) {
                Ok(found) if found == *expected => {}
                other => wrong.push(format!("{text}: {other:?}, expected {expected}")),
            }
            if let Ok(strict) = Query::parse(text) {
                assert_eq!(strict, query, "{text}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_whole_form_comes_first() {
    let index = MemoryIndex::new();
    let texts = [
        "C and more C, in C",
        "C++ in short, among many other words",
        "js of a node",
        "a script for node.js in a long text",
    ];
    for (n, text) in (0..).zip(texts) {
        index.insert(&Document::new(cid(n)).with_text(text)).unwrap();
    }
    for (text, first) in [("C++", 1), ("c++", 1), ("node.js", 3), ("node js", 2)] {
        let hits = index.search(&Query::parse_typed(text).unwrap(), &SearchOptions::default()).unwrap().hits;
        assert_eq!(hits[0].cid, cid(first), "{text}");
    }
}

#[test]
fn a_strict_parse_names_the_bytes_and_what_was_expected() {
    use QueryErrorKind::{Syntax, Value};
    let cases = [
        ("AC/DC - x", 7..8, Syntax, "a word right after `-`"),
        ("x +", 3..3, Syntax, "a word right after `+`"),
        ("é \"x", 5..5, Syntax, "a closing `\"`"),
        ("(a b", 4..4, Syntax, "`)`"),
        ("a b)", 3..4, Syntax, "a word, a phrase or `(`"),
        ("a AND", 5..5, Syntax, "something after AND"),
        ("created:2024-02-30 x", 8..18, Value, "a date such as 2024-01-31"),
        ("created:yesterday", 8..17, Value, "a date such as 2024-01-31"),
        ("created:\"last week\"", 8..19, Value, "a date such as 2024-01-31"),
        ("size:>big", 6..9, Value, "a number"),
        ("size:[1 TO x]", 11..12, Value, "a number or `*`"),
        ("a^b c", 2..3, Syntax, "a boost such as 2 or 0.5"),
        ("a* ~", 3..4, Syntax, ""),
        ("w*f~", 3..4, Value, "no `~` after a wildcard"),
        ("title: x", 6..7, Syntax, "a value right after the `:`"),
    ];
    for (text, range, kind, expected) in cases {
        match Query::parse(text) {
            Err(error) => {
                assert_eq!((error.range, error.kind), (range, kind), "{text}");
                assert_eq!(error.expected, expected, "{text}");
            }
            // A lone `~` is text to both parsers.
            Ok(_) => assert_eq!(expected, "", "{text}"),
        }
        let is_refused = Query::parse_typed(text).is_err();
        assert_eq!(is_refused, kind == Value, "{text}");
    }
}

#[test]
fn names_are_those_of_attributes_while_a_live_document_has_one() {
    let index = MemoryIndex::new();
    let text = |n: u64, text: &str| Document::new(cid(n)).with_text(text);
    index.insert(&text(0, "lang:en is plain here")).unwrap();
    index.insert(&text(1, "other words").with_attribute("lang", Value::Keyword("en".into()))).unwrap();
    index.insert(&text(2, "titel:x in a text").with_attribute("autor", Value::Integer(7))).unwrap();
    let hits = |text: &str| -> Result<Vec<u64>, ErrorKind> {
        let query = Query::parse(text).unwrap();
        let hits = index.search(&query, &SearchOptions::default()).map_err(|error| error.kind())?.hits;
        Ok((0..3).filter(|n| hits.iter().any(|hit| hit.cid == cid(*n))).collect())
    };
    for is_first in [true, false] {
        assert_eq!(hits("lang:en"), Ok(vec![1]));
        assert_eq!(hits("words lang:en"), Ok(vec![1]), "an attribute is wanted beside words");
        assert_eq!(hits("plain -lang:en"), Ok(vec![0]));
        assert_eq!(hits("autor:7"), Ok(vec![2]), "an attribute may resemble a field");
        assert_eq!(
            hits("titel:x"),
            Err(ErrorKind::InvalidQuery),
            "a name that resembles a field and is not an attribute"
        );
        assert_eq!(hits("\\titel:x"), Ok(vec![2]));
        assert_eq!(hits("\"titel:x\""), Ok(vec![2]));
        if is_first {
            index.compact().unwrap();
        }
    }
    assert!(index.delete(&cid(1)).unwrap());
    assert_eq!(hits("lang:en"), Ok(vec![0]), "no live document has the attribute");
    assert_eq!(hits("other lang:en"), Ok(vec![0]), "and it is an alternative like any word");
    index.compact().unwrap();
    assert_eq!(hits("other lang:en"), Ok(vec![0]));
    let error = index.search(&Query::parse("titel:x").unwrap(), &SearchOptions::default()).unwrap_err().to_string();
    assert!(error.contains("`title`") && error.contains("created, modified"), "{error}");
}

#[test]
fn strings_and_lists_are_found_by_each_of_their_values() {
    let index = MemoryIndex::new();
    let string = |text: &str| Value::String(text.to_owned());
    let list = |values: &[Value]| Value::List(values.to_vec());
    let documents = [
        vec![
            ("day", string("2024-01-15T23:30:00-05:00")),
            ("city", string("New York")),
            ("years", list(&[Value::Integer(2019), Value::Integer(2021)])),
        ],
        vec![
            ("day", string("2024-01-15")),
            ("city", list(&[string("York"), string("Leeds")])),
            ("years", Value::Integer(2020)),
        ],
        vec![
            ("day", string("2024")),
            ("city", Value::Keyword("York".into())),
            ("years", list(&[Value::Float(2019.5), string("soon")])),
        ],
        vec![("city", list(&[])), ("due", list(&[Value::Date(Timestamp(5)), Value::Date(Timestamp(1))]))],
    ];
    for (n, attributes) in (0..).zip(documents) {
        let mut document = Document::new(cid(n));
        document.attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        index.insert(&document).unwrap();
    }
    let cases: [(&str, &[u64]); 20] = [
        ("city:York", &[0, 1, 2]),
        ("city:york", &[0, 1]),
        ("city:\"New York\"", &[0]),
        ("city:\"York Leeds\"", &[]),
        ("city:leeds", &[1]),
        ("city:Y*", &[0, 1, 2]),
        ("city:*k", &[0, 1, 2]),
        ("city:*", &[0, 1, 2]),
        ("years:2021", &[0]),
        ("years:[2019 TO 2020]", &[0, 1, 2]),
        ("years:soon", &[2]),
        ("due:1970-01-01T00:00:00.001", &[3]),
        ("due:*", &[3]),
        // A string that is a date is found by its words and as a date.
        ("day:2024-01-15", &[0, 1]),
        ("day:2024-01", &[0, 1]),
        ("day:23", &[0]),
        ("day:2024-01-15T2*", &[0]),
        ("day:\"2024-01-15T23:30:00-05:00\"", &[0]),
        ("day:>=2024-01-16", &[0]),
        ("day:[2024-01-01 TO 2024-01-15]", &[1]),
    ];
    for is_compact in [false, true] {
        if is_compact {
            index.compact().unwrap();
        }
        for (text, expected) in cases {
            let hits = index.search(&Query::parse(text).unwrap(), &SearchOptions::default()).unwrap().hits;
            let found: Vec<u64> = (0..4).filter(|n| hits.iter().any(|hit| hit.cid == cid(*n))).collect();
            assert_eq!(found, expected, "{text}");
        }
        let options = SearchOptions::default().facet(cim_ipld_index::Facet::attribute("city"));
        let facets = index.search(&Query::everything(), &options).unwrap().facets;
        assert_eq!(facets[0].counts, [("York".to_owned(), 2), ("Leeds".to_owned(), 1), ("New York".to_owned(), 1)]);
        let by_years = cim_ipld_index::Sort::ascending(NumberField::Attribute("years".into()));
        let hits = index.search(&Query::everything(), &SearchOptions::default().sort(by_years)).unwrap().hits;
        assert_eq!(hits.iter().map(|hit| hit.cid).collect::<Vec<_>>()[..3], [cid(0), cid(2), cid(1)]);
    }
    let nested = Document::new(cid(9)).with_attribute("a", list(&[list(&[])]));
    assert_eq!(index.insert(&nested).unwrap_err().kind(), ErrorKind::InvalidDocument);
}
