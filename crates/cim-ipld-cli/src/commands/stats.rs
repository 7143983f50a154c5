use std::collections::BTreeMap;

use cim_ipld::index::DocumentKind;
use cim_ipld::persistence::EngineStats;
use serde::Serialize;

use super::ignored::IgnoredJson;
use crate::args::ReportArguments;
use crate::context::Context;
use crate::document_json::kind_name;
use crate::failure::Result;
use crate::output::{print, print_json};

/// The object of `stats --json`.
#[derive(Debug, Serialize)]
struct StatsJson {
    documents: u64,
    by_kind: BTreeMap<&'static str, u64>,
    terms: u64,
    tags: u64,
    types: u64,
    segments: usize,
    segment_bytes: u64,
    memtable_bytes: usize,
    position: u64,
    generation: u64,
    /// `null` for an index that is not encrypted.
    algorithm: Option<&'static str>,
    analyzer: String,
    rotation_unfinished: bool,
    ignored: IgnoredJson,
}

/// The text for an interrupted rotation.
pub(super) const UNFINISHED: &str =
    "unfinished: older data keys are not retired; finish it with `cim key rotate --finish`";

pub(crate) async fn run(arguments: ReportArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let stats = StatsJson::from(&engine.stats().await?);
    if context.json { print_json(&stats) } else { print(&render(&stats)) }
}

impl From<&EngineStats> for StatsJson {
    fn from(stats: &EngineStats) -> Self {
        let by_kind = DocumentKind::ALL.into_iter();
        Self {
            documents: stats.index.documents,
            by_kind: by_kind.map(|kind| (kind_name(kind), stats.index.by_kind[usize::from(kind.code())])).collect(),
            terms: stats.index.terms,
            tags: stats.index.tags,
            types: stats.index.content_types,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            memtable_bytes: stats.memtable_bytes,
            position: stats.applied.number(),
            generation: stats.generation,
            algorithm: stats.algorithm.map(|algorithm| algorithm.as_str()),
            analyzer: stats.analyzer.to_string(),
            rotation_unfinished: stats.rotation_unfinished,
            ignored: stats.ignored.into(),
        }
    }
}

fn render(stats: &StatsJson) -> String {
    let rotation = stats.rotation_unfinished.then(|| UNFINISHED.to_owned());
    let always = [
        ("documents", stats.documents.to_string()),
        ("terms", stats.terms.to_string()),
        ("tags", stats.tags.to_string()),
        ("types", stats.types.to_string()),
        ("segments", format!("{}, {} bytes", stats.segments, stats.segment_bytes)),
        ("memtable", format!("{} bytes", stats.memtable_bytes)),
        ("position", stats.position.to_string()),
        ("generation", stats.generation.to_string()),
        ("encryption", stats.algorithm.unwrap_or("none").to_owned()),
        ("analyzer", stats.analyzer.clone()),
    ];
    let sometimes = [("rotation", rotation), ("ignored", stats.ignored.summary())];
    let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name, value?)));
    always.into_iter().chain(sometimes).map(|(name, value)| format!("{name:<11} {value}\n")).collect()
}
