use std::time::Duration;

use cim_ipld::persistence::{GarbageOptions, GarbageReport};
use serde_json::json;

use crate::args::GcArguments;
use crate::context::Context;
use crate::failure::Result;
use crate::place::Place;

pub(crate) async fn run(arguments: GcArguments, context: &Context) -> Result<()> {
    let mut options = GarbageOptions::default();
    options.dry_run = arguments.dry_run;
    options.grace_period = match (arguments.grace, arguments.at.place()?) {
        (Some(seconds), _) => Duration::from_secs(u64::from(seconds)),
        // No other process has the folder open.
        (None, Place::Folder(_)) => Duration::ZERO,
        (None, Place::Nats { .. }) => options.grace_period,
    };
    let engine = arguments.at.open(context).await?;
    let verbose = context.verbose;
    let progress = |report: &GarbageReport| {
        if verbose {
            eprintln!("examined {} objects, removed {}", report.examined.objects, report.removed.objects);
        }
    };
    let report = engine.collect_garbage(&options, progress).await?;
    engine.close().await;
    let GarbageReport { examined, removed, young, .. } = report;
    let verb = if arguments.dry_run { "would remove" } else { "removed" };
    let mut line = format!("{verb} {} of {} objects, {} bytes", removed.objects, examined.objects, removed.bytes);
    if young.objects > 0 {
        line.push_str(&format!(
            "; kept {} that may be newer than the grace period, {} bytes",
            young.objects, young.bytes
        ));
    }
    let object = json!({
        "examined": { "objects": examined.objects, "bytes": examined.bytes },
        "removed": { "objects": removed.objects, "bytes": removed.bytes },
        "young": { "objects": young.objects, "bytes": young.bytes },
        "dry_run": arguments.dry_run,
    });
    context.say(line, &object)
}
