//! One module a command.

mod get;
mod ignored;
mod index;
mod init;
mod key;
mod pin;
mod rm;
mod search;
mod snapshot;
mod stats;
mod verify;

use crate::args::{Command, KeyCommand, PinCommand, SnapshotCommand};
use crate::failure::Result;
use crate::pins::Pins;

pub(crate) async fn run(command: Command, pins: &Pins) -> Result<()> {
    match command {
        Command::Init(arguments) => init::run(arguments, pins).await,
        Command::Index(arguments) => index::run(arguments, pins).await,
        Command::Search(arguments) => search::run(arguments, pins).await,
        Command::Get(arguments) => get::run(arguments, pins).await,
        Command::Rm(arguments) => rm::run(arguments, pins).await,
        Command::Stats(arguments) => stats::run(arguments, pins).await,
        Command::Verify(arguments) => verify::run(arguments, pins).await,
        Command::Snapshot(SnapshotCommand::Create(arguments)) => snapshot::create(arguments, pins).await,
        Command::Snapshot(SnapshotCommand::Restore(arguments)) => snapshot::restore(arguments, pins).await,
        Command::Snapshot(SnapshotCommand::Delete(arguments)) => snapshot::delete(arguments, pins).await,
        Command::Snapshot(SnapshotCommand::List(arguments)) => snapshot::list(arguments, pins).await,
        Command::Key(KeyCommand::Generate(arguments)) => key::generate(arguments),
        Command::Key(KeyCommand::Rotate(arguments)) => key::rotate(arguments, pins).await,
        Command::Key(KeyCommand::List(arguments)) => key::list(arguments, pins).await,
        Command::Pin(PinCommand::Show(arguments)) => pin::show(arguments, pins).await,
        Command::Pin(PinCommand::Accept(arguments)) => pin::accept(arguments, pins).await,
        Command::Pin(PinCommand::Forget(arguments)) => pin::forget(arguments, pins),
    }
}
