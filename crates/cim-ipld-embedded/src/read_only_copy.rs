//! A temporary, writable copy of a database whose file system is read-only. On Unix, files that
//! fjall writes only once are linked instead of copied.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tempfile::TempDir;

/// The folders in which fjall writes each file only once.
const WRITTEN_ONCE: [&str; 2] = ["tables", "blobs"];

/// A copy in a temporary folder that only its owner can access. It is removed on drop.
#[derive(Debug)]
pub(crate) struct ReadOnlyCopy {
    folder: TempDir,
}

impl ReadOnlyCopy {
    pub(crate) fn of(data: &Path) -> io::Result<Self> {
        // The targets of symbolic links must be absolute.
        let data = data.canonicalize()?;
        let folder = tempfile::Builder::new().prefix("cim-read-only-").tempdir()?;
        let mut left: Vec<(PathBuf, PathBuf)> = vec![(data, folder.path().to_owned())];
        while let Some((from, to)) = left.pop() {
            let is_written_once = WRITTEN_ONCE.iter().any(|name| from.file_name().is_some_and(|found| found == *name));
            for entry in fs::read_dir(&from)? {
                let entry = entry?;
                let (from, to) = (entry.path(), to.join(entry.file_name()));
                if entry.file_type()?.is_dir() {
                    fs::create_dir(&to)?;
                    left.push((from, to));
                } else if is_written_once {
                    link(&from, &to)?;
                } else {
                    copy(&from, &to)?;
                }
            }
        }
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Copies only the content, so the copy is writable regardless of the permissions of the original.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut fs::File::open(from)?, &mut fs::File::create_new(to)?).map(drop)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    copy(from, to)
}
