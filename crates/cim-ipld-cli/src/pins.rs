//! Pins: the newest state of an index, recorded on this machine outside its store.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use cim_ipld::persistence::{FilePin, PinStore, content_cid};

use crate::args::PinArguments;
use crate::failure::{Failure, Result};
use crate::place::Place;
use crate::status::Status;

/// Where pins are stored, if anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pins {
    /// The command line disables them.
    Refused,
    /// The command line names the file.
    File(PathBuf),
    /// One file per location of a store.
    Folder(PathBuf),
    /// The environment does not name a state folder.
    Homeless { verbose: bool },
}

impl Pins {
    /// Returns where the options say that pins are stored, or otherwise the state folder named by
    /// the environment.
    pub(crate) fn chosen(arguments: &PinArguments, verbose: bool) -> Result<Self> {
        choose(arguments, verbose, |name| std::env::var_os(name))
    }

    /// Returns the pin of the index at `place`, or `None` if pins are not stored.
    pub(crate) fn of(&self, place: &Place) -> Option<FilePin> {
        match self {
            Self::Refused => None,
            Self::File(file) => Some(FilePin::new(file)),
            Self::Folder(folder) => match std::fs::create_dir_all(folder) {
                // The folder belongs to another user or is on a read-only file system, so no pin
                // can be stored in it.
                Err(error) if is_out_of_reach(error.kind()) => {
                    eprintln!("note: no pin is stored: {}: {error}", folder.display());
                    None
                }
                _ => Some(FilePin::new(folder.join(file_name(place)))),
            },
            Self::Homeless { verbose } => {
                if *verbose {
                    eprintln!("note: no pin is stored: neither XDG_STATE_HOME nor HOME is set");
                }
                None
            }
        }
    }

    /// Returns the pin of the index at `place` for a command that shows, replaces or deletes it.
    pub(crate) fn required(&self, place: &Place) -> Result<FilePin> {
        self.of(place).ok_or_else(|| match self {
            Self::Refused => Failure::usage("the command needs a pin, but --no-pin is given", "leave out --no-pin"),
            Self::Folder(_) => {
                Failure::usage("the folder for pins cannot be created", "name a writable file with --pin FILE")
            }
            _ => Failure::usage(
                "there is no folder for pins: neither XDG_STATE_HOME nor HOME is set",
                "set one of them, or name a file with --pin FILE",
            ),
        })
    }
}

/// Checks that the pin can be read, and creates its folder, before the index is created.
pub(crate) fn prepare(pin: &FilePin) -> Result<()> {
    pin.load().map_err(|error| unavailable(&error.to_string()))?;
    match pin.path().parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|error| not_at(folder, &error)),
        None => Ok(()),
    }
}

/// Deletes a pin and returns whether there was one. A file that is not a pin is kept.
pub(crate) fn forget(pin: &FilePin) -> Result<bool> {
    pin.load().map_err(|error| unavailable(&error.to_string()))?;
    match std::fs::remove_file(pin.path()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(not_at(pin.path(), &error)),
    }
}

fn not_at(path: &Path, error: &io::Error) -> Failure {
    unavailable(&format!("{}: {error}", path.display()))
}

