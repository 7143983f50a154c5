//! The report for people.

use std::fmt::Write as _;

use crate::measure::Times;
use crate::report::{Goal, Report, Search};
use crate::searches as engine;

/// Writes the page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    heading(report, &mut out);
    summary(report, &mut out);
    goals(&report.goals, &mut out);
    searches(&report.searches, &mut out);
    others(report, &mut out);
    out
}

/// Writes only the table of searches.
pub fn searches(searches: &[Search], out: &mut String) {
    out.push_str(
        "\n## Searches\n\nTop 10 by BM25, one thread, µs. Per query the median of its repeats; p50 and p99 over the queries of \
         the class.\n*Ratio* is ours by Tantivy's, without totals and stored documents on both sides; the goal is for p50.\n\n\
         | class | ours p50 | p99 | Tantivy p50 | p99 | ratio p50 | p99 | mean | goal | | with exact totals | with hits' \
         documents | our memtable by segment | SQLCipher p50 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|\n",
    );
    for search in searches {
        let get = |name| search.times(name).copied().unwrap_or_default();
        let (ours, tantivy) = (get(engine::OURS_TOP), get(engine::TANTIVY_TOP));
        let by_mean = |a: Times, b: Times| a.mean_ns / b.mean_ns;
        let p50 = ours.p50_ns / tantivy.p50_ns;
        let verdict = search.goal.map_or("", |goal| if p50 <= goal { "holds" } else { "misses" });
        let sqlite = search.times(engine::SQLITE).map_or_else(|| "–".to_owned(), |times| microseconds(times.p50_ns));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {p50:.2} | {:.2} | {:.2} | {} | {verdict} | {:.2} | {:.2} | {:.2} | {sqlite} |",
            search.class,
            microseconds(ours.p50_ns),
            microseconds(ours.p99_ns),
            microseconds(tantivy.p50_ns),
            microseconds(tantivy.p99_ns),
            ours.p99_ns / tantivy.p99_ns,
            by_mean(ours, tantivy),
            search.goal.map_or("–".to_owned(), |goal| goal.to_string()),
            by_mean(get(engine::OURS_TOTAL), get(engine::TANTIVY_TOTAL)),
            by_mean(get(engine::OURS_HITS), get(engine::TANTIVY_HITS)),
            by_mean(get(engine::OURS_MEMTABLE), ours),
        );
    }
}

fn heading(report: &Report, out: &mut String) {
    let run = &report.run;
    let _ = writeln!(
        out,
        "# The index core beside Tantivy and SQLCipher\n\nMade by `{}` on {}; do not edit. How it is measured and what is \
         fair about it: [README.md](README.md).\n\n* Commit {}; {}; {}.\n* {}; load of the machine {} before and {} after.\n\
         * {}: {} documents, {:.1} MB of text; queries: {}; {} repeats of each.\n",
        run.command,
        run.date,
        run.commit,
        run.compiler,
        run.peers.join("; "),
        run.machine,
        run.load_before,
        run.load_after,
        run.corpus,
        run.documents,
        run.text_bytes as f64 / 1e6,
        run.queries,
        run.repeats,
    );
}

fn summary(report: &Report, out: &mut String) {
    let ratio = |search: &Search| {
        let (ours, tantivy) = (search.times(engine::OURS_TOP)?, search.times(engine::TANTIVY_TOP)?);
        Some((ours.p50_ns / tantivy.p50_ns, search.class.clone()))
    };
    let mut ratios: Vec<(f64, String)> = report.searches.iter().filter_map(ratio).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let list = |wanted: &dyn Fn(f64) -> bool| {
        let named: Vec<String> = ratios
            .iter()
            .filter(|(ratio, _)| wanted(*ratio))
            .map(|(ratio, class)| format!("{class} {ratio:.2}"))
            .collect();
        if named.is_empty() { "none".to_owned() } else { named.join(", ") }
    };
    let _ = writeln!(
        out,
        "## In a minute\n\n* **Faster than Tantivy** (our time as a fraction of its, p50): {}.\n* **Slower**: {}.",
        list(&|ratio| ratio <= 1.0),
        list(&|ratio| ratio > 1.0)
    );
    let held = report.goals.iter().filter(|goal| goal.holds()).count();
    let _ = writeln!(out, "* **Goals**: {held} of {} hold.", report.goals.len());
    for equality in &report.equalities {
        let _ = writeln!(out, "* **Hits equal**, {}: {} of {}.", equality.what, equality.equal, equality.of);
        for difference in &equality.differences {
            let _ = writeln!(out, "  * {difference}");
        }
    }
}

fn goals(goals: &[Goal], out: &mut String) {
    out.push_str("\n## Goals\n\n| what | goal | figure | | |\n|---|--:|--:|---|---|\n");
    for goal in goals {
        let _ = writeln!(
            out,
            "| {} | {} {} | {} {} | {} | {} |",
            goal.what,
            if goal.at_least { "≥" } else { "≤" },
            goal.goal,
            figure(goal.figure),
            goal.unit,
            if goal.holds() { "holds" } else { "**misses**" },
            goal.note
        );
    }
}

fn others(report: &Report, out: &mut String) {
    if !report.writes.is_empty() {
        out.push_str("\n## Writing\n\n| what | engine | figure |\n|---|---|--:|\n");
    }
    for row in &report.writes {
        let _ = writeln!(out, "| {} | {} | {} {} |", row.what, row.engine, figure(row.figure), row.unit);
    }
    if !report.sizes.is_empty() {
        out.push_str("\n## Bytes of the segment\n\n| part | ours | Tantivy | ratio | |\n|---|--:|--:|--:|---|\n");
    }
    for row in &report.sizes {
        let ratio = match (row.ours, row.tantivy) {
            (Some(ours), Some(theirs)) if theirs > 0 => format!("{:.2}", ours as f64 / theirs as f64),
            _ => "–".to_owned(),
        };
        let bytes = |bytes: Option<u64>| bytes.map_or("–".to_owned(), |bytes| bytes.to_string());
        let _ =
            writeln!(out, "| {} | {} | {} | {ratio} | {} |", row.part, bytes(row.ours), bytes(row.tantivy), row.note);
    }
    if !report.cold.is_empty() {
        out.push_str("\n## A cold segment\n\nSearches for hits with no page at hand.\n\n| class | rounds at most | pages, mean | KB, mean |\n|---|--:|--:|--:|\n");
    }
    for row in &report.cold {
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} | {:.0} |",
            row.class,
            row.most_rounds,
            row.mean_pages,
            row.mean_bytes / 1e3
        );
    }
}

fn microseconds(nanoseconds: f64) -> String {
    figure(nanoseconds / 1e3)
}

fn figure(value: f64) -> String {
    match value {
        0.0..0.1 => format!("{value:.4}"),
        0.1..10.0 => format!("{value:.2}"),
        10.0..1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
