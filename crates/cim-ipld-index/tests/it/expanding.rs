//! Prefix and fuzzy queries over a dictionary of many pages, and over a memtable with as many
//! words.

use cim_ipld_index::{Document, Field, PageClass, Query, SearchOptions};

use crate::model::{Index, cid};

const DOCUMENTS: u64 = 1_500;
const WORDS: u64 = 20;

/// Returns a different word for each `n`. The words of consecutive numbers are spread over all
/// pages of the dictionary.
fn word(n: u64) -> String {
    let mixed = n.wrapping_mul(40_503) % 65_536;
    format!("{}{mixed:04x}{}", ["a", "be", "ж", "zu"][(n % 4) as usize], "xyz".repeat((n % 3) as usize))
}

/// The algorithm of Wagner and Fischer, row by row.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, x) in a.chars().enumerate() {
        let mut left = index + 1;
        let mut before = std::mem::replace(&mut row[0], left);
        for (y, above) in b.iter().zip(&mut row[1..]) {
            left = (before + usize::from(x != *y)).min(*above + 1).min(left + 1);
            before = std::mem::replace(above, left);
        }
    }
    row[b.len()]
}

#[test]
fn words_are_found_wherever_they_stand() {
    let mut index = Index::new();
    for n in 0..DOCUMENTS {
        let words: Vec<String> = (n * WORDS..(n + 1) * WORDS).map(word).collect();
        index.insert(&Document::new(cid(n)).with_text(words.join(" ")));
    }
    let check = |index: &Index, query: Query, is_wanted: &dyn Fn(&str) -> bool, name: &str| {
        let is_match = |n: &u64| (n * WORDS..(n + 1) * WORDS).any(|n| is_wanted(&word(n)));
        let expected = (0..DOCUMENTS).filter(is_match).count() as u64;
        assert_eq!(index.search(&query, &SearchOptions::default()).total, expected, "{name}");
        expected
    };
    let (mut prefixes, mut fuzzy) = (0, 0);
    for is_sealed in [false, true] {
        if is_sealed {
            index.seal();
            let pages = index.pages.iter().filter(|(_, page, _)| page.class == PageClass::Dictionary).count();
            assert!(pages >= 5, "{pages} pages of the dictionary");
        }
        for prefix in ["a", "a0", "be7f", "ж", "жe1", "zuff", "zv", "0"] {
            let query = Query::prefix(Field::Any, prefix);
            prefixes += check(&index, query, &|word| word.starts_with(prefix), prefix);
        }
        for (n, limit) in (0..36).map(|n| (n * 823, 1 + n % 2)) {
            let mut wanted = word(n);
            let place = wanted.char_indices().nth((n % 5) as usize).map_or(0, |(place, _)| place);
            wanted.insert(place, ['ж', 'q', '0'][(n % 3) as usize]);
            let query = Query::fuzzy(Field::Any, wanted.as_str(), limit as u8);
            let is_near = |word: &str| distance(&wanted, word) <= limit as usize;
            fuzzy += check(&index, query, &is_near, &format!("{wanted}~{limit}"));
        }
    }
    assert!(prefixes > DOCUMENTS && fuzzy > 200, "{prefixes} and {fuzzy} documents");
}
