//! The command-line arguments.

mod archive;
mod indexes;
mod memory;
mod nats;
mod recovery;
mod rm;

use std::path::PathBuf;

use cim_ipld::Cid;
use cim_ipld::envelope::EncryptionAlgorithm;
use cim_ipld::index::AnalyzerSpec;
use cim_ipld::index::content_id;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use archive::{CopyArguments, ExportArguments, ImportArguments};
pub(crate) use indexes::{DropArguments, LsArguments};
pub(crate) use memory::MemorySize;
pub(crate) use nats::{BucketArguments, NatsArguments, Storage};
pub(crate) use recovery::{GcArguments, RepairArguments};
pub(crate) use rm::RmArguments;

use crate::status::Status;
use crate::store_name::StoreName;

/// Index, search and manage encrypted cim-ipld stores.
///
/// STORE is file:FOLDER or nats://HOST:PORT[/INDEX]. Several servers of a cluster are separated by
/// commas. The --help of each command lists the connection options, such as a credentials file
/// (--creds), a private CA (--tls-ca) or a client certificate (--tls-cert).
#[derive(Debug, Parser)]
#[command(name = "cim", version, max_term_width = 100, after_help = Status::table())]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of all commands.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    #[command(flatten)]
    pub(crate) pin: PinArguments,
    /// Print JSON, one object per line; a failure goes to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long to wait if another process has the folder open
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 0, hide_default_value = true)]
    pub(crate) wait: u32,
    /// Memory for the index: buffered documents, cached pages, merges, the store's caches; such as
    /// 64M or 1G [default: 256M]
    #[arg(long, value_name = "SIZE", global = true)]
    pub(crate) memory: Option<MemorySize>,
    /// Accept key and passphrase files that their group can read, such as secrets mounted into
    /// containers
    #[arg(long, global = true)]
    pub(crate) key_group_may_read: bool,
    /// Print more to standard error: the skipped files, the progress of `cim gc`, and a note if no
    /// pin is stored because neither XDG_STATE_HOME nor HOME is set
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// Where this machine records the newest state of each index, so that an older one is refused.
#[derive(Debug, Args)]
pub(crate) struct PinArguments {
    /// Neither record the state of the index on this machine nor check it
    #[arg(long, global = true)]
    pub(crate) no_pin: bool,
    /// File of the pin [default: one for each STORE in $XDG_STATE_HOME/cim or ~/.local/state/cim]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) pin: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an index
    Init(InitArguments),
    /// Add documents: JSON lines, files, or folders of files
    Index(IndexArguments),
    /// Find documents
    #[command(after_help = QUERY_LANGUAGE)]
    Search(SearchArguments),
    /// Print a document; with --json, all of its fields
    Get(GetArguments),
    /// Remove documents: by CID, by path or by query
    Rm(RmArguments),
    /// Print statistics of the index
    Stats(ReportArguments),
    /// Read and check every object of the index
    Verify(ReportArguments),
    /// Put back or rebuild damaged and lost objects, so that the index opens again
    Repair(RepairArguments),
    /// Remove the objects that interrupted runs left behind
    Gc(GcArguments),
    /// Create, list, restore and delete named snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Write an archive of the index, which any store can import
    Export(ExportArguments),
    /// Create an index from an archive
    Import(ImportArguments),
    /// Copy an index to another store
    Copy(CopyArguments),
    /// List the indexes of a store
    Ls(LsArguments),
    /// Remove an index, with all of its documents and snapshots and its pin
    Drop(DropArguments),
    /// Generate keys, and rotate or list the keys of an index
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show, replace or delete the pin of an index: its state as recorded on this machine
    #[command(subcommand)]
    Pin(PinCommand),
}

