use clap::Args;

use super::StoreArguments;
use crate::store_name::StoreName;

#[derive(Debug, Args)]
pub(crate) struct RepairArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Archive, or copy of the store, from which lost objects and documents are put back; can be
    /// repeated
    #[arg(long = "from", value_name = "FILE.car|STORE")]
    pub(crate) from: Vec<StoreName>,
    /// Report what would be repaired, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GcArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Keep what may have been stored within this time, because another process may be about to use
    /// it [default: 0 for a folder, 86400 for NATS]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u32>,
    /// Report what would be removed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
