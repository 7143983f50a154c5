use clap::Args;

use super::NatsArguments;
use crate::store_name::StoreName;

#[derive(Debug, Args)]
pub(crate) struct LsArguments {
    /// file:FOLDER or nats://HOST:PORT, without the name of an index
    #[arg(value_name = "STORE")]
    pub(crate) store: StoreName,
    #[command(flatten)]
    pub(crate) nats: NatsArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DropArguments {
    /// file:FOLDER or nats://HOST:PORT[/INDEX]
    #[arg(value_name = "STORE")]
    pub(crate) store: StoreName,
    #[command(flatten)]
    pub(crate) nats: NatsArguments,
    /// Remove the index; without this option, the command only says what it would remove
    #[arg(long)]
    pub(crate) yes: bool,
}
