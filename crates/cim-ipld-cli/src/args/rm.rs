//! The arguments of `cim rm`.

use std::path::PathBuf;

use cim_ipld::Cid;
use cim_ipld::index::content_id;
use clap::{ArgGroup, Args};

use super::StoreArguments;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct RmArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// CID of the document, also as ipfs://CID or gateway URL
    #[arg(value_name = "CID", value_parser = content_id::parse, group = "what")]
    pub(crate) cids: Vec<Cid>,
    /// Remove the file at this path, or the files below it; a document with other paths remains
    #[arg(long, value_name = "P", group = "what")]
    pub(crate) path: Option<PathBuf>,
    /// Remove the documents that match the query
    #[arg(long, value_name = "Q", group = "what", allow_hyphen_values = true)]
    pub(crate) query: Option<String>,
    /// Report what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
