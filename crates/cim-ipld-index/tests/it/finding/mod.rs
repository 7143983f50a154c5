//! Queries that people type find what they mean: texts, queries and the documents that match, in a
//! memtable and in a segment.

mod options;
mod slips;
mod stems;

use cim_ipld_index::{Analyzer, AnalyzerSpec, Document, Field, MemoryIndex, Query, SearchOptions, Value};
use proptest::prelude::*;

use crate::model::cid;

/// A query and the indexes of the documents that match. A trailing `*` makes it a prefix, a
/// trailing `~` a fuzzy word.
type Row = (&'static str, &'static [usize]);

fn index(analyzer: &Analyzer, texts: &[&str]) -> MemoryIndex {
    let index = MemoryIndex::with_analyzer(analyzer.clone());
    for (n, text) in texts.iter().enumerate() {
        index.insert(&Document::new(cid(n as u64)).with_text(*text)).unwrap();
    }
    index
}

fn query(text: &str) -> Query {
    if let Some(beginning) = text.strip_suffix('*') {
        return Query::prefix(Field::Any, beginning);
    }
    match text.strip_suffix('~') {
        Some(word) => Query::fuzzy(Field::Any, word, 1),
        None => Query::term(text),
    }
}

fn found(index: &MemoryIndex, query: &Query) -> Vec<usize> {
    let results = index.search(query, &SearchOptions::default().limit(100)).unwrap();
    let place = |hit: &cim_ipld_index::Hit| (0..1000).find(|n| cid(*n) == hit.cid).unwrap() as usize;
    results.hits.iter().map(place).collect()
}

/// Checks which documents match.
fn check(analyzer: &Analyzer, texts: &[&str], rows: &[Row]) {
    let index = index(analyzer, texts);
    for place in ["memtable", "segment"] {
        for (text, expected) in rows {
            let mut hits = found(&index, &query(text));
            hits.sort_unstable();
            assert_eq!(hits, *expected, "{text:?} in a {place} of {texts:?}");
        }
        index.compact().unwrap();
    }
}

/// Checks which document ranks first.
fn check_first(texts: &[&str], rows: &[(&str, usize)]) {
    let index = index(&Analyzer::default(), texts);
    for place in ["memtable", "segment"] {
        for (text, expected) in rows {
            let hits = found(&index, &query(text));
            assert_eq!(hits.first(), Some(expected), "{text:?} in a {place}: {hits:?}");
        }
        index.compact().unwrap();
    }
}

#[test]
fn words_joined_by_signs() {
    let texts = [
        "big_bad_wolf.txt reports/budget.xlsx",
        "write to jane.roe@mail.example.com soon",
        "socket.connect failed level:error module:billing",
        "name,42,\"x\"\nother,7",
        "upgraded v6.2.8 to 2026.4.10 today",
        "NASA's first don't rock'n'roll",
        "l'avion d’hiver",
        "see https://docs.example.org/consumer/querying?lang=en#top now",
        "def refresh_token_rotation(user_id): std::vector Theme-Amoled",
        "wolf bad big",
    ];
    let rows: &[Row] = &[
        ("wolf", &[0, 9]),
        ("wolf.txt", &[0]),
        ("bad_wolf", &[0]),
        ("big_bad_wolf.txt", &[0]),
        ("big bad wolf", &[0]),
        ("budget", &[0]),
        ("reports/budget", &[0]),
        ("jane", &[1]),
        ("roe", &[1]),
        ("jane.roe@mail.example.com", &[1]),
        ("mail.example.com", &[1]),
        ("roe.jane", &[]),
        ("connect", &[2]),
        ("socket.connect", &[2]),
        ("error", &[2]),
        ("level:error", &[2]),
        ("error:level", &[]),
        ("billing", &[2]),
        ("42", &[3]),
        ("7", &[3]),
        ("name,42", &[3]),
        ("6.2.8", &[4]),
        ("v6.2.8", &[4]),
        ("6.2", &[4]),
        ("2026.4.10", &[4]),
        ("2026", &[4]),
        ("8.2.6", &[]),
        ("NASA", &[5]),
        ("NASA's", &[5]),
        ("nasa’s", &[5]),
        ("don't", &[5]),
        ("donʼt", &[5]),
        ("roll", &[5]),
        ("avion", &[6]),
        ("l'avion", &[6]),
        ("hiver", &[6]),
        ("d'hiver", &[6]),
        ("querying", &[7]),
        ("/consumer/querying", &[7]),
        ("docs.example.org", &[7]),
        ("example.org", &[7]),
        ("https://docs.example.org/consumer/querying", &[7]),
        ("rotation", &[8]),
        ("user_id", &[8]),
        ("std::vector", &[8]),
        ("vector", &[8]),
        ("amoled", &[8]),
        ("theme-amoled", &[8]),
        ("2026.4*", &[4]),
        ("rot*", &[8]),
    ];
    check(&Analyzer::default(), &texts, rows);
}

