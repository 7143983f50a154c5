use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cim_ipld_backend::{Error, ErrorKind, Result};

use crate::error::of_file;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const DATA_FOLDER: &str = "data";
const FORMAT_NAME: &str = "cim-ipld-embedded";

/// How long a handle that was just dropped may take to let go of the lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);

/// Whether a store may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Create,
    Existing,
}

/// A store's folder, locked against every other opener until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    data: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks the store in `path`. Nothing is written before it is certain that the folder is a store of a known format,
    /// or an empty folder in which one may be made.
    pub(crate) fn open(path: &Path, opening: Opening) -> Result<Self> {
        let made = is_store(path)?;
        if !made && opening == Opening::Existing {
            return Err(Error::new(ErrorKind::BucketMissing, format!("there is no store in {}", path.display())));
        }
        if !made {
            make_folder(path)?;
        }
        let lock = lock(path)?;
        // Again, because another process may have made it between the first look and the lock.
        if !is_store(path)? {
            write_format(path).map_err(|failure| of_file("making the store", failure))?;
        }
        Ok(Self { data: path.join(DATA_FOLDER), _lock: lock })
    }

    /// The folder that the embedded store has for itself.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }
}

/// Tells whether `path` is a store that this version can read; an empty or missing folder is none.
fn is_store(path: &Path) -> Result<bool> {
    let mut text = String::new();
    // A format file of any version is short; what is longer is none.
    let read = File::open(path.join(FORMAT_FILE)).and_then(|file| file.take(256).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(failure) if matches!(failure.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return no_store(path).map(|()| false);
        }
        Err(failure) if failure.kind() == io::ErrorKind::InvalidData => text.clear(),
        Err(failure) => return Err(of_file("reading the store's format", failure)),
    }
    let version = text.trim_end().strip_prefix(FORMAT_NAME).and_then(|rest| rest.trim().parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) => Ok(true),
        Some(other) => {
            let message = format!("the store has format {other}, this version reads format {FORMAT_VERSION}");
            Err(Error::new(ErrorKind::Incompatible, message))
        }
        None => Err(Error::new(ErrorKind::Corrupt, "the store's FORMAT file is damaged")),
    }
}

/// Refuses a folder that holds something else.
fn no_store(path: &Path) -> Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(failure) if failure.kind() == io::ErrorKind::NotADirectory => {
            let message = format!("{} is a file, a store is a folder", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message).with_source(failure));
        }
        Err(failure) => return Err(of_file("reading the store's folder", failure)),
    };
    for entry in entries {
        let name = entry.map_err(|failure| of_file("reading the store's folder", failure))?.file_name();
        if name == DATA_FOLDER {
            return Err(Error::new(ErrorKind::Corrupt, "the store's FORMAT file is missing"));
        }
        // What a process that died while it made the store leaves behind.
        if name != LOCK_FILE && name != temporary_name(FORMAT_FILE).as_str() {
            let message = format!("{} holds something else than a store", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|failure| of_file("making the store's folder", failure))
}

fn lock(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
    let file = opened.map_err(|failure| of_file("opening the store's lock", failure))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PATIENCE / 30),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another opener has the store in {}", path.display());
                return Err(Error::new(ErrorKind::Locked, message));
            }
            Err(TryLockError::Error(failure)) => return Err(of_file("locking the store", failure)),
        }
    }
}

/// Writes the format file so that it is there whole or not at all.
fn write_format(path: &Path) -> io::Result<()> {
    let temporary = path.join(temporary_name(FORMAT_FILE));
    let mut file = File::create(&temporary)?;
    writeln!(file, "{FORMAT_NAME} {FORMAT_VERSION}")?;
    file.sync_all()?;
    fs::rename(&temporary, path.join(FORMAT_FILE))?;
    File::open(path)?.sync_all()
}

fn temporary_name(name: &str) -> String {
    format!("{name}.new")
}
