//! One module a command.

mod get;
mod index;
mod init;
mod key;
mod rm;
mod search;
mod snapshot;
mod stats;
mod verify;

use crate::args::{Command, KeyCommand, SnapshotCommand};
use crate::failure::Result;

pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Init(arguments) => init::run(arguments).await,
        Command::Index(arguments) => index::run(arguments).await,
        Command::Search(arguments) => search::run(arguments).await,
        Command::Get(arguments) => get::run(arguments).await,
        Command::Rm(arguments) => rm::run(arguments).await,
        Command::Stats(arguments) => stats::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Snapshot(SnapshotCommand::Create(arguments)) => snapshot::create(arguments).await,
        Command::Snapshot(SnapshotCommand::Restore(arguments)) => snapshot::restore(arguments).await,
        Command::Snapshot(SnapshotCommand::Delete(arguments)) => snapshot::delete(arguments).await,
        Command::Snapshot(SnapshotCommand::List(arguments)) => snapshot::list(arguments).await,
        Command::Key(KeyCommand::Generate(arguments)) => key::generate(arguments),
        Command::Key(KeyCommand::Rotate(arguments)) => key::rotate(arguments).await,
        Command::Key(KeyCommand::List(arguments)) => key::list(arguments).await,
    }
}
