//! Draws queries from a corpus, for runs without a query file.

use std::collections::HashMap;

use cim_ipld_benches::rng::Rng;
use cim_ipld_index::{Analyzer, Document};

use crate::queries::Sets;

/// Draws at most `count` word lists for each set, from a seed. The set `term_hi` instead has one
/// list for each frequent word.
///
/// *Frequent* words are the 45 with the highest document frequency, *medium* words occur in 0.1 %
/// to 2 % of the documents, *rare* words in 2 to 20 documents. The words of a list come from one
/// document, so that at least one document contains all of them; a pair of frequent words may be
/// any two.
pub fn sets(documents: &[Document], count: usize, seed: u64) -> Sets {
    let mut drawer = Drawer::new(documents, seed);
    let mut sets = Sets::new();
    let mut add = |name: &str, draw: &mut dyn FnMut() -> Option<Vec<String>>| {
        // If a document lacks suitable words, another one is tried.
        let lists: Vec<_> = (0..count * 20).filter_map(|_| draw()).take(count).collect();
        sets.insert(name.to_owned(), lists);
    };
    add("term_mid", &mut || drawer.one(Rank::Medium));
    add("term_rare", &mut || drawer.one(Rank::Rare));
    add("pair", &mut || drawer.together(&[Rank::Medium; 2]));
    add("triple", &mut || drawer.together(&[Rank::Medium; 3]));
    add("five", &mut || drawer.together(&[Rank::Medium; 5]));
    add("five_mixed", &mut || {
        drawer.together(&[Rank::Frequent, Rank::Frequent, Rank::Medium, Rank::Medium, Rank::Rare])
    });
    add("pair_hi", &mut || drawer.frequent_pair());
    add("phrase2", &mut || drawer.phrase(2));
    add("phrase3", &mut || drawer.phrase(3));
    add("prefix", &mut || drawer.prefix());
    add("tag_pair", &mut || drawer.tagged(""));
    add("section_pair", &mut || drawer.tagged("section::"));
    add("fuzzy1", &mut || drawer.misspelt());
    sets.insert("term_hi".into(), drawer.frequent.iter().map(|word| vec![word.clone()]).collect());
    sets
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Frequent,
    Medium,
    Rare,
    Between,
}

struct Drawer<'a> {
    documents: &'a [Document],
    analyzer: Analyzer,
    frequencies: HashMap<String, usize>,
    frequent: Vec<String>,
    rng: Rng,
}

impl<'a> Drawer<'a> {
    fn new(documents: &'a [Document], seed: u64) -> Self {
        let analyzer = Analyzer::default();
        let mut frequencies: HashMap<String, usize> = HashMap::new();
        for document in documents {
            let mut words = analyzer.words(document.text.as_deref().unwrap_or_default());
            words.sort_unstable();
            words.dedup();
            for word in words {
                *frequencies.entry(word).or_default() += 1;
            }
        }
        let mut frequent: Vec<(usize, String)> =
            frequencies.iter().map(|(word, count)| (*count, word.clone())).collect();
        frequent.sort_by(|a, b| b.cmp(a));
        let frequent = frequent.into_iter().take(45).map(|(_, word)| word).collect();
        Self { documents, analyzer, frequencies, frequent, rng: Rng::new(seed) }
    }

    fn rank(&self, word: &str) -> Rank {
        let count = self.frequencies.get(word).copied().unwrap_or(0);
        let share = count as f64 / self.documents.len() as f64;
        match () {
            () if self.frequent.iter().any(|frequent| frequent == word) => Rank::Frequent,
            () if (2..=20).contains(&count) => Rank::Rare,
            () if (0.001..0.02).contains(&share) => Rank::Medium,
            () => Rank::Between,
        }
    }

    fn words(&mut self) -> (&'a Document, Vec<String>) {
        let document = self.rng.pick(self.documents);
        (document, self.analyzer.words(document.text.as_deref().unwrap_or_default()))
    }

    fn one(&mut self, rank: Rank) -> Option<Vec<String>> {
        self.together(&[rank])
    }

    fn together(&mut self, ranks: &[Rank]) -> Option<Vec<String>> {
        let (_, words) = self.words();
        self.choose(&words, ranks)
    }

    /// Chooses different words of these ranks, in this order.
    fn choose(&mut self, words: &[String], ranks: &[Rank]) -> Option<Vec<String>> {
        let mut chosen: Vec<String> = Vec::with_capacity(ranks.len());
        for rank in ranks {
            let fit: Vec<&String> =
                words.iter().filter(|word| self.rank(word) == *rank && !chosen.contains(word)).collect();
            if fit.is_empty() {
                return None;
            }
            chosen.push((*self.rng.pick(&fit)).clone());
        }
        Some(chosen)
    }

    fn frequent_pair(&mut self) -> Option<Vec<String>> {
        let (a, b) = (self.rng.below(self.frequent.len()), self.rng.below(self.frequent.len()));
        (a != b).then(|| vec![self.frequent[a].clone(), self.frequent[b].clone()])
    }

    fn phrase(&mut self, len: usize) -> Option<Vec<String>> {
        let (_, words) = self.words();
        let starts = words.len().checked_sub(len)?;
        let start = self.rng.below(starts + 1);
        Some(words[start..start + len].to_vec())
    }

    fn prefix(&mut self) -> Option<Vec<String>> {
        let word = self.one(Rank::Medium)?.pop()?;
        Some(vec![word.get(..3)?.to_owned()])
    }

    fn tagged(&mut self, prefix: &str) -> Option<Vec<String>> {
        let (document, words) = self.words();
        let tags: Vec<&str> = document.tags.iter().filter_map(|tag| tag.strip_prefix(prefix)).collect();
        if tags.is_empty() {
            return None;
        }
        let mut list = vec![(*self.rng.pick(&tags)).to_owned()];
        list.extend(self.choose(&words, &[Rank::Medium; 2])?);
        Some(list)
    }

    fn misspelt(&mut self) -> Option<Vec<String>> {
        let word = self.one(Rank::Medium)?.pop()?;
        if word.len() < 5 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        let place = 1 + self.rng.below(word.len() - 2);
        let letter = (b'a' + self.rng.below(26) as u8) as char;
        let mut misspelt = word.clone();
        misspelt.replace_range(place..=place, &letter.to_string());
        (misspelt != word).then(|| vec![misspelt])
    }
}