fn is_out_of_reach(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn unavailable(message: &str) -> Failure {
    let hint = "check the pin file, choose another one with --pin FILE, or use --no-pin";
    Failure::of(Status::History, format!("the pin cannot be accessed: {message}"), hint)
}

fn choose(arguments: &PinArguments, verbose: bool, variable: impl Fn(&str) -> Option<OsString>) -> Result<Pins> {
    // The XDG base directory specification: a path that is not absolute is ignored.
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (&arguments.pin, arguments.no_pin) {
        (Some(_), true) => {
            Err(Failure::usage("--pin and --no-pin exclude each other", "leave out one of them; see `cim --help`"))
        }
        (Some(file), false) => Ok(Pins::File(file.clone())),
        (None, true) => Ok(Pins::Refused),
        (None, false) => {
            let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
            Ok(state.map_or(Pins::Homeless { verbose }, |state| Pins::Folder(state.join("cim"))))
        }
    }
}

/// Returns the name of a pin file: a hash of the location of the index, independent of the spelling
/// of STORE.
fn file_name(place: &Place) -> String {
    format!("{}.pin", content_cid(&location(place)))
}

fn location(place: &Place) -> Vec<u8> {
    match place {
        Place::Folder(folder) => [b"file:", canonical(folder).as_os_str().as_encoded_bytes()].concat(),
        Place::Nats { servers, index } => {
            let mut servers: Vec<String> = servers.addresses().map(with_port).collect();
            servers.sort();
            servers.dedup();
            format!("nats:{}/{}", servers.join(","), index.as_str().unwrap_or_default()).into_bytes()
        }
    }
}

/// Returns the absolute path, with symbolic links resolved as far as it exists.
fn canonical(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    for existing in absolute.ancestors() {
        if let (Ok(found), Ok(rest)) = (existing.canonicalize(), absolute.strip_prefix(existing)) {
            // Joining an empty path would add a separator.
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    absolute
}

fn with_port(address: &str) -> String {
    const DEFAULT: &str = "4222";
    let address = address.to_ascii_lowercase();
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port { address } else { format!("{address}:{DEFAULT}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store_name::StoreName;

    fn at(store: &str) -> Vec<u8> {
        location(
            &store
                .parse::<StoreName>()
                .expect("anything is taken")
                .place(&crate::args::NatsArguments::default())
                .expect("a store"),
        )
    }

    #[test]
    fn options_come_before_the_environment() {
        let folder = |path: &str| Some(Pins::Folder(path.into()));
        // --pin, --no-pin, XDG_STATE_HOME, HOME; `None` if refused.
        for (pin, no_pin, state, home, expected) in [
            (None, false, Some("/state"), Some("/ann"), folder("/state/cim")),
            (None, false, None, Some("/ann"), folder("/ann/.local/state/cim")),
            (None, false, Some(""), Some("/ann"), folder("/ann/.local/state/cim")),
            (None, false, Some("state"), Some("/ann"), folder("/ann/.local/state/cim")),
            (None, false, None, None, Some(Pins::Homeless { verbose: false })),
            (None, false, Some(""), Some(""), Some(Pins::Homeless { verbose: false })),
            (None, true, Some("/state"), None, Some(Pins::Refused)),
            (Some("a.pin"), false, Some("/state"), None, Some(Pins::File("a.pin".into()))),
            (Some("a.pin"), true, Some("/state"), None, None),
        ] {
            let arguments = PinArguments { pin: pin.map(PathBuf::from), no_pin };
            let variable = |name: &str| if name == "HOME" { home } else { state }.map(OsString::from);
            assert_eq!(choose(&arguments, false, variable).ok(), expected, "{pin:?} {no_pin} {state:?} {home:?}");
        }
    }

    #[test]
    fn a_location_is_the_same_however_it_is_spelled() {
        for (one, other) in [
            ("nats://localhost:4222", "nats://LOCALHOST/"),
            ("nats://ann:s3cret@localhost:4222/notes", "tls://localhost/notes"),
            ("nats://b:1,a", "nats://a:4222,ann:s3cret@b:1"),
            ("nats://[::1]", "nats://[::1]:4222"),
            ("file:.", "file:../cim-ipld-cli"),
        ] {
            assert_eq!(at(one), at(other), "{one} {other}");
        }
        for (one, other) in [
            ("nats://localhost", "nats://localhost/notes"),
            ("nats://localhost", "nats://localhost:4223"),
            ("file:a", "file:b"),
        ] {
            assert_ne!(at(one), at(other), "{one} {other}");
        }
        assert!(!String::from_utf8_lossy(&at("nats://ann:s3cret@localhost")).contains("s3cret"));
    }

    #[test]
    fn a_folder_has_the_same_location_before_and_after_it_is_made() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = format!("file:{}", folder.path().join("store").display());
        let before = at(&store);
        std::fs::create_dir(folder.path().join("store")).expect("the folder is made");
        assert_eq!(at(&store), before);
        assert_eq!(at(&format!("{store}/../store/")), before);
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(folder.path().join("store"), &link).expect("the link is made");
            assert_eq!(at(&format!("file:{}", link.display())), before);
        }
    }
}
