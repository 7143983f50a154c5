use std::io::IsTerminal;
use std::path::Path;

use cim_ipld::persistence::{ExportOptions, ImportOptions, ImportReport};
use serde_json::{Value, json};

use crate::args::{CopyArguments, ExportArguments, ImportArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::place::Place;
use crate::shown::one_line;

pub(crate) async fn export(arguments: ExportArguments, context: &Context) -> Result<()> {
    if is_pipe(&arguments.file) && std::io::stdout().is_terminal() {
        let hint = "redirect standard output to a file or a program, or name a file";
        return Err(Failure::usage("an archive is not written to a terminal", hint));
    }
    let place = arguments.at.place()?;
    let engine = arguments.at.open(context).await?;
    let mut options = ExportOptions::default();
    if let Some(name) = &arguments.snapshot {
        options = options.snapshot(name);
    }
    for earlier in &arguments.since {
        options = options.since_file(earlier);
    }
    let to_pipe = is_pipe(&arguments.file);
    let exported = match to_pipe {
        true => engine.export(tokio::io::stdout(), options).await,
        false => engine.export_to_file(&arguments.file, options).await,
    };
    engine.close().await;
    let report = exported.map_err(|error| place.failed(error))?;
    note_unreadable(report.unreadable_snapshots);
    let file = if to_pipe { "standard output".to_owned() } else { one_line(&arguments.file.display().to_string()) };
    let mut line = format!(
        "exported {place} to {file}: {} documents, {} snapshots, {} blocks, {} bytes",
        report.documents, report.snapshots, report.blocks, report.bytes
    );
    if !arguments.since.is_empty() {
        line.push_str(&format!("; {} more blocks are in the earlier archives", report.reused_blocks));
    }
    let object = json!({
        "file": file, "root": report.root.to_string(), "documents": report.documents,
        "position": report.position.number(), "blocks": report.blocks, "reused_blocks": report.reused_blocks,
        "bytes": report.bytes, "snapshots": report.snapshots, "unreadable_snapshots": report.unreadable_snapshots,
    });
    if to_pipe {
        // Standard output holds the archive.
        let said = if context.json { object.to_string() } else { line };
        eprintln!("{said}");
        return Ok(());
    }
    context.say(line, &object)
}

/// Returns whether the path stands for standard output or input.
fn is_pipe(file: &Path) -> bool {
    file == Path::new("-")
}

pub(crate) async fn import(arguments: ImportArguments, context: &Context) -> Result<()> {
    let place = arguments.at.place()?;
    let key = arguments.at.key(context)?;
    let from_pipe = is_pipe(&arguments.file);
    if from_pipe && std::io::stdin().is_terminal() {
        let hint = "redirect an archive or the output of `cim export STORE -` to standard input, or name a file";
        return Err(Failure::usage("an archive is not read from a terminal", hint));
    }
    // Nothing is created if the archive is missing.
    for file in Some(&arguments.file).filter(|_| !from_pipe).into_iter().chain(&arguments.since) {
        check_readable(file)?;
    }
    let builder = place.new_index(&arguments.at.nats, &arguments.buckets, context).await?;
    let mut options = ImportOptions::default();
    for earlier in &arguments.since {
        options = options.since_file(earlier);
    }
    let imported = match from_pipe {
        true => builder.import(tokio::io::stdin(), key, options).await,
        false => builder.import_file(&arguments.file, key, options).await,
    };
    let imported = imported.map_err(|error| place.failed(error))?;
    imported.engine.close().await;
    let file = if from_pipe { "standard input".to_owned() } else { one_line(&arguments.file.display().to_string()) };
    context.say(
        format!("imported {file} into {place}: {}", stored(&imported.report)),
        &import_object(&place, &imported.report),
    )
}

pub(crate) async fn copy(arguments: CopyArguments, context: &Context) -> Result<()> {
    let (from, to) = (arguments.at.place()?, arguments.to.place(&arguments.at.nats)?);
    if from == to {
        return Err(Failure::usage("a store cannot be copied to itself", "give another STORE for the copy"));
    }
    let key = arguments.at.key(context)?;
    let engine = arguments.at.open(context).await?;
    let builder = to.new_index(&arguments.at.nats, &arguments.buckets, context).await?;
    let options = arguments.snapshot.iter().fold(ExportOptions::default(), |options, name| options.snapshot(name));
    let copied = engine.copy_to(builder, key, options).await;
    engine.close().await;
    let copy = copied.map_err(|error| Failure::from(error).at(format!("copying {from} to {to}")))?;
    copy.engine.close().await;
    note_unreadable(copy.export.unreadable_snapshots);
    let mut object = import_object(&to, &copy.import);
    object["from"] = json!(from.to_string());
    context.say(format!("copied {from} to {to}: {}", stored(&copy.import)), &object)
}

fn stored(report: &ImportReport) -> String {
    let ImportReport { documents, snapshots, blocks, bytes, .. } = report;
    let mut text = format!("{documents} documents, {snapshots} snapshots, {blocks} blocks, {bytes} bytes");
    if report.present_blocks > 0 {
        text.push_str(&format!("; {} more blocks had been stored before", report.present_blocks));
    }
    text
}

fn import_object(place: &Place, report: &ImportReport) -> Value {
    json!({
        "store": place.to_string(), "root": report.root.to_string(), "documents": report.documents,
        "blocks": report.blocks, "present_blocks": report.present_blocks, "bytes": report.bytes,
        "snapshots": report.snapshots,
    })
}

fn check_readable(file: &Path) -> Result<()> {
    let opened = std::fs::File::open(file).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if !metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{} is a folder, not an archive", file.display()), GIVE_ARCHIVE)),
        Err(error) => {
            Err(Failure::usage(format!("the archive {} cannot be read: {error}", file.display()), GIVE_ARCHIVE))
        }
    }
}

const GIVE_ARCHIVE: &str = "give a file that `cim export` has written";

fn note_unreadable(snapshots: u64) {
    if snapshots > 0 {
        eprintln!("note: {snapshots} snapshots that cannot be read were left out; see `cim verify`");
    }
}
