//! Keeps the database's journal short.
//!
//! fjall reads its journal whole at every opening, also what has long been in tables, and begins a
//! new file at 64 MB only. Where processes write a little and end, that would be most of what an
//! opening costs. An empty file is one of fjall's ordinary cases: it cuts the newest file off where
//! the last whole batch ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What may be left for the next opening to read.
const TOLERATED_BYTES: u64 = 256 << 10;
const EXTENSION: &str = "jnl";

/// Empties the journal of a closed database, all of which is in synced tables, unless it is short.
/// A crash in between leaves more of it, which is as good. The newest file stays: without any,
/// fjall does not count on from what the tables hold.
pub(crate) fn empty_if_long(data: &Path) -> io::Result<()> {
    let files = files(data)?;
    let Some(newest) = files.iter().max_by_key(|file| number(file)) else { return Ok(()) };
    let mut bytes = 0;
    for file in &files {
        bytes += bytes_of(file)?;
    }
    if bytes <= TOLERATED_BYTES {
        return Ok(());
    }
    files.iter().filter(|file| *file != newest).try_for_each(fs::remove_file)?;
    let file = OpenOptions::new().write(true).open(newest)?;
    file.set_len(0)?;
    file.sync_all()?;
    File::open(data)?.sync_all()
}

/// fjall numbers the files of a journal.
fn number(file: &Path) -> Option<u64> {
    file.file_stem()?.to_str()?.parse().ok()
}

fn files(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    Ok(files)
}

/// What is written of a file, whose length is that of the room set aside.
#[cfg(unix)]
fn bytes_of(file: &PathBuf) -> io::Result<u64> {
    const BLOCK_BYTES: u64 = 512;
    Ok(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(file)?) * BLOCK_BYTES)
}

#[cfg(not(unix))]
fn bytes_of(file: &PathBuf) -> io::Result<u64> {
    Ok(fs::metadata(file)?.len())
}
