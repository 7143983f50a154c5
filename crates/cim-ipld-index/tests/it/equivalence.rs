//! The index answers as a naive scan does, whatever was done to it and in whatever order pages come.

use cim_ipld_index::{Document, Query, SearchOptions, Total};
use proptest::prelude::*;

use crate::model::{Cold, Index, Model, Want, cid};

const WORDS: [&str; 8] = ["ant", "bee", "cat", "dog", "eel", "antelope", "beetle", "catfish"];
const TAGS: [&str; 3] = ["red", "green", "blue"];

#[derive(Debug, Clone)]
enum Step {
    Insert { cid: u64, text: Vec<usize>, title: Vec<usize>, tags: Vec<usize> },
    Delete(u64),
    Seal,
    Merge,
}

fn step() -> impl Strategy<Value = Step> {
    let words = |max| proptest::collection::vec(0..WORDS.len(), 0..max);
    prop_oneof![
        12 => (0u64..40, words(20), words(4), proptest::collection::vec(0..TAGS.len(), 0..3))
            .prop_map(|(cid, text, title, tags)| Step::Insert { cid, text, title, tags }),
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
    let leaf = prop_oneof![4 => word, 2 => phrase, 1 => prefix];
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
            Step::Insert { cid: n, text, title, tags } => {
                let join = |words: &[usize]| words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
                let mut document = Document::new(cid(*n)).with_text(join(text)).with_title(join(title));
                document.tags = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
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
        let (statistics, _) = Cold::new(&index.pages).run(|pages| snapshot.statistics(pages).unwrap());
        prop_assert_eq!(statistics.documents, model.documents.len() as u64);
        prop_assert_eq!(statistics.by_kind, [statistics.documents, 0, 0, 0]);
    }
}
