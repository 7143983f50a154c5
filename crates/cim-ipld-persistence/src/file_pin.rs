use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cim_ipld_envelope::ObjectHeader;

use crate::history::pin::PinStore;

/// A pin stored in a file. The file is replaced atomically and, on Unix, is readable by its owner
/// only.
///
/// ```
/// use cim_ipld_persistence::{FilePin, PinStore};
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// let pin = FilePin::new(folder.path().join("photos.pin"));
/// assert_eq!(pin.load()?, None);
///
/// // A file with other contents is neither read nor replaced.
/// std::fs::write(pin.path(), "a key")?;
/// assert!(pin.load().is_err());
/// assert!(pin.update(&mut |_| Some(b"sealed".to_vec())).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePin {
    path: PathBuf,
}

/// An upper bound of the size of a pin. A larger file is not a pin.
const MAX_PIN_BYTES: u64 = 64 << 10;

impl FilePin {
    /// Creates a pin at `path`. Its directory is created when the pin is first stored.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl PinStore for FilePin {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        self.read().map_err(|error| self.named(&error))
    }

    fn store(&self, pin: &[u8]) -> io::Result<()> {
        self.replace(pin).map_err(|error| self.named(&error))
    }

    fn update(&self, change: &mut dyn FnMut(Option<Vec<u8>>) -> Option<Vec<u8>>) -> io::Result<()> {
        // The lock is held until the file is closed.
        let _lock = self.lock().map_err(|error| self.named(&error))?;
        match change(self.load()?) {
            Some(pin) => self.store(&pin),
            None => Ok(()),
        }
    }
}

impl FilePin {
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let metadata = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        let not_a_pin = || io::Error::new(io::ErrorKind::InvalidData, "the file is not a pin, or is damaged");
        if !metadata.is_file() || metadata.len() > MAX_PIN_BYTES {
            return Err(not_a_pin());
        }
        let pin = fs::read(&self.path)?;
        match ObjectHeader::parse(&pin) {
            Err(error) if error.kind() == cim_ipld_envelope::ErrorKind::Damaged => Err(not_a_pin()),
            _ => Ok(Some(pin)),
        }
    }

    /// Locks a separate file next to the pin, because the pin itself is replaced by a rename. The
    /// lock file is never removed.
    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(self.folder())?;
        let mut name = self.path.as_os_str().to_owned();
        name.push(".lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(PathBuf::from(name))?;
        file.lock()?;
        Ok(file)
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn replace(&self, pin: &[u8]) -> io::Result<()> {
        let folder = self.folder();
        fs::create_dir_all(folder)?;
        // The temporary name is unique, so that neither two processes nor two engines of one
        // process write to the same file.
        static STORED: AtomicU64 = AtomicU64::new(0);
        let number = STORED.fetch_add(1, Ordering::Relaxed);
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{}-{number}.new", std::process::id()));
        let new = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(pin)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}
