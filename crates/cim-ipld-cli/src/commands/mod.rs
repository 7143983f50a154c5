//! The commands, one module each.

mod archive;
mod drop;
mod gc;
mod get;
mod ignored;
mod index;
mod init;
mod key;
mod ls;
mod pin;
mod repair;
mod rm;
mod search;
mod snapshot;
mod stats;
mod verify;

use crate::args::{Command, KeyCommand, PinCommand, SnapshotCommand};
use crate::context::Context;
use crate::failure::Result;

pub(crate) async fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Init(arguments) => init::run(arguments, context).await,
        Command::Index(arguments) => index::run(arguments, context).await,
        Command::Search(arguments) => search::run(arguments, context).await,
        Command::Get(arguments) => get::run(arguments, context).await,
        Command::Rm(arguments) => rm::run(arguments, context).await,
        Command::Stats(arguments) => stats::run(arguments, context).await,
        Command::Verify(arguments) => verify::run(arguments, context).await,
        Command::Repair(arguments) => repair::run(arguments, context).await,
        Command::Gc(arguments) => gc::run(arguments, context).await,
        Command::Snapshot(SnapshotCommand::Create(arguments)) => snapshot::create(arguments, context).await,
        Command::Snapshot(SnapshotCommand::Restore(arguments)) => snapshot::restore(arguments, context).await,
        Command::Snapshot(SnapshotCommand::Delete(arguments)) => snapshot::delete(arguments, context).await,
        Command::Snapshot(SnapshotCommand::List(arguments)) => snapshot::list(arguments, context).await,
        Command::Export(arguments) => archive::export(arguments, context).await,
        Command::Import(arguments) => archive::import(arguments, context).await,
        Command::Copy(arguments) => archive::copy(arguments, context).await,
        Command::Ls(arguments) => ls::run(arguments, context).await,
        Command::Drop(arguments) => drop::run(arguments, context).await,
        Command::Key(KeyCommand::Generate(arguments)) => key::generate(arguments, context),
        Command::Key(KeyCommand::Rotate(arguments)) => key::rotate(arguments, context).await,
        Command::Key(KeyCommand::List(arguments)) => key::list(arguments, context).await,
        Command::Pin(PinCommand::Show(arguments)) => pin::show(arguments, context).await,
        Command::Pin(PinCommand::Accept(arguments)) => pin::accept(arguments, context).await,
        Command::Pin(PinCommand::Forget(arguments)) => pin::forget(arguments, context),
    }
}
