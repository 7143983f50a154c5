use super::get::missing;
use crate::args::RmArguments;
use crate::failure::Result;
use crate::output::print_line;

pub(crate) async fn run(arguments: RmArguments) -> Result<()> {
    let engine = arguments.at.open().await?;
    let cids = std::slice::from_ref(&arguments.cid);
    if engine.documents(cids).await?.iter().flatten().next().is_none() {
        return Err(missing(&arguments.cid));
    }
    engine.delete(cids).await?;
    print_line(format!("removed {}", arguments.cid))
}
