//! A copy of a database that cannot be written where it is: what never changes is linked, not
//! copied.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tempfile::TempDir;

/// The folders of fjall whose files are written once.
const WRITTEN_ONCE: [&str; 2] = ["tables", "blobs"];

/// A copy in a folder of its own that only its owner can use. It goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Copy {
    folder: TempDir,
}

impl Copy {
    pub(crate) fn of(data: &Path) -> io::Result<Self> {
        // Links lead somewhere only if they are absolute.
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

/// Copies the content alone: the copy can be written whatever the rights of the original.
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