/// A summary of the query language. docs/search.md describes it in full.
const QUERY_LANGUAGE: &str = "\
Query language (quote queries for the shell):
  whale ship            either word; documents with both rank higher
  whale AND ship        both words; also +whale +ship
  whale -ship           whale, but not ship; also whale NOT ship
  \"white whale\"         adjacent words in this order; with ~2, up to two words in between
  whal*  *hale  wh?le   wildcards, also in quotes: \"white wha*\"
  whele~  whele~2       one letter, or two, may be wrong, missing or superfluous
  title:whale           only in this field: title, author or text
  tag:sea  type:text/*  filters, which are required in addition to words
  size:>=100            numbers and dates (UTC): created:2024-02, modified:[2024-01-15 TO *]
  title:*               documents that have a title; works for every field
  lang:en               an attribute; plain text if no document has an attribute \"lang\"
  (a OR b) AND c        groups; also within a field: tag:(red OR blue)
  whale^2 ship          whale counts double in the score
  C\\+\\+  \"localhost:80\"  a backslash makes the next character literal; in quotes, only wildcards are operators";

/// An index and its key.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// file:FOLDER or nats://HOST:PORT[/INDEX]
    #[arg(value_name = "STORE")]
    pub(crate) store: StoreName,
    #[command(flatten)]
    pub(crate) key: KeyArguments,
    #[command(flatten)]
    pub(crate) nats: NatsArguments,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct KeyArguments {
    /// File with the key of the index [env: CIM_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the passphrase of the index [env: CIM_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Encryption algorithm [default: that of the key, or aes-256-gcm for a passphrase]
    #[arg(long, value_enum)]
    pub(crate) algorithm: Option<Algorithm>,
    /// Store everything unencrypted
    #[arg(long, conflicts_with_all = ["algorithm", "key_file", "passphrase_file"])]
    pub(crate) plaintext: bool,
    /// Languages, such as en,de, whose words are found in all inflected forms; `help` lists the
    /// languages [default: none]
    #[arg(long = "language", value_name = "CODES", default_value = "", hide_default_value = true)]
    pub(crate) languages: AnalyzerSpec,
    /// Do not index the most frequent words of the languages
    #[arg(long)]
    pub(crate) without_stop_words: bool,
    #[command(flatten)]
    pub(crate) buckets: BucketArguments,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// What to index: files, folders, or - for JSON lines on standard input
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// How to read the paths; auto reads *.jsonl, *.ndjson and - as JSON lines and everything else
    /// as files
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Remove the indexed files that are gone from the PATHs
    #[arg(long)]
    pub(crate) sync: bool,
    /// Read every file and compare its content, instead of skipping files whose size and time are
    /// unchanged
    #[arg(long)]
    pub(crate) checksum: bool,
    /// Maximum number of documents stored together atomically
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) batch: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Auto,
    Jsonl,
    Files,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Query text; words are alternatives, `a AND b` requires both; see the summary below
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    pub(crate) query: String,
    /// Only documents with this tag; if repeated, with all of the tags
    #[arg(long = "tag", value_name = "T")]
    pub(crate) tags: Vec<String>,
    /// Only documents of this type, such as text/html or image/*; if repeated, of any of the types
    #[arg(long = "type", value_name = "T")]
    pub(crate) types: Vec<String>,
    /// Maximum number of hits to print
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Number of best hits to skip
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: usize,
    /// Fail if the search needs more than N units of work
    /// [default: 268435456]
    #[arg(long, value_name = "N")]
    pub(crate) max_work: Option<u64>,
    /// Fail if the search takes longer than this many seconds [default: no limit]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// CID of the document, also as ipfs://CID or gateway URL
    #[arg(value_name = "CID", value_parser = content_id::parse)]
    pub(crate) cid: Cid,
}

/// A command that reports on the whole index.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Create a named snapshot of the index
    Create(SnapshotArguments),
    /// Restore the index to the state of a snapshot
    Restore(RestoreArguments),
    /// Delete a snapshot
    Delete(SnapshotArguments),
    /// List the snapshots, oldest first
    List(ReportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Name of the snapshot
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    pub(crate) snapshot: SnapshotArguments,
    /// Discard the current state instead of keeping it in a snapshot before-restore-TIME
    #[arg(long)]
    pub(crate) discard: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write a random key to a new file that only you can read
    Generate(GenerateArguments),
    /// Replace the key or passphrase of the index
    Rotate(RotateArguments),
    /// List the key slots and the data keys of the index, without key material
    List(ReportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// File to create; an existing file is never overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Encryption algorithm of the key
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: Algorithm,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    #[command(flatten)]
    pub(crate) new: NewKeyArguments,
    /// Encryption algorithm for later writes [default: that of the new key, or the current one for
    /// a passphrase]
    #[arg(long, value_enum, conflicts_with = "finish")]
    pub(crate) algorithm: Option<Algorithm>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewKeyArguments {
    /// File with the new key
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// File with the new passphrase
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Finish an interrupted rotation; give the new key to open the index
    #[arg(long)]
    pub(crate) finish: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Print the state recorded in the pin of an index
    Show(ReportArguments),
    /// Accept and pin the current state of STORE, whatever the pin records
    Accept(StoreArguments),
    /// Delete the pin of an index; the store is not accessed
    Forget(ForgetArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArguments {
    /// file:FOLDER or nats://HOST:PORT[/INDEX]
    #[arg(value_name = "STORE")]
    pub(crate) store: StoreName,
    #[command(flatten)]
    pub(crate) nats: NatsArguments,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    #[default]
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
}

impl From<Algorithm> for EncryptionAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Aes256Gcm => Self::AES256GCM,
            Algorithm::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
            Algorithm::XChaCha20Poly1305 => Self::XChaCha20Poly1305,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
