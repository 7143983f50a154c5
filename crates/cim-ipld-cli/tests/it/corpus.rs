//! Documents to index, generated or from the JSON-lines file named by `CIM_CORPUS`.

use cim_ipld::persistence::content_cid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Lines of JSON, one per document, without a `cid` field.
pub(crate) struct Corpus {
    pub(crate) lines: Vec<String>,
}

const SYLLABLES: [&str; 20] = [
    "bra", "cho", "dul", "fen", "gri", "hov", "jaz", "kwe", "lom", "mip", "nar", "pux", "quo", "rit", "sav", "tov",
    "ulb", "vek", "wyn", "zog",
];

impl Corpus {
    /// Returns the documents of the file named by `CIM_CORPUS`, or `documents` generated ones.
    pub(crate) fn given_or_generated(documents: usize) -> Self {
        match std::env::var_os("CIM_CORPUS").filter(|path| !path.is_empty()) {
            Some(path) => {
                let text = std::fs::read_to_string(path).expect("CIM_CORPUS names a file of JSON lines");
                Self { lines: text.lines().map(str::to_owned).collect() }
            }
            None => Self::generated(documents),
        }
    }

    /// Generates documents with words of four syllables that occur nowhere else.
    pub(crate) fn generated(documents: usize) -> Self {
        let mut random = StdRng::seed_from_u64(20_240_229);
        let vocabulary: Vec<String> = (0..2_000).map(|_| word(&mut random)).collect();
        let lines = (0..documents).map(|number| line(number, &vocabulary, &mut random)).collect();
        Self { lines }
    }

    pub(crate) fn text(lines: &[String]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn cid(line: &str) -> String {
        content_cid(line.as_bytes()).to_string()
    }
}

/// The number makes every text unique, so that no two documents have the same CID.
fn line(number: usize, vocabulary: &[String], random: &mut StdRng) -> String {
    let mut words = |count: usize| -> Vec<&str> {
        (0..count).map(|_| vocabulary.choose(random).expect("there are words").as_str()).collect()
    };
    let title = words(3).join(" ");
    let author = words(2).join(" ");
    let tags: Vec<String> = words(2).iter().map(|word| format!("topic::{word}")).collect();
    let content = words(60).join(" ");
    serde_json::json!({
        "title": title,
        "author": author,
        "tags": tags,
        "type": "text/x-invented",
        "created_at": 1_700_000_000 + number,
        "size": content.len(),
        "text": format!("{content} number{number:08}"),
    })
    .to_string()
}

fn word(random: &mut StdRng) -> String {
    (0..4).map(|_| SYLLABLES[random.random_range(0..SYLLABLES.len())]).collect()
}
