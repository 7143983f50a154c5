//! Truncates the journal of the database on closing.
//!
//! fjall reads the whole journal whenever it opens a database, including records that have long
//! been in tables, and starts a new file only after 64 MB. For processes that write little and
//! exit, this would dominate the cost of opening. fjall accepts an empty file, because on opening,
//! it truncates the newest file after its last complete batch.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The size, in bytes, up to which the journal is left for the next opening to read.
const TOLERATED_BYTES: u64 = 256 << 10;
const EXTENSION: &str = "jnl";

/// Empties the journal of a closed database unless the journal is short. All records of the journal
/// must be in synced tables. A crash during this function leaves some of the journal, which is
/// harmless. The newest file is kept, because fjall restarts its sequence numbers if there is no
/// journal file.
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

/// Returns the number in the name of a journal file.
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

/// Returns the allocated size of a file. The length would include preallocated space that was never
/// written.
#[cfg(unix)]
fn bytes_of(file: &PathBuf) -> io::Result<u64> {
    const BLOCK_BYTES: u64 = 512;
    Ok(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(file)?) * BLOCK_BYTES)
}

#[cfg(not(unix))]
fn bytes_of(file: &PathBuf) -> io::Result<u64> {
    Ok(fs::metadata(file)?.len())
}
