//! The files of a database, checked before fjall opens it: fjall removes a keyspace whose files are
//! incomplete, and panics if it finds a name that it did not create.

use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use cim_ipld_backend::{Error, ErrorKind, Result};

use crate::error::from_io;

const KEYSPACES: &str = "keyspaces";
const TABLES: &str = "tables";
/// The file of a keyspace that names its current version.
const CURRENT: &str = "current";
/// The keyspace that lists the others.
const META: &str = "0";

/// Refuses a database that fjall would damage further. `data` is its folder.
pub(crate) fn check(data: &Path) -> Result<()> {
    for entry in entries(data)? {
        let name = entry.file_name();
        let journal = Path::new(&name).extension().is_some_and(|extension| extension == "jnl");
        if journal && !is_number(Path::new(&name).file_stem().unwrap_or_default()) {
            return Err(foreign(data, &entry));
        }
    }
    let keyspaces = data.join(KEYSPACES);
    if !keyspaces.join(META).join(CURRENT).is_file() {
        return Err(missing(data, &keyspaces.join(META).join(CURRENT)));
    }
    for entry in entries(&keyspaces)? {
        let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
        if !is_number(&entry.file_name()) || !is_folder {
            return Err(foreign(data, &entry));
        }
        check_keyspace(data, &entry.path())?;
    }
    Ok(())
}

fn check_keyspace(data: &Path, keyspace: &Path) -> Result<()> {
    let current = keyspace.join(CURRENT);
    // Other files may be empty if a process was killed while it wrote them.
    if fs::metadata(&current).is_ok_and(|file| file.len() == 0) {
        let message = format!("the store is damaged: {} is empty, but it had contents", shown(data, &current));
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    let tables = keyspace.join(TABLES);
    let mut count = 0;
    if tables.is_dir() {
        for entry in entries(&tables)? {
            let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
            if is_folder || !is_number(&entry.file_name()) && !is_of_the_system(&entry.file_name()) {
                return Err(foreign(data, &entry));
            }
            count += 1;
        }
    }
    // A keyspace whose creation was interrupted has no tables yet.
    match current.is_file() || count == 0 {
        true => Ok(()),
        false => Err(missing(data, &current)),
    }
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(unreadable)
}

fn is_number(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.parse::<u64>().is_ok_and(|number| number.to_string() == name))
}

/// Returns whether fjall passes over a file of this name.
fn is_of_the_system(name: &OsStr) -> bool {
    name == ".DS_Store" || name.to_string_lossy().starts_with("._")
}

fn unreadable(failure: io::Error) -> Error {
    from_io("reading the folder of the store", failure)
}

fn missing(data: &Path, path: &Path) -> Error {
    let message = format!("the store is damaged: its file {} is missing; nothing was changed", shown(data, path));
    Error::new(ErrorKind::Corrupt, message)
}

fn foreign(data: &Path, entry: &DirEntry) -> Error {
    let message = format!("the folder of the store contains {}, which is not a part of it", shown(data, &entry.path()));
    Error::new(ErrorKind::Corrupt, message).with_hint("move that file or folder somewhere else, then try again")
}

/// Returns a path below the folder of the store.
fn shown(data: &Path, path: &Path) -> String {
    let below = data.parent().and_then(|store| path.strip_prefix(store).ok());
    below.unwrap_or(path).display().to_string()
}
