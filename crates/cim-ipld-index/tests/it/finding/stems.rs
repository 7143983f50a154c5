//! Stemming, in one language and in several, and queries that match unstemmed words.

use cim_ipld_index::{Analyzer, Language, Query, UnicodeWords};

use super::{Row, check, found, index};

#[test]
fn stems_and_what_looks_at_letters() {
    let texts = [
        "the installation of NASA’s whales",
        "installing a whale",
        "Häuser des Connections",
        "running 東京",
        "general generous",
    ];
    let rows: &[Row] = &[
        ("installations", &[0, 1]),
        ("whale", &[0, 1]),
        ("whales", &[0, 1]),
        ("installa*", &[0]),
        ("install*", &[0, 1]),
        ("installation*", &[0]),
        ("instalation~", &[0]),
        ("conections~", &[2]),
        ("nasa", &[0]),
        ("NASA's", &[0]),
        ("connected", &[2]),
        ("connections*", &[2]),
        ("runs", &[3]),
        ("東*", &[3]),
        ("東京", &[3]),
        ("gener*", &[4]),
        ("generously", &[4]),
    ];
    let english = Analyzer::from_spec(&"en".parse().unwrap()).unwrap();
    check(&english, &texts, rows);
    let both = Analyzer::from_spec(&"en,de".parse().unwrap()).unwrap();
    check(&both, &texts, &[("haus", &[2]), ("hauser", &[2]), ("Haus", &[2]), ("whale", &[0, 1]), ("connection", &[2])]);
    let without = UnicodeWords::default().stem(Language::English).leave_out(Language::English);
    check(&without.into(), &texts, &[("the", &[]), ("the installations", &[0, 1]), ("instal*", &[0, 1])]);
}

#[test]
fn words_typed_without_accents_find_their_stems() {
    let texts = [
        ("da", "børnene løber", "bornene lober"),
        ("de", "Häuser Größe schönste", "hauser grosse schonste"),
        ("es", "canciones cantaría también habíamos", "canciones cantaria tambien habiamos"),
        ("fr", "généralement préférées chantées élèves", "generalement preferees chantees eleves"),
        ("hu", "házakból szépségét", "hazakbol szepseget"),
        ("it", "città perché andò", "citta perche ando"),
        ("pt", "informações canções não", "informacoes cancoes nao"),
        ("ro", "învățătorilor românești", "invatatorilor romanesti"),
        ("sv", "hjärtans möjligheter", "hjartans mojligheter"),
    ];
    for (language, text, typed) in texts {
        let analyzer = Analyzer::from_spec(&language.parse().unwrap()).unwrap();
        let index = index(&analyzer, &["nothing", text]);
        for word in typed.split(' ').chain(text.split(' ')).chain([typed, text]) {
            assert_eq!(found(&index, &Query::term(word)), [1], "{language}: {word}");
        }
    }
}
