use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cim_ipld_backend::{Error, ErrorKind, Result};

use crate::clock;
use crate::error::from_io;
use crate::read_only_copy::ReadOnlyCopy;
use crate::structure;

/// The format version that this release writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const DATA_FOLDER: &str = "data";
const FORMAT_NAME: &str = "cim-ipld-embedded";

/// The file by which fjall identifies a database.
const DATABASE_FILE: &str = "version";

/// Names in an otherwise empty folder that do not keep a store from being created in it.
const FILES_OF_SYSTEMS: [&str; 4] = ["lost+found", ".DS_Store", "desktop.ini", "Thumbs.db"];

/// Whether a store may be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Create,
    Existing,
}

/// What a path contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A store whose creation was interrupted or is in progress. It contains no data.
    Unfinished,
    Store,
}

/// The folder of a store, locked until dropped: against all other openers or, on a read-only file
/// system, against writers only (not at all if the lock file is missing).
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    data: PathBuf,
    found: Found,
    // Declared before the lock, so that the copy is removed while the lock is held.
    copy: Option<ReadOnlyCopy>,
    _lock: Option<File>,
}

impl Folder {
    /// Locks the store in `path`, waiting up to `patience` for another opener to release it.
    /// Nothing is written until the folder is known to contain a store of a supported format, or to
    /// be an empty folder in which one may be created.
    ///
    /// A store on a read-only file system is opened as a temporary copy, which is removed when the
    /// handle is dropped.
    pub(crate) fn open(path: &Path, opening: Opening, patience: Duration) -> Result<Self> {
        let found = find(path)?;
        if found != Found::Store && opening == Opening::Existing {
            return Err(Error::new(ErrorKind::BucketMissing, format!("there is no store in {}", path.display())));
        }
        if found == Found::Nothing {
            make_private(path).map_err(|failure| from_io("creating the folder of the store", failure))?;
        }
        let data = path.join(DATA_FOLDER);
        let lock = match lock(path, patience) {
            Err(LockFailure::File(failure))
                if found == Found::Store && failure.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                let lock = lock_to_read(path, patience)?;
                structure::check(&data)?;
                let copy =
                    ReadOnlyCopy::of(&data).map_err(|failure| from_io("copying the store for reading", failure))?;
                let data = copy.path().to_owned();
                return Ok(Self { path: path.to_owned(), data, found, copy: Some(copy), _lock: lock });
            }
            Err(LockFailure::File(failure)) => return Err(from_io("locking the store", failure)),
            Err(LockFailure::Held) => return Err(held(path)),
            Ok(lock) => Some(lock),
        };
        // Checked again, because another process may have created the store before the lock was
        // acquired.
        let found = find(path)?;
        match found {
            Found::Store => structure::check(&data)?,
            Found::Nothing | Found::Unfinished => {
                begin(path).map_err(|failure| from_io("creating the store", failure))?;
            }
        }
        make_private(&data).map_err(|failure| from_io("restricting the folder of the store to its owner", failure))?;
        Ok(Self { path: path.to_owned(), data, found, copy: None, _lock: lock })
    }

    /// The folder of the fjall database.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Returns whether the store is a temporary copy, in which writes would be lost.
    pub(crate) fn is_read_only(&self) -> bool {
        self.copy.is_some()
    }

    /// Marks the folder as a store, once it contains a database.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if self.found != Found::Store {
            let finished = fs::rename(self.path.join(temporary_name(FORMAT_FILE)), self.path.join(FORMAT_FILE))
                .and_then(|()| File::open(&self.path)?.sync_all());
            finished.map_err(|failure| from_io("creating the store", failure))?;
            self.found = Found::Store;
        }
        Ok(())
    }
}

/// Removes the store in `path`. First, the folder is marked as one without a store, so that nothing
/// opens what is left if the removal is interrupted.
pub(crate) fn remove(path: &Path, patience: Duration) -> Result<()> {
    let missing = || Error::new(ErrorKind::BucketMissing, format!("there is no store in {}", path.display()));
    if find(path)? == Found::Nothing {
        return Err(missing());
    }
    let lock = match lock(path, patience) {
        Ok(lock) => lock,
        Err(LockFailure::Held) => return Err(held(path)),
        Err(LockFailure::File(failure)) => return Err(from_io("locking the store", failure)),
    };
    let removed = || {
        let (format, unfinished) = (path.join(FORMAT_FILE), path.join(temporary_name(FORMAT_FILE)));
        if format.exists() {
            fs::rename(format, &unfinished)?;
            File::open(path)?.sync_all()?;
        }
        match fs::remove_dir_all(path.join(DATA_FOLDER)) {
            Err(failure) if failure.kind() != io::ErrorKind::NotFound => return Err(failure),
            _ => fs::remove_file(unfinished)?,
        }
        drop(lock);
        fs::remove_file(path.join(LOCK_FILE))?;
        // The folder stays if it holds files of the operating system, or is a mount point.
        let _ = fs::remove_dir(path);
        Ok(())
    };
    removed().map_err(|failure| from_io("removing the store", failure))
}

