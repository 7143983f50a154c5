//! Measures the index core and its peers, and writes the report.

use std::fs;

use anyhow::{Context, Result, ensure};
use cim_ipld_index::MAX_RESULT_WINDOW;
use peers::args::{Args, USAGE};
use peers::corpus::Corpus;
use peers::differential::Differential;
use peers::ours::{self, Ours};
use peers::queries::{self, Class};
use peers::report::{Equality, Goal, Report, Run, Search};
use peers::searches::{self, Engines};
use peers::tantivy_peer::{Tantivy, Words};
use peers::{draw, machine, markdown, sizes, writes};
use tantivy::store::Compressor;

/// Up to this number of documents, all hits are compared; in a larger corpus, the first `SHALLOW`.
const COMPARED_WHOLE: usize = 100_000;
const SHALLOW: usize = 1_000;

fn main() -> Result<()> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let corpus = match &args.corpus {
        Some(path) => Corpus::read(path)?,
        None => Corpus::synthetic(args.synthetic_documents(), 42),
    };
    let (sets, origin) = match &args.queries {
        Some(path) => (queries::read(path)?, path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into())),
        None => (draw::sets(&corpus.documents, args.most_queries(), 42), "drawn from the corpus, seed 42".to_owned()),
    };
    let corpus = corpus.scaled(args.scale);
    let classes = queries::classes(&sets, &args.only, args.most_queries());
    ensure!(!classes.is_empty(), "the queries have no usable list of words for the classes to be measured");
    let mut report = Report { run: describe(&args, &corpus, origin), ..Report::default() };
    measure(&args, &corpus, &classes, &mut report)?;
    report.run.load_after = machine::load();
    if args.only.is_empty() {
        let page = markdown::page(&report);
        fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
        let name = if args.scale > 1 { format!("index-core-x{}", args.scale) } else { "index-core".to_owned() };
        fs::write(args.out.join(format!("{name}.md")), &page)?;
        fs::write(args.out.join(format!("{name}.json")), serde_json::to_string_pretty(&report)? + "\n")?;
        println!("{page}\nwritten to {}", args.out.display());
    } else {
        let mut table = String::new();
        markdown::searches(&report.searches, &mut table);
        println!("{table}");
        for equality in &report.equalities {
            println!("hits equal, {}: {} of {} {:?}", equality.what, equality.equal, equality.of, equality.differences);
        }
    }
    let is_equal = report.equalities.iter().all(|equality| equality.equal == equality.of);
    ensure!(is_equal, "the hits differ from those of Tantivy");
    Ok(())
}

fn measure(args: &Args, corpus: &Corpus, classes: &[Class], report: &mut Report) -> Result<()> {
    let documents = &corpus.documents;
    if args.only.is_empty() {
        eprintln!("writing: {} documents", documents.len());
        let (rows, goal) = writes::visible(documents, if args.quick { 2_000 } else { 20_000 }, args.sqlite)?;
        report.writes.extend(rows);
        report.goals.push(goal);
        let (rows, goal) = writes::bulk(documents, if args.quick { 1 } else { 3 }, args.sqlite)?;
        report.writes.extend(rows);
        report.goals.push(goal);
    }
    eprintln!("building: {} documents", documents.len());
    let memtable = ours::fill(documents)?;
    let engines = Engines {
        sealed: Ours::sealed(&memtable)?,
        memtable: Ours::of_memtable(&memtable)?,
        tantivy: Tantivy::build(documents, Compressor::Lz4, Words::Core)?,
        #[cfg(feature = "sqlite")]
        sqlite: sqlite(args, corpus, report)?,
    };
    for class in classes {
        eprintln!("searching: {}", class.name);
        report.searches.push(searches::class(class, &engines, args.repeats())?);
    }
    report.goals.splice(0..0, search_goals(&report.searches));
    report.goals.extend(memtable_goal(&report.searches));
    if args.only.is_empty() {
        let plain = Tantivy::build(documents, Compressor::None, Words::Core)?.space()?;
        let (rows, goals) = sizes::segments(&engines.sealed, &engines.tantivy.space()?, &plain)?;
        report.sizes = rows;
        report.goals.extend(goals);
        let (rows, goal) = sizes::cold(classes, &engines.sealed)?;
        report.cold = rows;
        report.goals.push(goal);
    }
    let depth = if documents.len() <= COMPARED_WHOLE { MAX_RESULT_WINDOW } else { SHALLOW };
    let differential = Differential::new(documents, &engines.tantivy, depth);
    for (what, ours) in [("segment", &engines.sealed), ("memtable", &engines.memtable)] {
        eprintln!("comparing: {what}");
        report.equalities.push(equality(what, ours, classes, &differential)?);
    }
    Ok(())
}