#[test]
fn forms_of_their_own_come_first() {
    let texts = [
        "plain C language c and c for small devices",
        "modern C++ language for small devices",
        "the C# language for small devices",
        "the .NET runtime for small devices",
        "net of the fisher, net and net",
        "node and js and node js",
        "written with Node.js for small devices",
        "ASP.NET for small devices",
    ];
    check_first(&texts, &[("C++", 1), ("c#", 2), (".NET", 3), ("node.js", 6), ("asp.net", 7), ("C", 0), ("net", 4)]);
    check(&Analyzer::default(), &texts, &[("C++", &[0, 1, 2]), (".net", &[3, 4, 7]), ("node.js", &[5, 6])]);
}

#[test]
fn other_code_points() {
    let texts = [
        "Café Ångström naïve ﬁne Straße",
        "Łódź Ørsted Đà Nẵng Cœlacanthe encyclopædia",
        "IŞIK İstanbul",
        "قال مُحَمَّدٌ",
        "محـــمد",
        "יואב כ\"ץ כתב",
        "כ״ץ שָׁלוֹם",
        "мой ёлка за\u{301}мок",
        "мои",
        "Ge\u{ad}samt\u{ad}kon\u{ad}zept word\u{2060}joiner",
        "می\u{200c}خواهد",
        "葛\u{e0100}城 が",
        "H₂O ΣΊΣΥΦΟΣ ＷＩＤＥ \u{feff}bom \u{200f}mark",
        "cafe\u{301}",
    ];
    let rows: &[Row] = &[
        ("cafe", &[0, 13]),
        ("CAFÉ", &[0, 13]),
        ("cafe\u{301}", &[0, 13]),
        ("angstrom", &[0]),
        ("naive", &[0]),
        ("fine", &[0]),
        ("strasse", &[0]),
        ("STRASSE", &[0]),
        ("lodz", &[1]),
        ("orsted", &[1]),
        ("da nang", &[1]),
        ("Đà Nẵng", &[1]),
        ("coelacanthe", &[1]),
        ("encyclopaedia", &[1]),
        ("ışık", &[2]),
        ("isik", &[2]),
        ("istanbul", &[2]),
        ("İstanbul", &[2]),
        ("محمد", &[3, 4]),
        ("مُحَمَّد", &[3, 4]),
        ("כ\"ץ", &[5, 6]),
        ("כ״ץ", &[5, 6]),
        ("שלום", &[6]),
        ("мой", &[7]),
        ("мои", &[8]),
        ("елка", &[7]),
        ("замок", &[7]),
        ("gesamtkonzept", &[9]),
        ("Gesamt\u{ad}konzept", &[9]),
        ("gesamt*", &[9]),
        ("wordjoiner", &[9]),
        ("میخواهد", &[10]),
        ("葛城", &[11]),
        ("か", &[]),
        ("h2o", &[12]),
        ("σίσυφος", &[12]),
        ("wide", &[12]),
        ("bom", &[12]),
        ("mark", &[12]),
    ];
    check(&Analyzer::default(), &texts, rows);
}

#[test]
fn symbols_and_single_characters() {
    let texts = [
        "fresh 🍩 every day",
        "family 👩\u{200d}👩\u{200d}👧 trip",
        "東京都 x 7",
        "京 ❤\u{fe0f} a1",
        "한국어 🇩🇪",
        "👩 alone",
    ];
    let rows: &[Row] = &[
        ("🍩", &[0]),
        ("👩\u{200d}👩\u{200d}👧", &[1]),
        ("👩", &[5]),
        ("京", &[2, 3]),
        ("東", &[2]),
        ("都", &[2]),
        ("東京", &[2]),
        ("東京都", &[2]),
        ("京都", &[2]),
        ("都東", &[]),
        ("東京都 x", &[2]),
        ("都 x", &[2]),
        ("국", &[4]),
        ("🇩🇪", &[4]),
        ("❤", &[3]),
        ("x", &[2]),
        ("7", &[2]),
        ("a1", &[3]),
    ];
    check(&Analyzer::default(), &texts, rows);
}

/// Hangul next to Latin letters, digits and signs, Katakana next to an underscore.
#[test]
fn scripts_that_meet_inside_a_word() {
    let texts = [
        "Java를 배우다 KBS뉴스 2024년",
        "그는 갔다.그리고 왔다 10,000원",
        "보고서.txt 회의록_2024.txt",
        "議事録_プロジェクト.txt テスト_データ.txt",
        "API서버 3D프린터 대한민국’의",
    ];
    let rows: &[Row] = &[
        ("java", &[0]),
        ("를", &[0]),
        ("뉴스", &[0]),
        ("kbs뉴스", &[0]),
        ("2024", &[0, 2]),
        ("2024년", &[0]),
        ("갔다", &[1]),
        ("그리고", &[1]),
        ("10,000", &[1]),
        ("보고서", &[2]),
        ("보고서.txt", &[2]),
        ("회의록", &[2]),
        ("プロジェクト", &[3]),
        ("テスト", &[3]),
        ("データ", &[3]),
        ("서버", &[4]),
        ("api", &[4]),
        ("프린터", &[4]),
        ("3d", &[4]),
        ("대한민국", &[4]),
        ("서버api", &[]),
    ];
    check(&Analyzer::default(), &texts, rows);
}

