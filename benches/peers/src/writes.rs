//! Measures writing: single documents until they are visible, and bulk indexing.

use std::time::Instant;

use anyhow::{Result, ensure};
use cim_ipld_index::{Document, MemoryIndex, Memtable};
use tantivy::TantivyDocument;
use tantivy::store::Compressor;

use crate::measure::quantile;
use crate::ours::{self, Ours};
use crate::report::{Goal, Write};
use crate::tantivy_peer::{self, Tantivy, Words};

/// Inserts documents one by one, and measures the time until each is visible.
///
/// # Errors
///
/// The first error of an engine.
pub fn visible(documents: &[Document], most: usize, with_sqlite: bool) -> Result<(Vec<Write>, Goal)> {
    let few = &documents[..documents.len().min(most)];
    let mut ours = ours_visible(few)?;
    let mut theirs = tantivy_visible(&documents[..documents.len().min(300)])?;
    let p50 = quantile(&mut ours, 0.5) / 1e3;
    let mut rows = two("insert, visible", "ours (MemoryIndex)", &mut ours);
    rows.extend(two("insert, visible", "Tantivy (RAM; add, commit, reload)", &mut theirs));
    if with_sqlite {
        rows.extend(two("insert, visible", "SQLCipher (one transaction, durable)", &mut sqlite_visible(few)?));
    }
    let goal = Goal {
        what: "insert one document, visible at once, p50".into(),
        goal: 10.0,
        at_least: false,
        figure: p50,
        unit: "µs".into(),
        note: String::new(),
    };
    Ok((rows, goal))
}

fn two(what: &str, engine: &str, nanoseconds: &mut [f64]) -> Vec<Write> {
    let row = |name: &str, share: f64, values: &mut [f64]| Write {
        what: format!("{what}, {name}"),
        engine: engine.to_owned(),
        figure: quantile(values, share) / 1e3,
        unit: "µs",
    };
    vec![row("p50", 0.5, nanoseconds), row("p99", 0.99, nanoseconds)]
}

fn ours_visible(documents: &[Document]) -> Result<Vec<f64>> {
    let index = MemoryIndex::new();
    let mut times = Vec::with_capacity(documents.len());
    for document in documents {
        let start = Instant::now();
        index.insert(document)?;
        times.push(start.elapsed().as_nanos() as f64);
        ensure!(index.document(&document.cid)?.is_some(), "a document is not visible after its insert");
    }
    Ok(times)
}

fn tantivy_visible(documents: &[Document]) -> Result<Vec<f64>> {
    let (index, fields) = tantivy_peer::create_in_ram(Words::Core)?;
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, 50_000_000)?;
    let reader = index.reader()?;
    let mut times = Vec::with_capacity(documents.len());
    for (number, document) in documents.iter().enumerate() {
        let document = tantivy_peer::document(document, &fields, Words::Core)?;
        let start = Instant::now();
        writer.add_document(document)?;
        writer.commit()?;
        reader.reload()?;
        let seen = reader.searcher().num_docs();
        times.push(start.elapsed().as_nanos() as f64);
        ensure!(seen == number as u64 + 1, "Tantivy shows {seen} documents after insert {number}");
    }
    Ok(times)
}

#[cfg(feature = "sqlite")]
fn sqlite_visible(documents: &[Document]) -> Result<Vec<f64>> {
    let mut sqlite = crate::sqlite_peer::Sqlite::create("insert")?;
    let mut times = Vec::new();
    for document in documents.iter().take(1_000) {
        let start = Instant::now();
        sqlite.insert_all(std::slice::from_ref(document))?;
        times.push(start.elapsed().as_nanos() as f64);
    }
    Ok(times)
}

/// Indexes all documents on one thread, with the engines taking turns, and reports the fastest of
/// the repeats.
///
/// # Errors
///
/// The first error of an engine.
pub fn bulk(documents: &[Document], repeats: usize, with_sqlite: bool) -> Result<(Vec<Write>, Goal)> {
    let mut best = [f64::INFINITY; 4];
    for _ in 0..repeats {
        let start = Instant::now();
        let memtable: Memtable = ours::fill(documents)?;
        keep_least(&mut best[0], start);
        let sealed = Ours::sealed(&memtable)?;
        keep_least(&mut best[1], start);
        drop((memtable, sealed));
        for (place, words) in [(2, Words::Core), (3, Words::Simple)] {
            let start = Instant::now();
            let tantivy = Tantivy::build(documents, Compressor::Lz4, words)?;
            keep_least(&mut best[place], start);
            drop(tantivy);
        }
    }
    let rates = best.map(|seconds| documents.len() as f64 / seconds);
    let names = [
        "ours, into a memtable",
        "ours, and sealed",
        "Tantivy (one segment, our words)",
        "Tantivy (one segment, its SimpleTokenizer and LowerCaser)",
    ];
    let row = |(engine, rate): (&str, f64)| Write {
        what: "bulk, one thread".into(),
        engine: engine.to_owned(),
        figure: rate,
        unit: "documents/s",
    };
    let mut rows: Vec<Write> = names.into_iter().zip(rates).map(row).collect();
    if with_sqlite {
        rows.push(row(("SQLCipher (one transaction)", sqlite_bulk(documents)?)));
    }
    let fastest = rates[2].max(rates[3]);
    let goal = Goal {
        what: "bulk, one thread, sealed, against the faster Tantivy".into(),
        goal: 1.5,
        at_least: true,
        figure: rates[1] / fastest,
        unit: "times".into(),
        note: format!("{:.0} against {fastest:.0} documents/s", rates[1]),
    };
    Ok((rows, goal))
}

#[cfg(feature = "sqlite")]
fn sqlite_bulk(documents: &[Document]) -> Result<f64> {
    let mut sqlite = crate::sqlite_peer::Sqlite::create("bulk")?;
    let start = Instant::now();
    sqlite.insert_all(documents)?;
    Ok(documents.len() as f64 / start.elapsed().as_secs_f64())
}

fn keep_least(best: &mut f64, start: Instant) {
    *best = best.min(start.elapsed().as_secs_f64());
}

#[cfg(not(feature = "sqlite"))]
fn sqlite_visible(_: &[Document]) -> Result<Vec<f64>> {
    anyhow::bail!("this build has no SQLite")
}

#[cfg(not(feature = "sqlite"))]
fn sqlite_bulk(_: &[Document]) -> Result<f64> {
    anyhow::bail!("this build has no SQLite")
}
