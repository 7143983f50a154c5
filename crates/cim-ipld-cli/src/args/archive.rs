use std::path::PathBuf;

use clap::Args;

use super::{BucketArguments, StoreArguments};
use crate::store_name::StoreName;

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// File to create, or - for standard output; an existing file is never overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Export the state of this snapshot instead of the current state with all snapshots
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<String>,
    /// Leave out what this earlier archive of the index holds; the import then needs both; can be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Archive written by `cim export`, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Earlier archive that was given to `cim export --since`; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) buckets: BucketArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Empty store for the copy; the connection options apply to both stores
    #[arg(value_name = "TO")]
    pub(crate) to: StoreName,
    /// Copy the state of this snapshot instead of the current state with all snapshots
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<String>,
    #[command(flatten)]
    pub(crate) buckets: BucketArguments,
}