/// Determines whether `path` contains a store that this version can read.
fn find(path: &Path) -> Result<Found> {
    let mut text = String::new();
    // A format file of any version is short; a longer file is not a format file.
    let read = File::open(path.join(FORMAT_FILE)).and_then(|file| file.take(256).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(failure) if matches!(failure.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return no_store(path);
        }
        Err(failure) if failure.kind() == io::ErrorKind::InvalidData => text.clear(),
        Err(failure) => return Err(from_io("reading the format of the store", failure)),
    }
    let version = text.trim_end().strip_prefix(FORMAT_NAME).and_then(|rest| rest.trim().parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) => match fs::metadata(path.join(DATA_FOLDER).join(DATABASE_FILE)) {
            Ok(file) if file.len() > 0 => Ok(Found::Store),
            Ok(_) => {
                let message = format!("the store is damaged: {DATA_FOLDER}/{DATABASE_FILE} is empty");
                Err(Error::new(ErrorKind::Corrupt, message))
            }
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => Err(no_data(path)),
            Err(failure) => Err(from_io("reading the folder of the store", failure)),
        },
        Some(other) => {
            let message = format!("the store has format {other}, but this version reads format {FORMAT_VERSION}");
            Err(Error::new(ErrorKind::Incompatible, message))
        }
        None => Err(Error::new(ErrorKind::Corrupt, "the store's FORMAT file is damaged")),
    }
}

fn no_data(path: &Path) -> Error {
    let message = format!(
        "the data of the store in {} is missing: its folder {DATA_FOLDER} is missing or empty; perhaps its disk is not mounted",
        path.display()
    );
    Error::new(ErrorKind::Corrupt, message)
}

/// Refuses a folder that contains anything other than a store.
fn no_store(path: &Path) -> Result<Found> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(failure) if failure.kind() == io::ErrorKind::NotADirectory => {
            let message = format!("{} is a file, but a store is a folder", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message).with_source(failure));
        }
        Err(failure) => return Err(from_io("reading the folder of the store", failure)),
    };
    let begun = path.join(temporary_name(FORMAT_FILE)).is_file();
    for entry in entries {
        let name = entry.map_err(|failure| from_io("reading the folder of the store", failure))?.file_name();
        if name == DATA_FOLDER && !begun {
            return Err(Error::new(ErrorKind::Corrupt, "the store's FORMAT file is missing"));
        }
        // Only these remain if a process crashed while it created the store. The operating system
        // adds files of its own to a new volume.
        let is_own = name == DATA_FOLDER || name == LOCK_FILE || name == temporary_name(FORMAT_FILE).as_str();
        if !is_own && !FILES_OF_SYSTEMS.iter().any(|file| name == *file) {
            let message = format!("{} contains files that do not belong to a store", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
    }
    Ok(if begun { Found::Unfinished } else { Found::Nothing })
}

/// Creates a folder that, on Unix, only its owner can access, or restricts an existing one to its
/// owner.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        builder.mode(0o700).create(path)?;
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    builder.create(path)
}

enum LockFailure {
    Held,
    File(io::Error),
}

fn lock(path: &Path, patience: Duration) -> Result<File, LockFailure> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
    let file = opened.map_err(LockFailure::File)?;
    wait(patience, || file.try_lock())?;
    Ok(file)
}

/// Takes a shared lock, which excludes writers that use the same lock file. Returns `None` for a
/// store that was copied without its lock file.
fn lock_to_read(path: &Path, patience: Duration) -> Result<Option<File>> {
    let file = match File::open(path.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(failure) => return Err(from_io("locking the store", failure)),
    };
    match wait(patience, || file.try_lock_shared()) {
        Ok(()) => Ok(Some(file)),
        Err(LockFailure::Held) => Err(held(path)),
        Err(LockFailure::File(failure)) => Err(from_io("locking the store", failure)),
    }
}

fn wait(patience: Duration, attempt: impl Fn() -> Result<(), TryLockError>) -> Result<(), LockFailure> {
    const INTERVAL: Duration = Duration::from_millis(10);
    let deadline = clock::now() + patience;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if clock::now() < deadline => clock::sleep(INTERVAL),
            Err(TryLockError::WouldBlock) => return Err(LockFailure::Held),
            Err(TryLockError::Error(failure)) => return Err(LockFailure::File(failure)),
        }
    }
}

fn held(path: &Path) -> Error {
    Error::new(ErrorKind::Locked, format!("the store in {} is already open", path.display()))
}

/// Starts creating a store: removes what an earlier attempt left behind, and writes the format file
/// under a temporary name. `finish` renames it.
fn begin(path: &Path) -> io::Result<()> {
    let mut file = File::create(path.join(temporary_name(FORMAT_FILE)))?;
    writeln!(file, "{FORMAT_NAME} {FORMAT_VERSION}")?;
    file.sync_all()?;
    File::open(path)?.sync_all()?;
    match fs::remove_dir_all(path.join(DATA_FOLDER)) {
        Err(failure) if failure.kind() != io::ErrorKind::NotFound => Err(failure),
        _ => Ok(()),
    }
}

fn temporary_name(name: &str) -> String {
    format!("{name}.new")
}
