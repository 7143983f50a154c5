//! Failures of the program: what happened and what to do.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use cim_ipld::persistence::ErrorKind;
use cim_ipld::{backend, envelope, persistence};
use serde_json::json;

use crate::secrets::redacted;
use crate::shown::one_line;
use crate::status::Status;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// A failure: what happened, and a hint on what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: String,
    status: Status,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(Status::Failed, message, hint)
    }

    pub(crate) fn of(status: Status, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), status }
    }

    /// Creates a failure for an invalid command line.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(Status::Usage, message, hint)
    }

    /// Prefixes the message with the affected object.
    #[must_use]
    pub(crate) fn at(mut self, place: impl Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Replaces the hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn print(&self) {
        let (message, hint) = (one_line(&redacted(&self.message)), one_line(&redacted(&self.hint)));
        let text = if AS_JSON.load(Ordering::Relaxed) {
            let (kind, status) = (self.status.name(), self.status.code());
            let error = json!({ "error": { "kind": kind, "message": message, "hint": hint, "status": status } });
            format!("{error}\n")
        } else {
            format!("error: {message}\nhint: {hint}\n")
        };
        // Ignored if standard error is closed.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    #[must_use]
    pub(crate) fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn is(&self, status: Status) -> bool {
        self.status == status
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status.code())
    }
}

/// Whether failures are printed as JSON, including those of parsing the command line and panics.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Makes failures print as JSON if the command line contains `--json`, even if it is otherwise
/// invalid.
pub(crate) fn choose_form(arguments: impl IntoIterator<Item = OsString>) {
    let asked = arguments.into_iter().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    AS_JSON.store(asked, Ordering::Relaxed);
}

/// The hint if there is no index.
pub(crate) const NO_INDEX: &str = "check STORE, or create the index with `cim init`";

impl From<persistence::Error> for Failure {
    fn from(error: persistence::Error) -> Self {
        let by_kind = match error.kind() {
            ErrorKind::NoIndex => NO_INDEX,
            ErrorKind::IndexExists => "use the existing index, or choose another STORE",
            ErrorKind::KeyRequired => {
                "give its key with --key-file FILE, or its passphrase with --passphrase-file FILE"
            }
            ErrorKind::WrongKey => {
                "give the current key or passphrase file: the one with which the index was created, or the new one of its \
                 last rotation"
            }
            ErrorKind::NotEncrypted => {
                "if the index used to be encrypted, the store was replaced: restore a backup; leave out --key-file, \
                 --passphrase-file and CIM_KEY_FILE only if you know that the index was created as plaintext"
            }
            ErrorKind::Damaged | ErrorKind::Lost => "run `cim verify` to see what is affected, then `cim repair`",
            ErrorKind::UnsupportedVersion => "use a version of cim at least as new as the one that wrote it",
            ErrorKind::KeyRotated => "run the command again with the new key",
            ErrorKind::Rollback => {
                "find out why the store holds an older state; if that is intended, accept it with `cim pin accept`"
            }
            ErrorKind::Forked => {
                "find out who changed or copied the store, and which history is right; if it is the one in the store, \
                 accept it with `cim pin accept`"
            }
            ErrorKind::PinUnavailable => "check the pin file, choose another one with --pin FILE, or use --no-pin",
            ErrorKind::QueryTooExpensive => {
                "simplify the part of the query named in the message, or raise --max-work or --deadline"
            }
            ErrorKind::SnapshotMissing => "list the snapshots with `cim snapshot list`",
            _ => error.hint(),
        };
        let hint = error.own_hint().unwrap_or(by_kind);
        Self::of(error.kind().into(), error.to_string(), hint)
    }
}

impl From<backend::Error> for Failure {
    fn from(error: backend::Error) -> Self {
        persistence::Error::from(error).into()
    }
}

impl From<envelope::Error> for Failure {
    fn from(error: envelope::Error) -> Self {
        let mut hint = error.hint().to_owned();
        if error.kind() == envelope::ErrorKind::KeyFilePermissions {
            hint.push_str(
                "; for a secret mounted into a container, use --key-group-may-read or pass it through /dev/stdin",
            );
        }
        Self::of(Status::Key, error.to_string(), hint)
    }
}
