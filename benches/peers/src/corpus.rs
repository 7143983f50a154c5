//! The documents, read from a file or generated.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use cid::Cid;
use cim_ipld_benches::rng::Rng;
use cim_ipld_benches::{cid_of, synthetic};
use cim_ipld_index::Document;
use serde::Deserialize;

/// Documents and their origin.
#[derive(Debug)]
pub struct Corpus {
    /// The name for the report.
    pub name: String,
    /// In the order in which they are indexed.
    pub documents: Vec<Document>,
}

#[derive(Deserialize)]
struct Line {
    title: Option<String>,
    author: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(rename = "type")]
    content_type: Option<String>,
    size: Option<u64>,
    text: Option<String>,
}

impl Corpus {
    /// Reads JSON lines with `title`, `author`, `tags`, `type`, `size` and `text`, and decompresses
    /// a file whose name ends in `.zst`. Duplicate lines are skipped.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or a line cannot be parsed.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let reader: Box<dyn Read> = match path.extension() {
            Some(extension) if extension == "zst" => Box::new(zstd::Decoder::new(file)?),
            _ => Box::new(file),
        };
        let mut seen = std::collections::HashSet::new();
        let mut documents = Vec::new();
        for (number, line) in BufReader::new(reader).lines().enumerate() {
            let line = line?;
            let cid = cid_of(line.as_bytes());
            if line.trim().is_empty() || !seen.insert(cid) {
                continue;
            }
            let parsed: Line = serde_json::from_str(&line).with_context(|| format!("line {}", number + 1))?;
            documents.push(parsed.into_document(cid));
        }
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, documents })
    }

    /// Generates a corpus with Zipf-distributed words.
    pub fn synthetic(count: usize, seed: u64) -> Self {
        Self { name: format!("synthetic, seed {seed}"), documents: synthetic::documents(count, seed) }
    }

    /// Makes a corpus `factor` times as large.
    ///
    /// Every copy has its own CID. In each copy but the first, three words in twenty are swapped
    /// with another word of the same text, and one in thirty gets a suffix that is specific to the
    /// copy, so that the dictionary grows and phrases are not simply repeated.
    #[must_use]
    pub fn scaled(self, factor: usize) -> Self {
        if factor <= 1 {
            return self;
        }
        let mut rng = Rng::new(factor as u64);
        let mut documents = Vec::with_capacity(self.documents.len() * factor);
        for copy in 0..factor {
            for document in &self.documents {
                documents.push(if copy == 0 { document.clone() } else { altered(document, copy, &mut rng) });
            }
        }
        Self { name: format!("{}, {factor} times", self.name), documents }
    }

    /// Returns the total size of all texts, titles and authors in bytes.
    pub fn text_bytes(&self) -> u64 {
        let bytes = |document: &Document| {
            let parts = [&document.text, &document.title, &document.author];
            parts.into_iter().flatten().map(|part| part.len() as u64).sum::<u64>()
        };
        self.documents.iter().map(bytes).sum()
    }
}

impl Line {
    fn into_document(self, cid: Cid) -> Document {
        let mut document = Document::new(cid);
        document.title = self.title;
        document.author = self.author;
        document.tags = self.tags;
        document.content_type = self.content_type;
        document.size = self.size;
        document.text = self.text;
        document
    }
}

fn altered(document: &Document, copy: usize, rng: &mut Rng) -> Document {
    let mut altered = document.clone();
    let text = document.text.as_deref().unwrap_or_default();
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for index in 0..words.len() {
        if rng.below(20) < 3 {
            let other = rng.below(words.len());
            words.swap(index, other);
        }
        if rng.below(30) == 0 {
            words[index].push_str(&format!("x{copy}"));
        }
    }
    altered.text = Some(words.join(" "));
    altered.cid = cid_of(format!("{} {copy}", document.cid).as_bytes());
    altered
}
