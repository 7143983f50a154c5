//! A merged segment is what a segment of the same documents would have been.

use std::sync::Arc;

use cim_ipld_index::{
    Analyzer, AnalyzerSpec, Deletes, Document, Language, Memtable, PageMap, Query, ReadView, SearchOptions, Segment,
    SegmentId, Value, Verification, WordsSpec, build_segment, merge_segments,
};

use crate::model::cid;

const TEXTS: [&str; 6] = [
    "Installing C++ and installing C#",
    "installation of node.js, wi-fi and the installer",
    "C++ C++ C++ installed camelCase words",
    "nothing but plain words",
    "ponies, a pony and 漢字かな交じり",
    "v6.2.8 of the installers' manual",
];

fn sealed(pages: &mut PageMap, id: u8, analyzer: &Analyzer, texts: &[&str]) -> Arc<Segment> {
    let mut memtable = Memtable::new(analyzer.clone());
    for text in texts {
        let number = TEXTS.iter().position(|known| known == text).unwrap();
        let document = Document::new(cid(number as u64)).with_text(*text).with_title(*text);
        memtable.insert(&document.with_attribute("note", Value::Text((*text).to_owned()))).unwrap();
    }
    let id = SegmentId([id; 16]);
    build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id)).unwrap();
    Arc::new(Segment::open(id, &pages.header(id)).unwrap())
}

/// Other forms of a word (compound, unstemmed) do not count towards the length of a field, and a
/// merge must not add them either.
#[test]
fn a_merge_keeps_statistics_of_every_analyzer() {
    let mut split = WordsSpec::of_languages([Language::English, Language::German]).without_stop_words();
    (split.camel_case, split.joined) = (true, true);
    for spec in [WordsSpec::default(), WordsSpec::of_languages([Language::English]), split] {
        let spec = AnalyzerSpec::Words(spec);
        let analyzer = Analyzer::from_spec(&spec).unwrap();
        let mut pages = PageMap::new();
        let inputs = [sealed(&mut pages, 1, &analyzer, &TEXTS[..3]), sealed(&mut pages, 2, &analyzer, &TEXTS[3..])];
        let all = sealed(&mut pages, 3, &analyzer, &TEXTS);
        let none = Deletes::new();
        let merged = SegmentId([4; 16]);
        let mut out = PageMap::new();
        merge_segments(&inputs.each_ref().map(|input| (&**input, &none)), &pages, &mut out.sink(merged)).unwrap();
        let merged = Arc::new(Segment::open(merged, &out.header(merged)).unwrap());

        let mut verification = Verification::new(Arc::clone(&merged), Deletes::new(), analyzer.clone()).unwrap();
        verification.advance(&out).unwrap_or_else(|error| panic!("{spec}: {error}")).ready().unwrap();

        let views = [(all, &pages), (merged, &out)].map(|(segment, pages)| {
            (ReadView::new(analyzer.clone(), vec![(segment, Deletes::new())], vec![]).unwrap(), pages)
        });
        for text in ["install", "c++", "words", "title:installing", "note:installation", "instal* pony"] {
            let [expected, found] = views.each_ref().map(|(view, pages)| {
                let query = Query::parse(text).unwrap();
                let results = view.search(&query, &SearchOptions::default(), *pages).unwrap().ready().unwrap();
                results.hits.iter().map(|hit| (hit.cid, hit.score)).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{text} with {spec}");
        }
    }
}