#[cfg(feature = "sqlite")]
fn sqlite(args: &Args, corpus: &Corpus, report: &mut Report) -> Result<Option<peers::sqlite_peer::Sqlite>> {
    if !args.sqlite {
        return Ok(None);
    }
    let mut sqlite = peers::sqlite_peer::Sqlite::create("search")?;
    sqlite.insert_all(&corpus.documents)?;
    report.run.peers.push(sqlite.versions()?);
    report.writes.push(peers::report::Write {
        what: "bytes of the database".into(),
        engine: "SQLCipher".into(),
        figure: sqlite.bytes()? as f64,
        unit: "bytes",
    });
    Ok(Some(sqlite))
}

fn equality(what: &str, ours: &Ours, classes: &[Class], differential: &Differential<'_>) -> Result<Equality> {
    let mut equality = Equality { what: what.to_owned(), equal: 0, of: 0, differences: Vec::new() };
    for class in classes {
        let mut differences = Vec::new();
        for question in &class.questions {
            equality.of += 1;
            match differential.compare(ours, question)? {
                None => equality.equal += 1,
                Some(difference) => differences.push(format!("{}: {question:?}: {difference}", class.name)),
            }
        }
        differences.truncate(3);
        equality.differences.extend(differences);
    }
    Ok(equality)
}

fn search_goals(searches: &[Search]) -> Vec<Goal> {
    let goal = |search: &Search| {
        let (ours, tantivy) = (search.times(searches::OURS_TOP)?, search.times(searches::TANTIVY_TOP)?);
        Some(Goal {
            what: format!("search, {}, p50", search.class),
            goal: search.goal?,
            at_least: false,
            figure: ours.p50_ns / tantivy.p50_ns,
            unit: "of Tantivy's time".into(),
            note: format!("p99 {:.2}, mean {:.2}", ours.p99_ns / tantivy.p99_ns, ours.mean_ns / tantivy.mean_ns),
        })
    };
    searches.iter().filter_map(goal).collect()
}

/// Returns the goal for searches of a memtable, measured by the class with the worst ratio.
fn memtable_goal(searches: &[Search]) -> Option<Goal> {
    let ratio = |search: &Search| {
        let (memtable, segment) = (search.times(searches::OURS_MEMTABLE)?, search.times(searches::OURS_TOP)?);
        Some((memtable.p50_ns / segment.p50_ns, search.class.clone()))
    };
    let mut ratios: Vec<(f64, String)> = searches.iter().filter_map(ratio).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (worst, class) = ratios.last()?;
    let within = ratios.iter().filter(|(ratio, _)| *ratio <= 1.3).count();
    Some(Goal {
        what: "search over a full memtable, p50, the worst class".into(),
        goal: 1.3,
        at_least: false,
        figure: *worst,
        unit: "of the segment's time".into(),
        note: format!(
            "{class}; {within} of {} classes within the goal; the median class {:.2}",
            ratios.len(),
            ratios[ratios.len() / 2].0
        ),
    })
}

fn describe(args: &Args, corpus: &Corpus, queries: String) -> Run {
    let mut command = "cargo xtask bench --peers".to_owned();
    if let Some(path) = args.corpus.as_ref().and_then(|path| path.file_name()) {
        command.push_str(&format!(" --corpus {}", path.to_string_lossy()));
    }
    if let Some(path) = args.queries.as_ref().and_then(|path| path.file_name()) {
        command.push_str(&format!(" --queries {}", path.to_string_lossy()));
    }
    if args.scale > 1 {
        command.push_str(&format!(" --scale {}", args.scale));
    }
    if args.quick {
        command.push_str(" --quick");
    }
    Run {
        date: args.date.clone(),
        commit: args.commit.clone(),
        machine: machine::describe(),
        compiler: args.compiler.clone(),
        peers: vec![machine::version("tantivy")],
        corpus: corpus.name.clone(),
        documents: corpus.documents.len(),
        text_bytes: corpus.text_bytes(),
        queries,
        repeats: args.repeats(),
        load_before: machine::load(),
        load_after: String::new(),
        command,
    }
}
