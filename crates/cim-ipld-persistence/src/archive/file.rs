//! Archives in files. A file appears under its name only when it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWriteExt, BufReader, BufWriter};

use super::BUFFER_BYTES;
use super::errors::{unreadable, unwritable};
use crate::{Error, Result};

/// Opens an archive.
pub(crate) async fn open(path: &Path) -> Result<impl AsyncRead + Send + use<>> {
    let named = |error: &io::Error| unreadable(&at(path, error));
    let file = File::open(path).await.map_err(|error| named(&error))?;
    let metadata = file.metadata().await.map_err(|error| named(&error))?;
    if metadata.is_dir() {
        return Err(named(&io::ErrorKind::IsADirectory.into()));
    }
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

/// A file that is being written under a temporary name.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    temporary: Temporary,
    file: BufWriter<File>,
}

/// Removes the file when dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl NewFile {
    /// Creates the file, readable by its owner only.
    ///
    /// # Errors
    /// `FileExists` if there is a file of this name, and the errors of the file system.
    pub(crate) async fn create(path: &Path, unique: u64) -> Result<Self> {
        if tokio::fs::symlink_metadata(path).await.is_ok() {
            return Err(exists(path));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{unique:016x}.part"));
        let temporary = PathBuf::from(name);
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&temporary).await.map_err(|error| unwritable(&at(path, &error)))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path: path.to_owned(), temporary: Temporary(temporary), file })
    }

    pub(crate) fn writer(&mut self) -> &mut BufWriter<File> {
        &mut self.file
    }

    /// Makes the content durable, then gives the file its name.
    pub(crate) async fn finish(self) -> Result<()> {
        let Self { path, temporary, mut file } = self;
        let written = async {
            file.flush().await?;
            file.get_ref().sync_all().await
        };
        written.await.map_err(|error| unwritable(&at(&path, &error)))?;
        drop(file);
        let named = tokio::task::spawn_blocking(move || name(&temporary.0, &path).map_err(|error| (path, error)));
        match named.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((path, error))) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path)),
            Ok(Err((path, error))) => Err(unwritable(&at(&path, &error))),
            Err(error) => Err(unwritable(&io::Error::other(error))),
        }
    }
}

/// Links the file to `path`, which must not exist. A rename would replace a file that another
/// process has created in the meantime.
fn name(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // The file system has no hard links.
        Err(_) if fs::symlink_metadata(path).is_err() => fs::rename(temporary, path)?,
        Err(_) => return Err(io::ErrorKind::AlreadyExists.into()),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn exists(path: &Path) -> Error {
    unwritable(&at(path, &io::ErrorKind::AlreadyExists.into()))
}
