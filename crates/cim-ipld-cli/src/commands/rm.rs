use std::path::Path;
use std::sync::Arc;

use cim_ipld::Cid;
use cim_ipld::index::SearchOptions;
use cim_ipld::persistence::Engine;
use serde_json::json;

use super::get::missing;
use super::search::parsed;
use crate::args::RmArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::file_records::{PathKey, Records};
use crate::follower::Follower;
use crate::input::{Batch, canonical};
use crate::output::{print_json, print_line};
use crate::status::Status;

/// The number of documents that are found or removed at a time.
const DOCUMENTS_AT_A_TIME: usize = 10_000;

/// What is removed, or would be.
#[derive(Default)]
struct Removal {
    removed: Vec<Cid>,
    /// Documents that remain under other paths.
    kept: Vec<Cid>,
}

pub(crate) async fn run(arguments: RmArguments, context: &Context) -> Result<()> {
    let query = arguments.query.as_deref().map(parsed).transpose()?;
    let engine = arguments.at.open(context).await?;
    let is_dry = arguments.dry_run;
    let removal = match (&arguments.path, &query) {
        (Some(path), _) => by_path(&engine, path, is_dry).await?,
        (None, Some(query)) => {
            let mut options = SearchOptions::default().limit(DOCUMENTS_AT_A_TIME);
            let mut found = Vec::new();
            loop {
                let results = engine.search(query, &options).await?;
                found.extend(results.hits.iter().map(|hit| hit.cid));
                match results.next {
                    Some(next) => options = options.after(next),
                    None => break,
                }
            }
            by_cid(&engine, found, is_dry).await?
        }
        (None, None) => {
            for (cid, document) in arguments.cids.iter().zip(engine.documents(&arguments.cids).await?) {
                document.ok_or_else(|| missing(cid))?;
            }
            by_cid(&engine, arguments.cids, is_dry).await?
        }
    };
    engine.close().await;
    report(&removal, is_dry, context)
}

async fn by_cid(engine: &Engine, cids: Vec<Cid>, is_dry: bool) -> Result<Removal> {
    for some in cids.chunks(DOCUMENTS_AT_A_TIME).filter(|_| !is_dry) {
        engine.delete(some).await?;
    }
    Ok(Removal { removed: cids, kept: Vec::new() })
}

/// Removes the files at or below a path, which need not exist any more.
async fn by_path(engine: &Engine, path: &Path, is_dry: bool) -> Result<Removal> {
    let records = Arc::new(Records::load(engine).await?);
    let key = PathKey::of(&canonical(path));
    let batches = records.by_document(records.within(&key));
    if batches.is_empty() {
        let hint = "find paths with `cim search STORE path:WORD --json`";
        return Err(Failure::of(Status::NotFound, format!("no file at {} is indexed", path.display()), hint));
    }
    let mut follower = Follower::new(records, Vec::new());
    let mut removal = Removal::default();
    for keys in batches {
        let edits = follower.take(Batch::gone(keys));
        let change = follower.change(engine, edits).await?;
        if !is_dry {
            engine.replace(&change.deleted, &change.documents).await?;
        }
        removal.removed.extend(change.deleted);
        removal.kept.extend(change.documents.iter().map(|document| document.cid));
    }
    Ok(removal)
}

fn report(removal: &Removal, is_dry: bool, context: &Context) -> Result<()> {
    if context.json {
        let texts = |cids: &[Cid]| cids.iter().map(Cid::to_string).collect::<Vec<_>>();
        return print_json(
            &json!({ "removed": texts(&removal.removed), "kept": texts(&removal.kept), "dry_run": is_dry }),
        );
    }
    let done = if is_dry { "would remove" } else { "removed" };
    for cid in &removal.removed {
        print_line(format!("{done} {cid}"))?;
    }
    for cid in &removal.kept {
        print_line(format!("{done} the path of {cid}, which has others"))?;
    }
    if removal.removed.is_empty() && removal.kept.is_empty() {
        print_line("no document matches")?;
    }
    Ok(())
}
