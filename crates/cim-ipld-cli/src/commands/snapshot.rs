use cim_ipld::index::Timestamp;
use cim_ipld::persistence::SnapshotInfo;
use serde::Serialize;
use serde_json::json;

use crate::args::{ReportArguments, SnapshotArguments};
use crate::context::Context;
use crate::document_json::time_text;
use crate::failure::Result;
use crate::output::{one_line, print, print_json};

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

pub(crate) async fn restore(arguments: SnapshotArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let snapshot = engine.restore_snapshot(&arguments.name).await?;
    engine.close().await;
    let line = format!("restored snapshot {}: {} documents", one_line(&snapshot.name), snapshot.documents);
    context.say(line, &SnapshotJson::from(snapshot))
}

pub(crate) async fn delete(arguments: SnapshotArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    engine.delete_snapshot(&arguments.name).await?;
    engine.close().await;
    let line = format!("deleted snapshot {}", one_line(&arguments.name));
    context.say(line, &json!({ "deleted": arguments.name }))
}

pub(crate) async fn list(arguments: ReportArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let snapshots: Vec<SnapshotJson> = engine.snapshots().await?.into_iter().map(SnapshotJson::from).collect();
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
            created_at: time_text(Timestamp(snapshot.created_at_ms)),
            documents: snapshot.documents,
            bytes: snapshot.bytes,
        }
    }
}
