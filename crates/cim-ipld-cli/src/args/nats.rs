//! The NATS options.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

/// How to connect to a NATS server. Secrets come from files, never from the command line.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "NATS options")]
pub(crate) struct NatsArguments {
    /// Context of the `nats` program to use for the connection; with STORE nats:///INDEX, it also
    /// provides the servers
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Credentials file (.creds)
    #[arg(long, value_name = "FILE", group = "identity")]
    pub(crate) creds: Option<PathBuf>,
    /// File with the seed of an NKey
    #[arg(long, value_name = "FILE", group = "identity")]
    pub(crate) nkey: Option<PathBuf>,
    /// File with a token
    #[arg(long, value_name = "FILE", group = "identity")]
    pub(crate) token_file: Option<PathBuf>,
    /// User name, with --password-file
    #[arg(long, value_name = "NAME", group = "identity", requires = "password_file")]
    pub(crate) user: Option<String>,
    /// File with the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// PEM file of the authorities that sign the certificate of the server
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// PEM file of the client certificate, with --tls-key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file of the private key of the client certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Start TLS before the greeting of the server
    #[arg(long)]
    pub(crate) tls_first: bool,
    /// JetStream domain
    #[arg(long, value_name = "NAME", conflicts_with = "js_api_prefix")]
    pub(crate) js_domain: Option<String>,
    /// Prefix of the JetStream API
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) js_api_prefix: Option<String>,
    /// Prefix of the subjects of replies
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) inbox_prefix: Option<String>,
}

impl NatsArguments {
    /// Returns the files that hold secrets.
    pub(crate) fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.creds, &self.nkey, &self.token_file, &self.password_file, &self.tls_key];
        files.into_iter().flatten().map(PathBuf::as_path)
    }
}

/// The settings of the buckets of a new index on NATS.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "NATS options")]
pub(crate) struct BucketArguments {
    /// Number of replicas of each bucket [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) replicas: Option<u8>,
    /// Where the server stores the buckets; memory does not survive a restart [default: file]
    #[arg(long, value_enum)]
    pub(crate) storage: Option<Storage>,
    /// Maximum size in bytes of each of the five buckets of the index
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_bytes: Option<u64>,
    /// Tags that the servers must have, separated by commas
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) placement_tags: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storage {
    File,
    Memory,
}
