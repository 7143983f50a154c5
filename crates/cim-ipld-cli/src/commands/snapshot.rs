use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld::index::Timestamp;
use cim_ipld::persistence::{self, Engine, ErrorKind, Recovery, SnapshotInfo};
use serde::Serialize;
use serde_json::json;

use crate::args::{ReportArguments, RestoreArguments, SnapshotArguments};
use crate::context::Context;
use crate::document_json::time_text;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::shown::one_line;
use crate::store::Opened;

/// The object of `snapshot list --json`.
#[derive(Debug, Serialize)]
struct ListJson {
    snapshots: Vec<SnapshotJson>,
}

#[derive(Debug, Serialize)]
struct SnapshotJson {
    name: String,
    created_at: String,
    documents: u64,
    bytes: u64,
}

pub(crate) async fn create(arguments: SnapshotArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let snapshot = engine.create_snapshot(&arguments.name).await?;
    engine.close().await;
    let line = format!("created snapshot {}: {} documents", one_line(&snapshot.name), snapshot.documents);
    context.say(line, &SnapshotJson::from(snapshot))
}

pub(crate) async fn restore(arguments: RestoreArguments, context: &Context) -> Result<()> {
    let SnapshotArguments { at, name } = arguments.snapshot;
    let engine = match at.open_for_recovery(context).await? {
        Opened::Engine(engine) => engine,
        Opened::Recovery(recovery, error) => return restore_damaged(&recovery, &error, &name, context).await,
    };
    // If the list cannot be read, the snapshot may still exist.
    let known = engine.snapshots().await.ok();
    let wanted = known.as_ref().map(|known| known.iter().find(|snapshot| snapshot.name == name));
    if wanted == Some(None) {
        let message = format!("there is no snapshot named {name:?}");
        return Err(persistence::Error::new(ErrorKind::SnapshotMissing, message).into());
    }
    let before = engine.stats().await.ok().map(|stats| (stats.index.documents, stats.applied.number()));
    let kept = if arguments.discard { None } else { Some(keep(&engine).await?) };
    let snapshot = engine.restore_snapshot(&name).await?;
    engine.close().await;
    let writes = before.map(|(_, position)| position.saturating_sub(snapshot.position.number()));
    let mut line = format!("restored snapshot {}: {} documents", one_line(&snapshot.name), snapshot.documents);
    if let (Some((documents, _)), Some(writes)) = (before, writes) {
        line.push_str(&format!("; before, the index had {documents} documents; {writes} later writes were undone"));
    }
    match &kept {
        Some(Ok(kept)) => line.push_str(&format!(" (the previous state is kept in snapshot {})", kept.name)),
        Some(Err(error)) => eprintln!("note: the previous state could not be kept: {}", one_line(&error.to_string())),
        None => {}
    }
    let kept = kept.and_then(Result::ok).map(|kept| kept.name);
    let SnapshotInfo { documents, bytes, created_at, .. } = snapshot;
    let object = json!({
        "name": name, "created_at": time_text(created_at), "documents": documents, "bytes": bytes,
        "documents_before": before.map(|(documents, _)| documents), "writes_left_behind": writes, "kept_as": kept,
    });
    context.say(line, &object)
}

/// Restores a snapshot of an index that does not open. Its state cannot be kept.
async fn restore_damaged(recovery: &Recovery, error: &persistence::Error, name: &str, context: &Context) -> Result<()> {
    let snapshot = recovery.restore_snapshot(name).await?;
    eprintln!("note: the previous state could not be kept: {}", one_line(&error.to_string()));
    let line = format!("restored snapshot {}: {} documents", one_line(&snapshot.name), snapshot.documents);
    let SnapshotInfo { documents, bytes, created_at, .. } = snapshot;
    let object = json!({
        "name": name, "created_at": time_text(created_at), "documents": documents, "bytes": bytes,
        "documents_before": null, "writes_left_behind": null, "kept_as": null,
    });
    context.say(line, &object)
}

/// Keeps the current state in a snapshot named after the time. If the current state cannot be read,
/// that error is returned as a value, because the restore can only improve matters.
async fn keep(engine: &Engine) -> Result<Result<SnapshotInfo, persistence::Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let name = format!("before-restore-{}", time_text(Timestamp(i64::try_from(now).unwrap_or(i64::MAX))));
    match engine.create_snapshot(&name).await {
        Ok(kept) => Ok(Ok(kept)),
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Lost) => Ok(Err(error)),
        Err(error) => {
            let hint = "restore with --discard to skip the snapshot of the current state";
            Err(Failure::from(error).at("the current state could not be kept").hint(hint))
        }
    }
}

pub(crate) async fn delete(arguments: SnapshotArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    engine.delete_snapshot(&arguments.name).await?;
    engine.close().await;
    let line = format!("deleted snapshot {}", one_line(&arguments.name));
    context.say(line, &json!({ "deleted": arguments.name }))
}

pub(crate) async fn list(arguments: ReportArguments, context: &Context) -> Result<()> {
    let listed = match arguments.at.open_for_recovery(context).await? {
        Opened::Engine(engine) => engine.snapshots().await?,
        Opened::Recovery(recovery, error) => {
            let list = recovery.snapshots().await?;
            eprintln!("note: the index is damaged: {}", one_line(&error.to_string()));
            if list.unreadable > 0 {
                eprintln!("note: {} more snapshots cannot be read", list.unreadable);
            }
            list.snapshots
        }
    };
    let snapshots: Vec<SnapshotJson> = listed.into_iter().map(SnapshotJson::from).collect();
    if context.json {
        return print_json(&ListJson { snapshots });
    }
    let line = |snapshot: &SnapshotJson| {
        let SnapshotJson { name, created_at, documents, bytes } = snapshot;
        format!("{created_at}  {documents} documents  {bytes} bytes  {}\n", one_line(name))
    };
    print(&snapshots.iter().map(line).collect::<String>())
}

impl From<SnapshotInfo> for SnapshotJson {
    fn from(snapshot: SnapshotInfo) -> Self {
        Self {
            name: snapshot.name,
            created_at: time_text(snapshot.created_at),
            documents: snapshot.documents,
            bytes: snapshot.bytes,
        }
    }
}
