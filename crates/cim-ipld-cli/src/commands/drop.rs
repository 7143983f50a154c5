use cim_ipld::persistence::FilePin;
use serde_json::json;

use crate::args::DropArguments;
use crate::context::Context;
use crate::failure::{Failure, NO_INDEX, Result};
use crate::pins;
use crate::place::Place;
use crate::status::Status;

pub(crate) async fn run(arguments: DropArguments, context: &Context) -> Result<()> {
    let place = arguments.store.place(&arguments.nats)?;
    let buckets = own_buckets(&place, &arguments, context).await?;
    let pin = context.pins.of(&place).filter(|pin| pin.path().exists());
    if !arguments.yes {
        let what = what(&place, buckets.as_deref(), pin.as_ref());
        return Err(Failure::usage(
            format!("this would remove {what}"),
            "give --yes to remove it; this cannot be undone",
        ));
    }
    place.remove(buckets.as_deref().unwrap_or_default(), &arguments.nats, context).await?;
    if let Some(pin) = &pin {
        pins::forget(pin)?;
    }
    let object = json!({ "store": place.to_string(), "buckets": buckets, "pin": pin.is_some() });
    context.say(format!("removed {}", what(&place, buckets.as_deref(), pin.as_ref())), &object)
}

/// Returns the buckets of the index, or `None` if the store is too damaged to list them.
async fn own_buckets(place: &Place, arguments: &DropArguments, context: &Context) -> Result<Option<Vec<String>>> {
    let names = match place.bucket_names(&arguments.nats, context).await {
        Err(failure) if failure.is(Status::Damaged) => return Ok(None),
        names => names?,
    };
    let index = place.index();
    let own: Vec<String> =
        index.buckets().iter().map(|bucket| bucket.name().to_owned()).filter(|name| names.contains(name)).collect();
    if own.is_empty() && (matches!(place, Place::Nats { .. }) || !names.is_empty()) {
        return Err(Failure::of(Status::NoIndex, "there is no index", NO_INDEX).at(place));
    }
    if matches!(place, Place::Folder(_)) && own.len() < names.len() {
        let hint = "remove the other buckets with the program that created them, or delete the folder";
        let message = "the folder also holds other buckets, which would be removed with it";
        return Err(Failure::usage(message, hint).at(place));
    }
    Ok(Some(own))
}

fn what(place: &Place, buckets: Option<&[String]>, pin: Option<&FilePin>) -> String {
    let buckets = match buckets {
        Some(buckets) => format!("{} buckets", buckets.len()),
        None => "a damaged store, whose buckets cannot be listed".to_owned(),
    };
    let pin = pin.map_or_else(String::new, |pin| format!(", and its pin {}", pin.path().display()));
    format!("{place}: {buckets}{pin}")
}
