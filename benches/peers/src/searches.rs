//! Measures searches by class.

use std::hint::black_box;

use anyhow::Result;

use crate::measure::{Run, alternate};
use crate::ours::{self, Ours};
use crate::queries::{Class, Question};
use crate::report::{Engine, Search};
use crate::tantivy_peer::Tantivy;

/// The scores and addresses of the best ten.
pub const OURS_TOP: &str = "ours";
/// The same, with the exact number of matches.
pub const OURS_TOTAL: &str = "ours, exact total";
/// The best ten with title, author, tags and so on, and the exact number of matches.
pub const OURS_HITS: &str = "ours, hits";
/// The best ten in a memtable with all documents.
pub const OURS_MEMTABLE: &str = "ours, memtable";
/// `TopDocs`.
pub const TANTIVY_TOP: &str = "Tantivy";
/// `TopDocs` and `Count` in one pass.
pub const TANTIVY_TOTAL: &str = "Tantivy, exact total";
/// `TopDocs`, `Count` and the stored documents of the ten.
pub const TANTIVY_HITS: &str = "Tantivy, hits";
/// FTS5 in SQLCipher, rows and ranks of the best ten.
pub const SQLITE: &str = "SQLCipher";

/// The engines, all with the same documents.
pub struct Engines {
    pub sealed: Ours,
    pub memtable: Ours,
    pub tantivy: Tantivy,
    #[cfg(feature = "sqlite")]
    pub sqlite: Option<crate::sqlite_peer::Sqlite>,
}

/// The number of queries of a class for SQLite, which is tens to thousands of times slower.
const SQLITE_QUERIES: usize = 20;
const SQLITE_REPEATS: usize = 3;

/// Times one class on every engine.
///
/// # Errors
///
/// The first error of an engine.
pub fn class(class: &Class, engines: &Engines, repeats: usize) -> Result<Search> {
    let Engines { sealed, memtable, tantivy, .. } = engines;
    let ours: Vec<_> = class.questions.iter().map(ours::query).collect();
    let theirs: Vec<_> = class.questions.iter().map(|question| tantivy.query(question)).collect();
    let mut runs: Vec<(&'static str, Box<Run<'_>>)> = vec![
        (OURS_TOP, Box::new(|query| done(sealed.top(&ours[query])))),
        (TANTIVY_TOP, Box::new(|query| done(tantivy.top(&*theirs[query])))),
        (OURS_TOTAL, Box::new(|query| done(sealed.top_and_total(&ours[query])))),
        (TANTIVY_TOTAL, Box::new(|query| done(tantivy.top_and_count(&*theirs[query])))),
        (OURS_HITS, Box::new(|query| done(sealed.hits(&ours[query])))),
        (TANTIVY_HITS, Box::new(|query| done(tantivy.hits(&*theirs[query])))),
        (OURS_MEMTABLE, Box::new(|query| done(memtable.top(&ours[query])))),
    ];
    let names: Vec<&'static str> = runs.iter().map(|(name, _)| *name).collect();
    let mut functions: Vec<Box<Run<'_>>> = runs.drain(..).map(|(_, run)| run).collect();
    let times = alternate(class.questions.len(), repeats, &mut functions)?;
    let mut engines_times: Vec<Engine> =
        names.into_iter().zip(times).map(|(engine, times)| Engine { engine, times }).collect();
    engines_times.extend(sqlite(&class.questions, engines)?);
    Ok(Search { class: class.name.clone(), queries: class.questions.len(), goal: class.goal, engines: engines_times })
}

#[cfg(feature = "sqlite")]
fn sqlite(questions: &[Question], engines: &Engines) -> Result<Option<Engine>> {
    use crate::sqlite_peer::Sqlite;
    let Some(sqlite) = &engines.sqlite else { return Ok(None) };
    let asks: Option<Vec<_>> = questions.iter().take(SQLITE_QUERIES).map(Sqlite::ask).collect();
    let Some(asks) = asks else { return Ok(None) };
    let mut run: Vec<Box<Run<'_>>> = vec![Box::new(|query| done(sqlite.top(&asks[query])))];
    let times = alternate(asks.len(), SQLITE_REPEATS, &mut run)?;
    Ok(Some(Engine { engine: SQLITE, times: times[0] }))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &[Question], _: &Engines) -> Result<Option<Engine>> {
    let _ = (SQLITE_QUERIES, SQLITE_REPEATS);
    Ok(None)
}

/// Prevents the compiler from removing a run whose result is not used.
fn done<T>(result: Result<T>) -> Result<()> {
    result.map(|value| drop(black_box(value)))
}