#[test]
fn forms_change_no_score_of_words() {
    let texts = ["C++ and C in node.js for whales", "C for a whale", "whale whale c js"];
    let scores = |analyzer: &Analyzer, text: &str| {
        let results = index(analyzer, &texts).search(&Query::term(text), &SearchOptions::default()).unwrap();
        results.hits.iter().map(|hit| (hit.cid, hit.score)).collect::<Vec<_>>()
    };
    let plain = index(&Analyzer::default(), &["C and C in node js for whales", "C for a whale", "whale whale c js"]);
    for text in ["c", "js", "whale"] {
        let expected = plain.search(&Query::term(text), &SearchOptions::default()).unwrap();
        let expected: Vec<_> = expected.hits.iter().map(|hit| (hit.cid, hit.score)).collect();
        assert_eq!(scores(&Analyzer::default(), text), expected, "{text}");
    }
}

#[test]
fn long_words() {
    let long = |tail: &str| format!("{}{tail}", "sha512".repeat(60));
    let texts = [long("a"), long("b"), "short".to_owned(), "é".repeat(400)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let index = index(&Analyzer::default(), &texts);
    let beginning = |len: usize| Query::prefix(Field::Any, &long("")[..len]);
    let cases = [
        (Query::term(long("a")), vec![0]),
        (Query::term(long("b")), vec![1]),
        (Query::term(long("c")), vec![]),
        (beginning(30), vec![0, 1]),
        (beginning(230), vec![0, 1]),
        (beginning(300), vec![0, 1]),
        (Query::term("E".repeat(400)), vec![3]),
        (Query::term("e".repeat(399)), vec![]),
    ];
    for (query, expected) in cases {
        let mut hits = found(&index, &query);
        hits.sort_unstable();
        assert_eq!(hits, expected, "{query:?}");
    }
}

#[test]
fn tags_and_types_are_folded_as_words_are() {
    let index = MemoryIndex::new();
    let tags = ["café", "cafe\u{301}", "STRASSE", "İstanbul", "a:b", "мой"];
    for (n, tag) in tags.iter().enumerate() {
        index.insert(&Document::new(cid(n as u64)).with_tag(*tag).with_content_type(format!("text/{tag}"))).unwrap();
    }
    let rows: &[Row] = &[
        ("café", &[0, 1]),
        ("cafe\u{301}", &[0, 1]),
        ("CAFÉ", &[0, 1]),
        ("straße", &[2]),
        ("İstanbul", &[3]),
        ("istanbul", &[3]),
        ("a:b", &[4]),
        ("A:B", &[4]),
        ("мои", &[]),
        ("а:b", &[]),
    ];
    for (tag, expected) in rows {
        for query in [Query::tagged(*tag), Query::typed(format!("Text/{tag}"))] {
            let mut hits = found(&index, &query);
            hits.sort_unstable();
            assert_eq!(hits, *expected, "{query:?}");
        }
    }
}

#[test]
fn attributes_are_cut_as_texts_are() {
    for spec in ["", "en"] {
        let index = MemoryIndex::with_analyzer(Analyzer::from_spec(&spec.parse::<AnalyzerSpec>().unwrap()).unwrap());
        let note = |text: &str| Value::Text(text.to_owned());
        index.insert(&Document::new(cid(0)).with_attribute("note", note("C++ whales_of 東京"))).unwrap();
        index.insert(&Document::new(cid(1)).with_attribute("note", note("C and a whaler"))).unwrap();
        let field = || Field::Attribute("note".into());
        for _ in 0..2 {
            assert_eq!(found(&index, &Query::term_in(field(), "c++"))[0], 0);
            assert_eq!(found(&index, &Query::term_in(field(), "京")), [0]);
            assert_eq!(found(&index, &Query::prefix(field(), "whales")), [0]);
            assert_eq!(found(&index, &Query::prefix(field(), "whale")).len(), 2);
            index.compact().unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_text_is_found_by_its_words_and_as_a_phrase(
        text in prop_oneof!["\\PC{1,40}", "[a-cvA-C0-2._+#-'’ éßй東京🍩\\u{301}\\u{ad}]{1,30}"],
        spec in prop_oneof![Just(""), Just("en"), Just("fr,de")],
        options in any::<[bool; 2]>(),
    ) {
        let AnalyzerSpec::Words(mut words) = spec.parse().unwrap() else { unreachable!("of languages") };
        [words.camel_case, words.joined] = options;
        let analyzer = Analyzer::from_spec(&AnalyzerSpec::Words(words)).unwrap();
        let index = index(&analyzer, &["nothing", &text]);
        for place in ["memtable", "segment"] {
            for part in text.split_whitespace().chain([text.as_str()]) {
                if !analyzer.query_words(part).words.is_empty() {
                    let hits = found(&index, &Query::term(part));
                    prop_assert!(hits.contains(&1), "{part:?} of {text:?} in a {place}");
                }
            }
            index.compact().unwrap();
        }
    }
}
