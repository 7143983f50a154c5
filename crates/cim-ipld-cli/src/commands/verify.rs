use cim_ipld::persistence::{Condition, ErrorKind, VerifyReport};
use serde::Serialize;

use super::ignored::IgnoredJson;
use super::stats::UNFINISHED;
use crate::args::ReportArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::shown::one_line;
use crate::status::Status;
use crate::store::Opened;

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
    unnamed: UnnamedJson,
    problems: Vec<ProblemJson>,
}

#[derive(Debug, Serialize)]
struct ProblemJson {
    kind: String,
    message: String,
    /// `null` if the problem is not about one object.
    object: Option<ObjectJson>,
    of_index: bool,
    snapshots: Vec<String>,
    lost_documents: u64,
    recoverable: bool,
}

#[derive(Debug, Serialize)]
struct ObjectJson {
    bucket: String,
    key: String,
}

#[derive(Debug, Serialize)]
struct UnnamedJson {
    objects: u64,
    bytes: u64,
}

pub(crate) async fn run(arguments: ReportArguments, context: &Context) -> Result<()> {
    let report = match arguments.at.open_for_recovery(context).await {
        Ok(Opened::Engine(engine)) => engine.verify().await?,
        Ok(Opened::Recovery(recovery, _)) => recovery.verify().await?,
        Err(failure) if failure.is(Status::Damaged) => return Err(failure.status(Status::Unverified)),
        Err(failure) => return Err(failure),
    };
    if context.json {
        print_json(&VerifyJson::from(&report))?;
    } else {
        print(&render(&report))?;
    }
    let problems = match report.problems.len() {
        0 => return Ok(()),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    Err(match report.condition() {
        Condition::DataLost => {
            let hint = "put back what is lost with `cim repair --from COPY`, or restore a snapshot not named in any \
                        problem; `cim repair` without a copy gives up what is lost";
            Failure::of(Status::DataLost, format!("the index has {problems}, and data is lost"), hint)
        }
        _ => {
            let hint = "run `cim repair STORE`; if there is a copy of the store, add `--from COPY`";
            Failure::of(Status::Damaged, format!("the index has {problems}, and every document can be recovered"), hint)
        }
    })
}

impl From<&VerifyReport> for VerifyJson {
    fn from(report: &VerifyReport) -> Self {
        let problem = |problem: &cim_ipld::persistence::Problem| ProblemJson {
            kind: kind_name(problem.kind),
            message: problem.message.clone(),
            object: problem
                .object
                .as_ref()
                .map(|object| ObjectJson { bucket: object.bucket.clone(), key: object.key.clone() }),
            of_index: problem.of_index,
            snapshots: problem.snapshots.clone(),
            lost_documents: problem.documents,
            recoverable: problem.is_recoverable,
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
            unnamed: UnnamedJson { objects: report.unnamed.objects, bytes: report.unnamed.bytes },
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
    if report.unnamed.objects > 0 {
        let (objects, bytes) = (report.unnamed.objects, report.unnamed.bytes);
        text.push_str(&format!(
            "unreferenced: {objects} objects, {bytes} bytes in total; run `cim gc` to remove them\n"
        ));
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
