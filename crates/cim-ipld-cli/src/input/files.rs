//! Files as documents.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld::index::{Document, MAX_DOCUMENT_BYTES, Timestamp};
use cim_ipld::persistence::content_cid;

use super::{Excluded, Item, Reader, Reason, Stop, text, unreadable};
use crate::file_records::{FileRecord, PathKey, Stamp};

/// The maximum size of a file. The rest of the maximum document size is reserved for the other
/// fields.
const MAX_FILE_BYTES: u64 = MAX_DOCUMENT_BYTES as u64 - (64 << 10);
/// How much of a file is read to recognize that it is not text.
const HEAD_BYTES: u64 = 16 << 10;

/// A file to be read.
pub(super) struct Found<'a> {
    pub(super) path: &'a Path,
    /// The absolute path under which the file is recorded.
    pub(super) canonical: &'a Path,
    /// The displayed name, which is the end of the path.
    pub(super) name: &'a str,
}

/// What became of a file.
pub(super) enum Outcome {
    Done,
    Skipped(Reason),
}

/// Returns the canonical path of a folder, and of the folder of a file.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    let resolved = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
    };
    match (path.is_dir(), path.parent(), path.file_name()) {
        (false, Some(folder), Some(name)) => resolved(folder).join(name),
        _ => resolved(path),
    }
}

impl Reader {
    /// Reads a file named on the command line. It must be readable; its title is its name.
    pub(super) fn read_named(&mut self, path: &Path) -> Result<(), Stop> {
        let canonical = canonical(path);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let found = Found { path, canonical: &canonical, name: &name };
        match self.read_document(&found)?.map_err(|error| unreadable(path.display(), &error))? {
            Outcome::Done => {}
            Outcome::Skipped(reason) => self.skipped.named(path, reason),
        }
        Ok(())
    }

    /// Reads a file, unless it has not changed since it was indexed, and adds it to the batch.
    pub(super) fn read_document(&mut self, found: &Found<'_>) -> Result<std::io::Result<Outcome>, Stop> {
        let key = PathKey::of(found.canonical);
        self.survey.found(key.clone());
        if self.reading.excluded.names(found.canonical) {
            return self.forget(key, Reason::Own);
        }
        // Taken before the file is read, so that later changes are recognized.
        let now = SystemTime::now();
        let metadata = match std::fs::metadata(found.path) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(error)),
        };
        let stamp = Stamp::of(&metadata, now);
        if !self.reading.checksum && self.reading.records.is_unchanged(&key, &stamp) {
            self.survey.unchanged += 1;
            return Ok(Ok(Outcome::Done));
        }
        let (content, after) = match read(found.path, &metadata) {
            Ok(Ok(content)) => content,
            Ok(Err(reason)) => return self.forget(key, reason),
            Err(error) => return Ok(Err(error)),
        };
        if Excluded::is_key(&content) {
            return self.forget(key, Reason::Own);
        }
        let (cid, bytes) = (content_cid(&content), content.len() as u64);
        if self.reading.records.is_unchanged(&key, &stamp) && self.reading.records.has_content(&key, &cid) {
            self.survey.unchanged += 1;
            return Ok(Ok(Outcome::Done));
        }
        let Some(text) = text::decoded(content) else { return self.forget(key, Reason::Binary) };
        let mut document = Document::new(cid).with_size(bytes).with_text(text);
        document.created_at = metadata.created().ok().and_then(timestamp);
        let record = FileRecord {
            key,
            path: found.canonical.to_string_lossy().into_owned(),
            name_bytes: found.name.len(),
            stamp: stamp.unless_changed(&after),
        };
        self.batcher.add(Item::File(document, record), bytes)?;
        Ok(Ok(Outcome::Done))
    }

    /// Removes the path from the document of an earlier version of a file that is skipped now.
    fn forget(&mut self, key: PathKey, reason: Reason) -> Result<std::io::Result<Outcome>, Stop> {
        if self.reading.records.knows(&key) {
            self.batcher.add(Item::Gone(key), 0)?;
        }
        Ok(Ok(Outcome::Skipped(reason)))
    }
}

/// Reads the content of a file and its metadata after that, or returns the reason why it is not
/// indexed.
fn read(path: &Path, metadata: &Metadata) -> std::io::Result<Result<(Vec<u8>, Metadata), Reason>> {
    if metadata.len() > MAX_FILE_BYTES {
        return Ok(Err(Reason::Oversized));
    }
    let mut file = File::open(path)?;
    let mut content = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut content)?;
    if text::is_binary(&content) {
        return Ok(Err(Reason::Binary));
    }
    // The file may have grown since its size was read.
    (&mut file).take(MAX_FILE_BYTES + 1 - content.len() as u64).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Ok(Err(Reason::Oversized));
    }
    let after = file.metadata()?;
    Ok(Ok((content, after)))
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let milliseconds = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok()?,
        Err(before) => -i64::try_from(before.duration().as_millis()).ok()?,
    };
    Some(Timestamp(milliseconds))
}
