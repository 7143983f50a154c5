use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cim_ipld_backend::{Error, ErrorKind, Result};

use crate::copy::Copy;
use crate::error::of_file;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const DATA_FOLDER: &str = "data";
const FORMAT_NAME: &str = "cim-ipld-embedded";

/// Fjall's own mark of a database.
const DATABASE_FILE: &str = "version";

/// Whether a store may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Create,
    Existing,
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A store whose making was cut off, or is under way: nothing was ever written to it.
    Unfinished,
    Store,
}

/// A store's folder, locked against every other opener until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    data: PathBuf,
    found: Found,
    // Before the lock, so that nobody finds half of it.
    copy: Option<Copy>,
    _lock: Option<File>,
}

impl Folder {
    /// Locks the store in `path`, for which another opener is waited for as long as `patience`.
    /// Nothing is written before it is certain that the folder is a store of a known format, or an
    /// empty folder in which one may be made.
    ///
    /// A store on a file system that cannot be written is opened as a copy that goes away with the
    /// handle.
    pub(crate) fn open(path: &Path, opening: Opening, patience: Duration) -> Result<Self> {
        let found = find(path)?;
        if found != Found::Store && opening == Opening::Existing {
            return Err(Error::new(ErrorKind::BucketMissing, format!("there is no store in {}", path.display())));
        }
        if found == Found::Nothing {
            make_private(path).map_err(|failure| of_file("making the store's folder", failure))?;
        }
        let data = path.join(DATA_FOLDER);
        let lock = match lock(path, patience) {
            Err(LockFailure::File(failure))
                if found == Found::Store && failure.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                let lock = lock_to_read(path, patience)?;
                let copy = Copy::of(&data).map_err(|failure| of_file("copying the store to read it", failure))?;
                let data = copy.path().to_owned();
                return Ok(Self { path: path.to_owned(), data, found, copy: Some(copy), _lock: lock });
            }
            Err(LockFailure::File(failure)) => return Err(of_file("locking the store", failure)),
            Err(LockFailure::Held) => return Err(held(path)),
            Ok(lock) => Some(lock),
        };
        // Again, because another process may have made it between the first look and the lock.
        let found = find(path)?;
        if found != Found::Store {
            begin(path).map_err(|failure| of_file("making the store", failure))?;
        }
        make_private(&data).map_err(|failure| of_file("making the store's folder private", failure))?;
        Ok(Self { path: path.to_owned(), data, found, copy: None, _lock: lock })
    }

    /// The folder that the embedded store has for itself.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Whether nothing that is written here stays.
    pub(crate) fn is_read_only(&self) -> bool {
        self.copy.is_some()
    }

    /// Declares the folder a store, now that there is a database in it.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if self.found != Found::Store {
            let finished = fs::rename(self.path.join(temporary_name(FORMAT_FILE)), self.path.join(FORMAT_FILE))
                .and_then(|()| File::open(&self.path)?.sync_all());
            finished.map_err(|failure| of_file("making the store", failure))?;
            self.found = Found::Store;
        }
        Ok(())
    }
}

/// Finds out whether `path` is a store that this version can read.
fn find(path: &Path) -> Result<Found> {
    let mut text = String::new();
    // A format file of any version is short; what is longer is none.
    let read = File::open(path.join(FORMAT_FILE)).and_then(|file| file.take(256).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(failure) if matches!(failure.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return no_store(path);
        }
        Err(failure) if failure.kind() == io::ErrorKind::InvalidData => text.clear(),
        Err(failure) => return Err(of_file("reading the store's format", failure)),
    }
    let version = text.trim_end().strip_prefix(FORMAT_NAME).and_then(|rest| rest.trim().parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) if path.join(DATA_FOLDER).join(DATABASE_FILE).is_file() => Ok(Found::Store),
        Some(FORMAT_VERSION) => {
            let message = format!(
                "{} is a store whose data is gone: its folder {DATA_FOLDER} is missing or empty, as where a disk is not mounted",
                path.display()
            );
            Err(Error::new(ErrorKind::Corrupt, message))
        }
        Some(other) => {
            let message = format!("the store has format {other}, this version reads format {FORMAT_VERSION}");
            Err(Error::new(ErrorKind::Incompatible, message))
        }
        None => Err(Error::new(ErrorKind::Corrupt, "the store's FORMAT file is damaged")),
    }
}

/// Refuses a folder that holds something else.
fn no_store(path: &Path) -> Result<Found> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(failure) if failure.kind() == io::ErrorKind::NotADirectory => {
            let message = format!("{} is a file, a store is a folder", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message).with_source(failure));
        }
        Err(failure) => return Err(of_file("reading the store's folder", failure)),
    };
    let begun = path.join(temporary_name(FORMAT_FILE)).is_file();
    for entry in entries {
        let name = entry.map_err(|failure| of_file("reading the store's folder", failure))?.file_name();
        if name == DATA_FOLDER && !begun {
            return Err(Error::new(ErrorKind::Corrupt, "the store's FORMAT file is missing"));
        }
        // What a process that died while it made the store leaves behind.
        if name != DATA_FOLDER && name != LOCK_FILE && name != temporary_name(FORMAT_FILE).as_str() {
            let message = format!("{} holds something else than a store", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
    }
    Ok(if begun { Found::Unfinished } else { Found::Nothing })
}

/// Makes a folder that only its owner can use, or takes the rights of others off one that is there.
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

/// Keeps writers out, as far as they share this file's locks. A store that was copied without its
/// lock has none.
fn lock_to_read(path: &Path, patience: Duration) -> Result<Option<File>> {
    let file = match File::open(path.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(failure) => return Err(of_file("locking the store", failure)),
    };
    match wait(patience, || file.try_lock_shared()) {
        Ok(()) => Ok(Some(file)),
        Err(LockFailure::Held) => Err(held(path)),
        Err(LockFailure::File(failure)) => Err(of_file("locking the store", failure)),
    }
}

fn wait(patience: Duration, attempt: impl Fn() -> Result<(), TryLockError>) -> Result<(), LockFailure> {
    const INTERVAL: Duration = Duration::from_millis(10);
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(INTERVAL),
            Err(TryLockError::WouldBlock) => return Err(LockFailure::Held),
            Err(TryLockError::Error(failure)) => return Err(LockFailure::File(failure)),
        }
    }
}

fn held(path: &Path) -> Error {
    Error::new(ErrorKind::Locked, format!("another opener has the store in {}", path.display()))
}

/// Begins a store: what an earlier attempt left goes, and what it declares is written, to be given
/// its name at the end.
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
