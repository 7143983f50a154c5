//! A custom tokenizer: part numbers such as `AB-1234/C` are one word, and everything else is split
//! at whitespace.
//!
//! ```bash
//! cargo run --example own_tokenizer
//! ```

use std::sync::Arc;

use anyhow::{Result, ensure};
use cim_ipld::backend::MemoryBackend;
use cim_ipld::index::{Analyze, Analyzer, Token};
use cim_ipld::{ContentIndex, DocumentMetadata, ErrorKind, IndexPersistence, SearchQuery, content_cid};

/// Splits at whitespace and trims punctuation from the ends of words.
#[derive(Debug)]
struct PartNumbers;

impl Analyze for PartNumbers {
    /// Returns the identity stored with the index. Change it whenever the tokenizer begins to
    /// produce other words: an index written with the old words is then refused, instead of being
    /// searched with the new ones.
    fn identity(&self) -> &str {
        "example.org part-numbers/1"
    }

    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        let mut position = 0;
        for piece in text.split_whitespace() {
            let word = piece.trim_matches(|c: char| !c.is_alphanumeric());
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            if !word.is_empty() {
                each(Token { word: &word.to_lowercase(), position, start, end: start + word.len() });
                position += 1;
            }
        }
        position
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let backend = Arc::new(MemoryBackend::new());
    let builder = || IndexPersistence::builder().backend(backend.clone());

    let persistence = builder().analyzer(Analyzer::new(PartNumbers)).create().await?;
    let index = ContentIndex::with_persistence(Arc::new(persistence));
    for text in ["Valve AB-1234/C, spare", "Valve AB-1234", "C 1234"] {
        index.index_document(content_cid(text.as_bytes()), &DocumentMetadata::default(), Some(text)).await?;
    }
    for (query, expected) in [("AB-1234", 1), ("ab-1234/c", 1), ("valve", 2), ("1234", 1), ("AB-1234*", 2)] {
        let found = index.search(&SearchQuery::text(query)).await?.len();
        println!("{query}: {found}");
        ensure!(found == expected, "{query} found {found} documents, not {expected}");
    }

    // The index stores the identity of its tokenizer, which must be given to open it.
    let refused = builder().open().await.expect_err("the tokenizer was not given");
    println!("without it: {refused}");
    ensure!(refused.kind() == ErrorKind::Incompatible);
    let again = builder().analyzer(Analyzer::new(PartNumbers)).open().await?;
    ensure!(ContentIndex::with_persistence(Arc::new(again)).search(&SearchQuery::text("valve")).await?.len() == 2);
    Ok(())
}
