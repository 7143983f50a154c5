use std::time::{Duration, Instant};

use cim_ipld::index::{Hit, Query, SearchLimits, SearchOptions, SearchResults, Snippet, SnippetOptions};

use crate::args::SearchArguments;
use crate::context::Context;
use crate::document_json::ResultsJson;
use crate::failure::{Failure, Result};
use crate::output::{Style, print, print_json};
use crate::shown::one_line;

pub(crate) async fn run(arguments: SearchArguments, context: &Context) -> Result<()> {
    let query = query(&arguments)?;
    let options =
        SearchOptions::default().limit(arguments.limit).offset(arguments.offset).snippet(SnippetOptions::default());
    let limits = arguments.max_work.into_iter().fold(SearchLimits::default(), SearchLimits::work);
    let deadline = arguments.deadline.map(|seconds| Duration::from_secs(seconds.into()));
    let options = options.limits(deadline.into_iter().fold(limits, SearchLimits::deadline));
    let engine = arguments.at.open(context).await?;
    let started = Instant::now();
    let results = engine.search(&query, &options).await?;
    let took = started.elapsed();
    if context.json {
        print_json(&ResultsJson::new(&results, took))
    } else {
        print(&render(&results, arguments.offset, Style::of_stdout()))
    }
}

/// Parses a query that somebody typed.
pub(super) fn parsed(text: &str) -> Result<Query> {
    Query::parse_typed(text).map_err(|error| {
        Failure::usage(
            error.to_string(),
            "see the query language with `cim search --help`; in quotes, everything except wildcards is taken literally",
        )
    })
}

fn query(arguments: &SearchArguments) -> Result<Query> {
    let mut query = parsed(&arguments.query)?;
    for tag in &arguments.tags {
        query = query.tag(tag);
    }
    for content_type in &arguments.types {
        query = query.content_type(content_type);
    }
    Ok(query)
}

fn render(results: &SearchResults, offset: usize, style: Style) -> String {
    let mut text = String::new();
    for (place, hit) in (offset + 1..).zip(&results.hits) {
        text.push_str(&format!("{place}. {}\n", style.strong(&heading(hit))));
        text.push_str(&format!("   {}\n", style.faint(&details(hit))));
        if let Some(snippet) = &hit.snippet {
            text.push_str(&format!("   {}\n", highlighted(snippet, style)));
        }
        text.push('\n');
    }
    let documents = if results.total == 1 { "document matches" } else { "documents match" };
    match results.hits.len() {
        0 => text.push_str(&format!("{} {documents}\n", results.total)),
        shown => text.push_str(&format!("{} {documents}; {} to {}\n", results.total, offset + 1, offset + shown)),
    }
    text
}

fn heading(hit: &Hit) -> String {
    one_line(hit.title.as_deref().unwrap_or("(no title)"))
}

fn details(hit: &Hit) -> String {
    let mut parts = vec![hit.cid.to_string(), format!("{:.3}", hit.score)];
    parts.extend(hit.content_type.as_deref().map(one_line));
    parts.extend(hit.author.as_deref().map(one_line));
    parts.extend((!hit.tags.is_empty()).then(|| one_line(&hit.tags.join(", "))));
    parts.join("  ")
}

fn highlighted(snippet: &Snippet, style: Style) -> String {
    let mut text = String::new();
    let mut done = 0;
    for range in &snippet.highlights {
        // Ranges that do not fit the text are ignored.
        let (Some(before), Some(word)) = (snippet.text.get(done..range.start), snippet.text.get(range.clone())) else {
            break;
        };
        text.push_str(&one_line(before));
        text.push_str(&style.strong(&one_line(word)));
        done = range.end;
    }
    text.push_str(&one_line(&snippet.text[done..]));
    text
}
