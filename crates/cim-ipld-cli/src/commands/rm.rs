use serde_json::json;

use super::get::missing;
use crate::args::RmArguments;
use crate::context::Context;
use crate::failure::Result;

pub(crate) async fn run(arguments: RmArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let cids = std::slice::from_ref(&arguments.cid);
    if engine.documents(cids).await?.iter().flatten().next().is_none() {
        return Err(missing(&arguments.cid));
    }
    engine.delete(cids).await?;
    engine.close().await;
    context.say(format!("removed {}", arguments.cid), &json!({ "removed": arguments.cid.to_string() }))
}
