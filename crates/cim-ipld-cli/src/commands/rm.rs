use super::get::missing;
use crate::args::RmArguments;
use crate::failure::Result;
use crate::output::print_line;
use crate::pins::Pins;

pub(crate) async fn run(arguments: RmArguments, pins: &Pins) -> Result<()> {
    let engine = arguments.at.open(pins).await?;
    let cids = std::slice::from_ref(&arguments.cid);
    if engine.documents(cids).await?.iter().flatten().next().is_none() {
        return Err(missing(&arguments.cid));
    }
    engine.delete(cids).await?;
    engine.close().await;
    print_line(format!("removed {}", arguments.cid))
}
