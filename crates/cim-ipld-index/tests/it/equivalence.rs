//! The index returns what a naive scan returns, after any sequence of operations and whatever the
//! order in which pages arrive.

use std::collections::BTreeSet;

use cim_ipld_index::{
    Document, Facet, NumberField, Query, SearchCursor, SearchOptions, Sort, SortOrder, Timestamp, Total, Value,
};
use proptest::prelude::*;

use crate::model::{Cold, Index, Model, Want, cid};

const WORDS: [&str; 8] = ["ant", "bee", "cat", "dog", "eel", "antelope", "beetle", "catfish"];
const TAGS: [&str; 3] = ["red", "green", "blue"];

#[derive(Debug, Clone)]
enum Step {
    Insert { cid: u64, text: Vec<usize>, title: Vec<usize>, tags: Vec<usize>, numbers: Numbers },
    Delete(u64),
    Seal,
    Merge,
}

/// The non-text fields of a document: times, size, and attributes whose type varies.
#[derive(Debug, Clone)]
struct Numbers {
    created: Option<i64>,
    size: Option<u64>,
    attributes: Vec<(&'static str, Value)>,
}

const ATTRIBUTES: [&str; 3] = ["rating", "lang", "note"];
const VALUES: [&str; 4] = ["2", "en", "bee", "1.5"];

fn attribute() -> impl Strategy<Value = (&'static str, Value)> {
    let value = prop_oneof![
        (-3i64..6).prop_map(Value::Integer),
        (-6i32..12).prop_map(|halves| Value::Float(f64::from(halves) / 2.0)),
        (0..VALUES.len()).prop_map(|value| Value::Keyword(VALUES[value].to_owned())),
        proptest::collection::vec(0..WORDS.len(), 1..6)
            .prop_map(|words| Value::Text(words.into_iter().map(|word| WORDS[word]).collect::<Vec<_>>().join(" "))),
    ];
    ((0..ATTRIBUTES.len()).prop_map(|name| ATTRIBUTES[name]), value)
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let created = proptest::option::of(-3i64..4);
    (created, proptest::option::of(0u64..5), proptest::collection::vec(attribute(), 0..3))
        .prop_map(|(created, size, attributes)| Numbers { created, size, attributes })
}

fn field() -> impl Strategy<Value = NumberField> {
    let attribute = (0..ATTRIBUTES.len()).prop_map(|name| NumberField::Attribute(ATTRIBUTES[name].into()));
    prop_oneof![Just(NumberField::CreatedAt), Just(NumberField::ModifiedAt), Just(NumberField::Size), attribute]
}

fn step() -> impl Strategy<Value = Step> {
    let words = |max| proptest::collection::vec(0..WORDS.len(), 0..max);
    prop_oneof![
        12 => (0u64..40, words(20), words(4), proptest::collection::vec(0..TAGS.len(), 0..3), numbers())
            .prop_map(|(cid, text, title, tags, numbers)| Step::Insert { cid, text, title, tags, numbers }),
        3 => (0u64..40).prop_map(Step::Delete),
        1 => Just(Step::Seal),
        1 => Just(Step::Merge),
    ]
}

fn want() -> impl Strategy<Value = Want> {
    let word = (0..WORDS.len()).prop_map(|word| Want::Word(WORDS[word]));
    let phrase = proptest::collection::vec(0..WORDS.len(), 2..4)
        .prop_map(|words| Want::Phrase(words.into_iter().map(|word| WORDS[word]).collect()));
    let prefix = prop_oneof![Just("an"), Just("b"), Just("cat"), Just("x")].prop_map(Want::Prefix);
    let fuzzy = prop_oneof![Just("bat"), Just("antelop"), Just("eet")]
        .prop_flat_map(|word| (1usize..3).prop_map(move |distance| Want::Fuzzy(word, distance)));
    let attribute = (0..ATTRIBUTES.len(), 0..VALUES.len())
        .prop_map(|(name, value)| Want::Attribute(ATTRIBUTES[name], VALUES[value]));
    let range = (field(), proptest::option::of(-6i32..8), proptest::option::of(-6i32..12))
        .prop_map(|(field, low, high)| Want::Range(field, low, high));
    let leaf = prop_oneof![
        4 => word,
        2 => phrase,
        1 => prefix,
        1 => fuzzy,
        1 => (0..TAGS.len()).prop_map(|tag| Want::Tag(TAGS[tag])),
        2 => attribute,
        1 => (0..ATTRIBUTES.len()).prop_map(|name| Want::Exists(ATTRIBUTES[name])),
        3 => range,
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let many = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            many().prop_map(Want::Any),
            many().prop_map(Want::All),
            (inner.clone(), inner).prop_map(|(a, b)| Want::AndNot(Box::new(a), Box::new(b))),
        ]
    })
}

