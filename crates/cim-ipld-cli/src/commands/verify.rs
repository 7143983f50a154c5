use cim_ipld::persistence::{ErrorKind, VerifyReport};
use serde::Serialize;

use super::ignored::IgnoredJson;
use super::stats::UNFINISHED;
use crate::args::ReportArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::shown::one_line;
use crate::status::Status;

/// The object of `verify --json`.
#[derive(Debug, Serialize)]
struct VerifyJson {
    sound: bool,
    documents: u64,
    segments: u64,
    pages: u64,
    bytes: u64,
    records: u64,
    snapshots: u64,
    rotation_unfinished: bool,
    ignored: IgnoredJson,
    problems: Vec<ProblemJson>,
}

#[derive(Debug, Serialize)]
struct ProblemJson {
    kind: String,
    message: String,
}

pub(crate) async fn run(arguments: ReportArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let report = engine.verify().await?;
    if context.json {
        print_json(&VerifyJson::from(&report))?;
    } else {
        print(&render(&report))?;
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(unsound("1 problem")),
        count => Err(unsound(&format!("{count} problems"))),
    }
}

fn unsound(problems: &str) -> Failure {
    let hint = "restore a backup of the store, or a snapshot not named in any problem; or index the documents again into a new index";
    Failure::of(Status::Damaged, format!("the index has {problems}"), hint)
}

impl From<&VerifyReport> for VerifyJson {
    fn from(report: &VerifyReport) -> Self {
        let problem = |problem: &cim_ipld::persistence::Problem| ProblemJson {
            kind: kind_name(problem.kind),
            message: problem.message.clone(),
        };
        Self {
            sound: report.is_sound(),
            documents: report.documents,
            segments: report.segments,
            pages: report.pages,
            bytes: report.bytes,
            records: report.records,
            snapshots: report.snapshots,
            rotation_unfinished: report.rotation_unfinished,
            ignored: report.ignored.into(),
            problems: report.problems.iter().map(problem).collect(),
        }
    }
}

/// Returns the name of the kind in lower case.
fn kind_name(kind: ErrorKind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn render(report: &VerifyReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&format!("problem: {}\n", one_line(&problem.message)));
    }
    if report.rotation_unfinished {
        text.push_str(&format!("rotation: {UNFINISHED}\n"));
    }
    if let Some(summary) = IgnoredJson::from(report.ignored).summary() {
        text.push_str(&format!("ignored: {summary}\n"));
    }
    text.push_str(&format!(
        "checked {} documents: {} segments, {} pages, {} bytes, {} journal records, {} snapshots: {}\n",
        report.documents,
        report.segments,
        report.pages,
        report.bytes,
        report.records,
        report.snapshots,
        if report.is_sound() { "sound" } else { "not sound" },
    ));
    text
}
