//! What the program says when it cannot do what was asked.

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

/// Two lines for standard error: what happened, and what to do about it.
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

    /// A command line that asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(Status::Usage, message, hint)
    }

    /// Puts what it is about in front of the message.
    #[must_use]
    pub(crate) fn at(mut self, place: impl Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Says something better to do than the kind of the error alone would suggest.
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
        // Nobody is left to be told when standard error is closed.
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

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status.code())
    }
}

/// Whether failures are printed as JSON: also those of the command line itself, and a bug in any
/// thread.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Prints failures as JSON from now on if the command line asks for that, however wrong it may be
/// otherwise.
pub(crate) fn choose_form(arguments: impl IntoIterator<Item = OsString>) {
    let asked = arguments.into_iter().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    AS_JSON.store(asked, Ordering::Relaxed);
}

/// What to do where there is no index.
pub(crate) const NO_INDEX: &str = "check STORE, or create the index with `cim init`";

impl From<persistence::Error> for Failure {
    fn from(error: persistence::Error) -> Self {
        let by_kind = match error.kind() {
            ErrorKind::NoIndex => NO_INDEX,
            ErrorKind::IndexExists => "use the index that is there, or choose another STORE",
            ErrorKind::KeyRequired => {
                "give its key with --key-file FILE, or its passphrase with --passphrase-file FILE"
            }
            ErrorKind::WrongKey => "give the key or passphrase file that it was created with, or was last rotated to",
            ErrorKind::NotEncrypted => {
                "if it was ever encrypted, it was replaced: restore a backup; leave out --key-file, --passphrase-file and \
                 CIM_KEY_FILE only if you know that it was made plaintext"
            }
            ErrorKind::Damaged | ErrorKind::Lost => "see what is affected with `cim verify`, then restore a backup",
            ErrorKind::UnsupportedVersion => "use a version of cim at least as new as the one that wrote it",
            ErrorKind::KeyRotated => "run the command again with the new key",
            ErrorKind::Rollback => {
                "find out why the store went back; if it did so on purpose, accept what it holds now with `cim pin accept`"
            }
            ErrorKind::Forked => {
                "find out who changed or copied the store, and which history you want; accept the one that is there with \
                 `cim pin accept`"
            }
            ErrorKind::PinUnavailable => {
                "check that file, name another one with --pin FILE, or do without a pin with --no-pin"
            }
            ErrorKind::SnapshotMissing => "see which there are with `cim snapshot list`",
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
                "; a secret that a container mounts is taken with --key-group-may-read, or through /dev/stdin",
            );
        }
        Self::of(Status::Key, error.to_string(), hint)
    }
}
