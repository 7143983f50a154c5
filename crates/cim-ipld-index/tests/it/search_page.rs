//! Every row of the tables of examples in `docs/search.md` is a test.

use std::collections::BTreeMap;

use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions, Value};

use crate::model::cid;

const PAGE: &str = include_str!("../../../../docs/search.md");

/// Returns the rows of the tables under this heading, cell by cell.
fn rows<'p>(heading: &str) -> Vec<Vec<&'p str>> {
    let cells = |line: &'p str| -> Vec<&'p str> {
        line.trim().trim_start_matches('|').trim_end_matches('|').split('|').map(str::trim).collect()
    };
    let (mut rows, mut is_in_table) = (Vec::new(), false);
    for line in PAGE.lines() {
        match line.strip_prefix('|') {
            None => is_in_table = false,
            Some(_) if line.starts_with(heading) => is_in_table = true,
            Some(rest) if is_in_table && !rest.starts_with('-') => rows.push(cells(line)),
            Some(_) => {}
        }
    }
    rows
}

fn names(cell: &str) -> Vec<String> {
    cell.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Converts a text to an attribute value in the same way as a JSON line.
fn value(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<f64>(), text) {
        (_, _, "true" | "false") => Value::Keyword(text.to_owned()),
        (Ok(whole), _, _) => Value::Integer(whole),
        (_, Ok(number), _) => Value::Float(number),
        _ => Value::String(text.to_owned()),
    }
}

fn document(n: u64, row: &[&str]) -> Document {
    let some = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
    let [_, title, author, text, tags, content_type, created, size, attributes] = row[..] else {
        panic!("a document has nine cells: {row:?}")
    };
    let mut document = Document::new(cid(n));
    (document.title, document.author, document.text) = (some(title), some(author), some(text));
    document.tags = names(tags);
    document.content_type = some(content_type);
    document.created_at = some(created).map(|date| date.parse().unwrap());
    document.size = some(size).map(|size| size.parse().unwrap());
    for attribute in names(attributes) {
        let (name, text) = attribute.split_once('=').unwrap();
        document.attributes.insert(name.to_owned(), value(text));
    }
    document
}

#[test]
fn every_example_of_the_search_page_finds_what_it_says() {
    let index = MemoryIndex::new();
    let mut ids = BTreeMap::new();
    for (n, row) in rows("| id |").iter().enumerate() {
        index.insert(&document(n as u64, row)).unwrap();
        ids.insert(cid(n as u64), row[0]);
    }
    let examples = rows("| query |");
    assert!(examples.len() > 100, "{} examples", examples.len());
    for is_compact in [false, true] {
        if is_compact {
            index.compact().unwrap();
        }
        for row in &examples {
            let text = row[0].trim_matches('`');
            let found = Query::parse_typed(text)
                .map_err(|error| error.to_string())
                .and_then(|query| index.search(&query, &SearchOptions::default()).map_err(|error| error.to_string()));
            let mut expected = names(row[1]);
            let Ok(found) = found else {
                assert_eq!(expected, ["error"], "{text}: {found:?}");
                continue;
            };
            let mut found: Vec<&str> = found.hits.iter().map(|hit| ids[&hit.cid]).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{text}");
        }
    }
}
