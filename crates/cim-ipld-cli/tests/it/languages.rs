//! The languages of an index, which `init` sets and the index stores.

use cim_ipld::index::Language;
use serde_json::json;

use crate::program::{done, json, refused};
use crate::store::Store;

const LINES: &str = "{\"text\":\"The two whales were singing\"}\n{\"text\":\"Häuser am Hafen\"}\n";

#[test]
fn every_process_searches_in_the_languages_of_the_index() {
    for store in Store::each() {
        let (name, lines) = (store.name(), store.write("lines.jsonl", LINES));
        let created = done(["init", &name, "--plaintext", "--language", "english,de", "--without-stop-words"]);
        assert_eq!(created.lines().count(), 1);
        assert!(created.ends_with(", unencrypted, for en,de without stop words of en,de\n"), "{created}");
        done(["index", &name, &lines]);
        for (query, total) in [("whale", 1), ("\"whale were sing\"", 1), ("haus", 1), ("the", 0), ("hund", 0)] {
            assert_eq!(json(["search", &name, query, "--json"])["total"], json!(total), "{query}");
        }
        assert_eq!(json(["stats", &name, "--json"])["analyzer"], json!("en,de without stop words of en,de"));
        let stats = done(["stats", &name]);
        assert!(stats.contains("\nanalyzer    en,de without stop words of en,de\n"), "{stats}");
        assert_eq!(json(["verify", &name, "--json"])["sound"], json!(true));
    }
}

#[test]
fn without_a_choice_no_language_is_preferred() {
    let store = Store::folder();
    let created = done(["init", &store.name(), "--plaintext"]);
    assert!(created.ends_with(", unencrypted\n"), "{created}");
    assert_eq!(json(["stats", &store.name(), "--json"])["analyzer"], json!("any language"));
}

#[test]
fn unknown_languages_are_refused_with_a_list_of_the_known_ones() {
    let store = Store::folder();
    for asked in ["help", "en,klingon"] {
        let refusal = refused(["init", &store.name(), "--plaintext", "--language", asked]);
        for language in Language::ALL {
            let named = format!("{} ({language:?})", language.code());
            assert!(refusal.error.contains(&named), "{named}: {refusal:?}");
        }
    }
    let refusal = refused(["init", &store.name(), "--plaintext", "--without-stop-words"]);
    assert!(refusal.hint.contains("--language"), "{refusal:?}");
}
