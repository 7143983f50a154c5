//! No search of a cold index needs more than three rounds, and none fetches unnecessary pages.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cim_ipld_index::{
    Document, Facet, Field, NumberField, PageClass, Query, SearchOptions, SnippetOptions, Sort, Timestamp, Value,
};

use crate::model::{Cold, Index, cid};

/// Enough documents for large lists, sets and columns with their own pages, in two segments and a
/// memtable.
fn large() -> &'static Index {
    static LARGE: OnceLock<Index> = OnceLock::new();
    LARGE.get_or_init(build_large)
}

fn build_large() -> Index {
    let mut index = Index::new();
    for n in 0..6_000u64 {
        let text = format!("common word{} number{n} {}", n % 7, ["odd", "even"][(n % 2) as usize]);
        let mut document = Document::new(cid(n))
            .with_text(text)
            .with_title(format!("title {}", n % 50))
            .with_tag(["half", "other"][(n * 7919 % 2) as usize])
            .with_tag(format!("t{}", n % 5))
            .with_content_type(["text/plain", "image/png"][(n % 3 / 2) as usize])
            .with_created_at(Timestamp(n as i64 * 7_919 % 1_000_003))
            .with_size(n * n % 10_007);
        let attributes = [
            ("rating", if n % 2 == 0 { Value::Integer(n as i64 % 100) } else { Value::Float(n as f64 / 3.0) }),
            ("lang", Value::Keyword(["en", "de", "fr"][(n % 3) as usize].to_owned())),
            ("note", Value::Text(format!("noted {} times", n % 11))),
        ];
        document.attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        index.insert(&document);
        if n == 2_500 || n == 5_500 {
            index.seal();
        }
    }
    (0..6_000).step_by(17).for_each(|n| assert!(index.delete(&cid(n))));
    index
}

#[test]
fn every_kind_of_search_takes_three_rounds_at_most() {
    let index = large();
    let snapshot = index.snapshot();
    let texts = [
        "common",
        "common AND odd",
        "common word3 number77",
        "\"common word3\"",
        "\"common odd\"~2",
        "num*",
        "nummber77~",
        "title:title -odd",
        "tag:half common",
        "tag:half OR type:image/png",
        "-tag:half",
        "type:text/plain",
        "size:[100 TO 5000}",
        "created:>=1970-01-01T00:05Z odd",
        "size:4 OR created:<1970",
        "rating:>=20.5",
        "rating:*",
        "lang:en",
        "lang:e* note:no*",
        "note:noted",
        "lang:?e common",
        "nothing:here common",
        "common -nothing:here",
        "\"common wor*\"",
        "*mmon odd",
        "c*m?on",
        "title:* tag:h*f",
        "type:text/* type:image/*",
        "tag:* size:*",
        "note:\"noted 3 times\" tag:(t1 OR t2) size:<9000 even",
        "",
    ];
    let sizes = NumberField::Size;
    let plain = SearchOptions::default().snippet(SnippetOptions::default());
    let rating = NumberField::Attribute("rating".into());
    let middle = index.search(&Query::parse("odd").unwrap(), &plain.clone().sort(Sort::ascending(sizes.clone())));
    let options = [
        plain.clone(),
        plain.clone().limit(500),
        plain.clone().sort(Sort::descending(NumberField::CreatedAt)),
        plain.clone().sort(Sort::ascending(rating)),
        plain.clone().sort(Sort::ascending(sizes)).after(middle.next.unwrap()),
        plain.clone().facet(Facet::tags()).facet(Facet::content_types()).facet(Facet::attribute("lang")),
    ];
    let mut most = 0;
    for text in texts {
        let query = Query::parse(text).unwrap();
        for options in &options {
            let cold = Cold::new(&index.pages);
            let (answer, rounds) = cold.run(|pages| snapshot.search(&query, options, pages).unwrap());
            assert!(rounds.len() <= 3, "{text:?} {options:?}: {rounds:?}");
            assert_eq!(answer, index.search(&query, options), "{text:?}");
            assert!(answer.total > 0, "{text:?} finds nothing, so its test shows nothing");
            most = most.max(rounds.len());
        }
    }
    assert_eq!(most, 3);
}

#[test]
fn a_search_fetches_only_the_classes_that_it_names() {
    let index = large();
    let snapshot = index.snapshot();
    let classes = |query: &Query, options: &SearchOptions| {
        let cold = Cold::new(&index.pages);
        let (_, rounds) = cold.run(|pages| snapshot.search(query, options, pages).unwrap());
        rounds.into_iter().flatten().collect::<BTreeSet<_>>()
    };
    use PageClass::{Columns, Dictionary, Fields, Norms, Postings, Stored, TagSets, Tags};
    let few = SearchOptions::default();
    assert_eq!(classes(&Query::term("common"), &few), [Dictionary, Postings, Norms, Stored].into());
    assert_eq!(classes(&Query::tagged("half"), &few), [Tags, TagSets, Stored].into());
    let all_sizes = Query::range(NumberField::Size, 0..=100_000);
    assert_eq!(classes(&all_sizes, &few), [Fields, Stored].into());
    let some_sizes = Query::range(NumberField::Size, 5..=6000);
    assert_eq!(classes(&some_sizes, &few), [Fields, Columns, Stored].into());
    let by_size = few.clone().sort(Sort::ascending(NumberField::Size)).limit(0);
    assert_eq!(classes(&Query::everything(), &by_size), [Fields, Columns].into());
}

#[test]
fn a_fuzzy_word_reads_only_the_pages_that_can_hold_it() {
    let mut index = Index::new();
    for n in 0..3000u64 {
        let words: Vec<String> = (0..20).map(|word| format!("z{}q{}", n * 7 % 1000, n * 20 + word)).collect();
        index.insert(&Document::new(cid(n)).with_text(words.join(" ")));
    }
    index.insert(&Document::new(cid(3000)).with_text("whales"));
    index.seal();
    let snapshot = index.snapshot();
    let pages_of = |query: Query| {
        let cold = Cold::new(&index.pages);
        let (answer, _) = cold.run(|pages| snapshot.search(&query, &SearchOptions::default(), pages).unwrap());
        assert_eq!(answer.total, 1);
        let held = cold.held.borrow();
        held.iter().filter(|(_, page)| page.class == PageClass::Dictionary).count()
    };
    let all = index.pages.iter().filter(|(_, page, _)| page.class == PageClass::Dictionary).count();
    let (exact, fuzzy) = (pages_of(Query::term("whales")), pages_of(Query::fuzzy(Field::Any, "whale", 1)));
    assert!(all >= 10 && exact == 1 && fuzzy <= 2, "{exact}, {fuzzy} of {all}");
}
