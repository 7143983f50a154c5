use cim_ipld::persistence::{ErrorKind, PinInfo};
use serde::Serialize;
use serde_json::json;

use crate::args::{ForgetArguments, ReportArguments, StoreArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::pins;
use crate::shown::one_line;
use crate::status::Status;

/// The object of `pin show --json`. Without a pin, everything but the file is `null`.
#[derive(Debug, Serialize)]
struct PinJson {
    generation: Option<u64>,
    position: Option<u64>,
    keyset_generation: Option<u64>,
    file: String,
}

/// Prints the pin without comparing the store with it, so that it works for a refused store.
pub(crate) async fn show(arguments: ReportArguments, context: &Context) -> Result<()> {
    let place = arguments.at.place()?;
    let pin = context.pins.required(&place)?;
    let file = pin.path().display().to_string();
    let key = arguments.at.key(context)?;
    let info = place
        .existing(Some(pin), &arguments.at.nats, context)
        .await?
        .read_pin(key)
        .await
        .map_err(|error| place.failed(error))?;
    if context.json { print_json(&PinJson::new(info, file)) } else { print(&render(info, &file)) }
}

pub(crate) async fn accept(arguments: StoreArguments, context: &Context) -> Result<()> {
    let place = arguments.place()?;
    let pin = context.pins.required(&place)?;
    let file = one_line(&pin.path().display().to_string());
    let key = arguments.key(context)?;
    let opened = place.existing(Some(pin), &arguments.nats, context).await?.accept_store().open(key).await;
    let engine = opened.map_err(|error| {
        let contradicts = matches!(error.kind(), ErrorKind::Rollback | ErrorKind::Forked);
        let failure = place.failed(error);
        // The pin was ignored, so the store itself is inconsistent.
        if contradicts {
            failure.hint("the store is inconsistent, regardless of the pin: restore a backup")
        } else {
            failure
        }
    })?;
    engine.close().await;
    context.say(
        format!("accepted {place} in its current state, which is recorded in {file}"),
        &json!({ "store": place.to_string(), "file": file }),
    )
}

pub(crate) fn forget(arguments: ForgetArguments, context: &Context) -> Result<()> {
    let place = arguments.store.place(&arguments.nats)?;
    let pin = context.pins.required(&place)?;
    let file = one_line(&pin.path().display().to_string());
    match pins::forget(&pin)? {
        true => context
            .say(format!("deleted the pin of {place}: {file}"), &json!({ "store": place.to_string(), "file": file })),
        false => Err(Failure::of(
            Status::NotFound,
            format!("{place} has no pin: there is no {file}"),
            "check STORE and --pin FILE",
        )),
    }
}

impl PinJson {
    fn new(info: Option<PinInfo>, file: String) -> Self {
        Self {
            generation: info.map(|info| info.generation),
            position: info.map(|info| info.position.number()),
            keyset_generation: info.map(|info| info.keyset_generation),
            file,
        }
    }
}

fn render(info: Option<PinInfo>, file: &str) -> String {
    let file = one_line(file);
    let Some(info) = info else { return format!("no pin: there is no {file}\n") };
    let lines = [
        ("generation", info.generation.to_string()),
        ("position", info.position.number().to_string()),
        ("keyset generation", info.keyset_generation.to_string()),
        ("file", file),
    ];
    lines.into_iter().map(|(name, value)| format!("{name:<17} {value}\n")).collect()
}
