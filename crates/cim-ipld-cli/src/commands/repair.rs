use std::sync::Arc;

use cim_ipld::envelope::KeySource;
use cim_ipld::persistence::{RepairOptions, RepairReport};
use serde::Serialize;

use crate::args::RepairArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::shown::one_line;
use crate::status::Status;

/// The object of `repair --json`.
#[derive(Debug, Serialize)]
struct RepairJson {
    complete: bool,
    dry_run: bool,
    restored_objects: u64,
    returned_documents: u64,
    restored_records: u64,
    rebuilt_segments: u64,
    rebuilt_documents: u64,
    salvaged_records: u64,
    lost_records: u64,
    lost_documents: Vec<String>,
    lost_unknown_documents: u64,
    lost_deletions: u64,
    lost_snapshots: u64,
    incomplete_snapshots: Vec<String>,
}

pub(crate) async fn run(arguments: RepairArguments, context: &Context) -> Result<()> {
    let at = &arguments.at;
    let place = at.place()?;
    let mut sources = Vec::new();
    for name in &arguments.from {
        sources.push(name.source(&place, &at.nats, context).await?);
    }
    let key = at.key(context)?;
    let duplicate = key.as_ref().map(KeySource::duplicate);
    let options = RepairOptions::default().dry_run(arguments.dry_run);
    let backend = place.backend(&at.nats, context).await?;
    let builder = place.engine(Arc::clone(&backend), context.pins.of(&place), context);
    let report = builder.repair(key, &sources, options).await.map_err(|error| place.unopenable(error))?;
    if report.changed_history && !arguments.dry_run {
        // The pin records the former order, and records that were given up must not come back.
        let builder = place.engine(backend, context.pins.of(&place), context);
        let engine = builder.accept_store().open(duplicate).await.map_err(|error| place.unopenable(error))?;
        engine.close().await;
    }
    if context.json {
        print_json(&RepairJson::new(&report, arguments.dry_run))?;
    } else {
        print(&render(&report, arguments.dry_run))?;
    }
    if report.is_complete() {
        return Ok(());
    }
    let hint = match arguments.dry_run {
        true => "name further archives or copies of the store with --from; a repair without them gives up what is lost",
        false => "index the lost documents again, from their originals or from an older copy of the store",
    };
    Err(Failure::of(Status::DataLost, "not everything could be put back", hint))
}

impl RepairJson {
    fn new(report: &RepairReport, dry_run: bool) -> Self {
        Self {
            complete: report.is_complete(),
            dry_run,
            restored_objects: report.restored_objects,
            returned_documents: report.returned_documents,
            restored_records: report.restored_records,
            rebuilt_segments: report.rebuilt_segments,
            rebuilt_documents: report.rebuilt_documents,
            salvaged_records: report.salvaged_records,
            lost_records: report.lost_records,
            lost_documents: report.lost_documents.iter().map(ToString::to_string).collect(),
            lost_unknown_documents: report.lost_unknown_documents,
            lost_deletions: report.lost_deletions,
            lost_snapshots: report.lost_snapshots,
            incomplete_snapshots: report.incomplete_snapshots.clone(),
        }
    }
}

fn render(report: &RepairReport, dry_run: bool) -> String {
    if report.is_unchanged() {
        return "nothing to repair\n".to_owned();
    }
    let mut text = String::new();
    let mut count = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("{what} {count}\n"));
        }
    };
    let would = if dry_run { "would be " } else { "" };
    count(report.restored_objects, &format!("objects {would}put back:"));
    count(report.returned_documents, &format!("documents {would}put back from elsewhere:"));
    count(report.restored_records, &format!("journal records {would}put back:"));
    count(report.rebuilt_segments, &format!("segments {would}rebuilt:"));
    count(report.rebuilt_documents, &format!("documents {would}in rebuilt segments:"));
    count(report.salvaged_records, &format!("journal records {would}applied again:"));
    count(report.lost_records, "journal records lost:");
    count(report.lost_documents.len() as u64 + report.lost_unknown_documents, "documents lost, at most:");
    count(report.lost_deletions, "deletions lost (deleted documents may be back), at most:");
    count(report.lost_snapshots, "snapshots lost:");
    for cid in &report.lost_documents {
        text.push_str(&format!("lost: {cid}\n"));
    }
    for name in &report.incomplete_snapshots {
        text.push_str(&format!("incomplete: snapshot {}\n", one_line(name)));
    }
    text
}