fn apply(steps: &[Step]) -> (Index, Model) {
    let (mut index, mut model) = (Index::new(), Model::default());
    for step in steps {
        match step {
            Step::Insert { cid: n, text, title, tags, numbers } => {
                let join = |words: &[usize]| words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
                let mut document = Document::new(cid(*n)).with_text(join(text)).with_title(join(title));
                document.tags = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
                (document.created_at, document.size) = (numbers.created.map(Timestamp), numbers.size);
                let attributes = numbers.attributes.iter();
                document.attributes = attributes.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                index.insert(&document);
                model.documents.insert(document.cid.to_bytes(), document);
            }
            Step::Delete(n) => {
                let expected = model.documents.remove(&cid(*n).to_bytes()).is_some();
                assert_eq!(index.delete(&cid(*n)), expected);
            }
            Step::Seal => index.seal(),
            Step::Merge => index.merge(),
        }
    }
    (index, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hits_equal_a_scan(
        steps in proptest::collection::vec(step(), 1..80),
        wants in proptest::collection::vec((want(), proptest::option::of(0..TAGS.len())), 1..6),
        limit in 0usize..12,
        offset in 0usize..5,
    ) {
        let (index, model) = apply(&steps);
        prop_assert_eq!(index.snapshot().document_count(), model.documents.len() as u64);
        for (want, tag) in wants {
            let tag = tag.map(|tag| TAGS[tag]);
            let query = tag.into_iter().fold(want.query(), |query, tag| query.tag(tag.to_uppercase()));
            let all = index.search(&query, &SearchOptions::default().limit(100));
            let expected = model.matching(&want, tag);
            prop_assert_eq!(all.total, expected.len() as u64, "{:?}", want);
            let mut found: Vec<Vec<u8>> = all.hits.iter().map(|hit| hit.cid.to_bytes()).collect();
            prop_assert!(all.hits.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.cid.to_bytes() < b.cid.to_bytes()));
            found.sort();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());

            let options = SearchOptions::default().limit(limit).offset(offset);
            let page = index.search(&query, &options);
            let end = (offset + limit).min(all.hits.len());
            prop_assert_eq!(&page.hits[..], &all.hits[offset.min(end)..end]);
            prop_assert_eq!(page.total, all.total);

            let uncounted = index.search(&query, &options.clone().total(Total::AtLeast));
            prop_assert_eq!(&uncounted.hits, &page.hits);
            prop_assert!(uncounted.total <= page.total);

            let (snapshot, cold) = (index.snapshot(), Cold::new(&index.pages));
            let (answer, rounds) = cold.run(|pages| snapshot.search(&query, &options, pages).unwrap());
            prop_assert!(rounds.len() <= 3, "{:?}", rounds);
            prop_assert_eq!(answer, page);
        }
    }

    #[test]
    fn orders_pages_and_counts_equal_a_scan(
        steps in proptest::collection::vec(step(), 1..80),
        wants in proptest::collection::vec((want(), field(), any::<bool>()), 1..5),
        limit in 1usize..9,
    ) {
        let (index, model) = apply(&steps);
        for (want, field, is_ascending) in wants {
            let order = if is_ascending { SortOrder::Ascending } else { SortOrder::Descending };
            let sort = if is_ascending { Sort::ascending(field.clone()) } else { Sort::descending(field.clone()) };
            let facets = [Facet::tags(), Facet::content_types(), Facet::attribute("lang").limit(2)];
            let options = facets.into_iter().fold(SearchOptions::default().limit(limit).sort(sort), SearchOptions::facet);
            let query = want.query();
            let expected = model.sorted(&want, &field, order);

            let (snapshot, cold) = (index.snapshot(), Cold::new(&index.pages));
            let (first, rounds) = cold.run(|pages| snapshot.search(&query, &options, pages).unwrap());
            prop_assert!(rounds.len() <= 3, "{:?}", rounds);
            prop_assert_eq!(first.total, expected.len() as u64);
            let tags = model.counts(&want, |document| document.tags.iter().cloned().collect());
            prop_assert_eq!(&first.facets[0].counts, &tags);
            prop_assert_eq!(first.facets[1].distinct, 0);
            let langs = model.counts(&want, |document| match document.attributes.get("lang") {
                Some(Value::Keyword(lang)) => BTreeSet::from([lang.clone()]),
                _ => BTreeSet::new(),
            });
            prop_assert_eq!(first.facets[2].distinct, langs.len() as u64);
            prop_assert_eq!(&first.facets[2].counts[..], &langs[..langs.len().min(2)]);

            let mut found = Vec::new();
            let mut page = first;
            loop {
                found.extend(page.hits.iter().map(|hit| hit.cid.to_bytes()));
                let Some(next) = &page.next else { break };
                let next: SearchCursor = next.to_string().parse().unwrap();
                let options = options.clone().after(next);
                let cold = Cold::new(&index.pages);
                let (later, rounds) = cold.run(|pages| snapshot.search(&query, &options, pages).unwrap());
                prop_assert!(rounds.len() <= 3, "{:?}", rounds);
                page = later;
            }
            prop_assert_eq!(found, expected, "{:?} by {:?} {:?}", want, field, order);
        }
    }

    #[test]
    fn pages_by_score_are_those_of_one_long_page(
        steps in proptest::collection::vec(step(), 1..80),
        want in want(),
        limit in 1usize..9,
        order in prop_oneof![Just(SortOrder::Ascending), Just(SortOrder::Descending)],
    ) {
        let (index, _) = apply(&steps);
        let query = want.query();
        let all = index.search(&query, &SearchOptions::default().limit(100));
        let options = SearchOptions::default().limit(limit).sort(Sort::by_score(order));
        let mut page = index.search(&query, &options);
        let mut hits = page.hits;
        while let Some(next) = page.next {
            page = index.search(&query, &options.clone().after(next));
            hits.extend(page.hits);
        }
        if order == SortOrder::Ascending {
            prop_assert!(hits.is_sorted_by(|a, b| a.score < b.score || a.score == b.score && a.cid.to_bytes() < b.cid.to_bytes()));
            hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        prop_assert_eq!(hits, all.hits);
    }

    #[test]
    fn without_deletes_scores_equal_the_formula_however_the_index_is_cut(
        texts in proptest::collection::vec(proptest::collection::vec(0..WORDS.len(), 1..30), 1..60),
        cuts in proptest::collection::btree_set(1usize..60, 0..4),
    ) {
        let (mut index, mut model) = (Index::new(), Model::default());
        for (n, words) in texts.iter().enumerate() {
            if cuts.contains(&n) {
                index.seal();
            }
            let text = words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
            let document = Document::new(cid(n as u64)).with_text(text);
            index.insert(&document);
            model.documents.insert(document.cid.to_bytes(), document);
        }
        let query = Query::any([Query::term(WORDS[0]), Query::term(WORDS[1]).boost(2.0), Query::term(WORDS[2])]);
        let options = SearchOptions::default().limit(100);
        let results = index.search(&query, &options);
        for hit in &results.hits {
            let cid = hit.cid.to_bytes();
            let expected = model.score(WORDS[0], &cid) + 2.0 * model.score(WORDS[1], &cid) + model.score(WORDS[2], &cid);
            prop_assert!((f64::from(hit.score) - expected).abs() < 1e-4, "{} {}", hit.score, expected);
        }
        index.seal();
        prop_assert_eq!(&index.search(&query, &options), &results);
        index.merge();
        prop_assert_eq!(&index.search(&query, &options), &results);
    }

    #[test]
    fn documents_come_back_as_they_went_in(steps in proptest::collection::vec(step(), 1..80)) {
        let (index, model) = apply(&steps);
        let (snapshot, cold) = (index.snapshot(), Cold::new(&index.pages));
        let cids: Vec<_> = (0..45).map(cid).collect();
        let (documents, rounds) = cold.run(|pages| snapshot.documents(&cids, pages).unwrap());
        prop_assert!(rounds.len() <= 3, "{:?}", rounds);
        for (cid, document) in cids.iter().zip(documents) {
            prop_assert_eq!(document.as_ref(), model.documents.get(&cid.to_bytes()));
        }
        let (statistics, _) = Cold::new(&index.pages).run(|pages| snapshot.counts(pages).unwrap());
        prop_assert_eq!(statistics.documents, model.documents.len() as u64);
        prop_assert_eq!(statistics.by_kind, [statistics.documents, 0, 0, 0]);
    }
}
