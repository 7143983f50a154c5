//! The command line as it is typed.

mod nats;

use std::path::PathBuf;

use cim_ipld::Cid;
use cim_ipld::envelope::EncryptionAlgorithm;
use cim_ipld::index::AnalyzerSpec;
use cim_ipld::index::content_id;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use nats::{BucketArguments, NatsArguments, Storage};

use crate::status::Status;
use crate::store_name::StoreName;

/// Index, search and manage encrypted cim-ipld stores.
///
/// STORE is file:FOLDER or nats://HOST:PORT[/INDEX]; of a cluster several servers can be named,
/// with commas between. Each command's --help says how to connect with a credentials file
/// (--creds), an own CA (--tls-ca) or a client certificate (--tls-cert).
#[derive(Debug, Parser)]
#[command(name = "cim", version, max_term_width = 100, after_help = Status::table())]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    #[command(flatten)]
    pub(crate) pin: PinArguments,
    /// Print one JSON object, on failure on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long to wait for a folder that another process has open
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 0, hide_default_value = true)]
    pub(crate) wait: u32,
    /// Take key and passphrase files that their group can read, as containers mount secrets
    #[arg(long, global = true)]
    pub(crate) key_group_may_read: bool,
    /// Name on standard error what is done without or passed over
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// Where this machine remembers the newest state of each index, so that an older one is refused.
#[derive(Debug, Args)]
pub(crate) struct PinArguments {
    /// Remember nothing of the index on this machine, and do not check it against what is
    /// remembered
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
    /// Print a document as it was indexed
    Get(GetArguments),
    /// Remove a document
    Rm(RmArguments),
    /// Print figures of the index
    Stats(ReportArguments),
    /// Read and check everything that the index consists of
    Verify(ReportArguments),
    /// Create, list, restore and delete named backups
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Generate keys, and rotate or list the keys of an index
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show, accept anew or forget what this machine remembers of an index
    #[command(subcommand)]
    Pin(PinCommand),
}

/// The query language in short; docs/search.md has all of it.
const QUERY_LANGUAGE: &str = "\
Query language (any text is a query; quote it for the shell):
  whale ship            either; what has both ranks higher
  whale AND ship        both; also +whale +ship
  whale -ship           the first without the second; also NOT
  \"white whale\"         these words in this order; \"white whale\"~2 with up to two between
  whal*  *hale  wh?le   wildcards; \"white wha*\" ends in one
  whele~  whele~2       one or two letters may differ
  title:whale           in a field: title, author, text
  tag:sea  type:text/*  filters, wanted beside words
  size:>=100            numbers; created:2024-02, modified:[2024-01-15 TO *] dates (UTC)
  title:*               has a title; so with every field
  lang:en               an attribute; without documents that have it, plain text
  (a OR b) AND c        groups; tag:(red OR blue)
  whale^2 ship          counts double
  C\\+\\+  \"localhost:80\"  a backslash or quotes make signs plain";

/// An index, and what opens it.
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
    /// What seals the index [default: the key's own algorithm, or aes-256-gcm for a passphrase]
    #[arg(long, value_enum)]
    pub(crate) algorithm: Option<Algorithm>,
    /// Store everything unencrypted
    #[arg(long, conflicts_with_all = ["algorithm", "key_file", "passphrase_file"])]
    pub(crate) plaintext: bool,
    /// Languages whose words are found in all their forms, such as en,de; `help` lists them
    /// [default: none]
    #[arg(long = "language", value_name = "CODES", default_value = "", hide_default_value = true)]
    pub(crate) languages: AnalyzerSpec,
    /// Leave out the most frequent words of the languages
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
    /// How to read the paths; auto reads *.jsonl, *.ndjson and - as JSON lines, everything else as
    /// files
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// The most documents that are stored together, all or none
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
    /// Words are alternatives; `a AND b` wants both; the language is below
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    pub(crate) query: String,
    /// Only documents with this tag; every tag given must be there
    #[arg(long = "tag", value_name = "T")]
    pub(crate) tags: Vec<String>,
    /// Only documents of this type, such as text/html or image/*, or of another one given
    #[arg(long = "type", value_name = "T")]
    pub(crate) types: Vec<String>,
    /// The most hits to print
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
    /// How many of the best hits to leave out
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: usize,
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Names the document; ipfs://CID and the URL of a gateway are read too
    #[arg(value_name = "CID", value_parser = content_id::parse)]
    pub(crate) cid: Cid,
}

#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    /// Names the document; ipfs://CID and the URL of a gateway are read too
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
    /// Keep what the index holds now under a name
    Create(SnapshotArguments),
    /// Make the index what it was when the snapshot was made
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
    /// Names the snapshot
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    pub(crate) snapshot: SnapshotArguments,
    /// Do not keep the present state in a snapshot named before-restore-TIME
    #[arg(long)]
    pub(crate) discard: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write a new random key to a new file that only you can read
    Generate(GenerateArguments),
    /// Let another key or passphrase open the index, and the present one no more
    Rotate(RotateArguments),
    /// List what opens the index and what seals it; never the keys themselves
    List(ReportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// The file to make; one that exists is never overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What the key is for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: Algorithm,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    #[command(flatten)]
    pub(crate) at: StoreArguments,
    #[command(flatten)]
    pub(crate) new: NewKeyArguments,
    /// What seals the index from now on [default: the new key's own, or the present one for a
    /// passphrase]
    #[arg(long, value_enum, conflicts_with = "finish")]
    pub(crate) algorithm: Option<Algorithm>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewKeyArguments {
    /// File with the key that opens the index from now on
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// File with the passphrase that opens the index from now on
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Finish a rotation that was cut off; the index opens with the new key already
    #[arg(long)]
    pub(crate) finish: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Print what the pin of an index remembers
    Show(ReportArguments),
    /// Accept the state that STORE shows now, whatever the pin remembers, and pin it
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
