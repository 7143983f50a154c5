//! Files and folders of text.

use std::fs::Metadata;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld::index::{Document, MAX_DOCUMENT_BYTES, Timestamp};
use cim_ipld::persistence::content_cid;
use ignore::{DirEntry, WalkBuilder};

use super::{Batcher, Skipped, Stop, unreadable};

/// What is left of a document's size for its other fields.
const MAX_FILE_BYTES: u64 = MAX_DOCUMENT_BYTES as u64 - (64 << 10);

/// Reads a file that the user named: it must be readable, and its title is its name.
pub(super) fn read_named(path: &Path, batcher: &mut Batcher, skipped: &mut Skipped) -> Result<(), Stop> {
    let title = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path.display(), &error))?;
    if metadata.len() > MAX_FILE_BYTES {
        skipped.oversized_files += 1;
        return Ok(());
    }
    let content = std::fs::read(path).map_err(|error| unreadable(path.display(), &error))?;
    add(path, &title, content, &metadata, batcher, skipped)
}

/// Reads every text file below a folder, in the order of their names; titles are paths below the folder.
///
/// Hidden files and folders, what `.gitignore` names, and caches (`target` beside a `Cargo.toml`, folders with a
/// `CACHEDIR.TAG`) are passed over; symbolic links are not followed.
pub(super) fn read_folder(root: &Path, batcher: &mut Batcher, skipped: &mut Skipped) -> Result<(), Stop> {
    let walk = WalkBuilder::new(root)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(|entry| entry.depth() == 0 || !is_cache(entry))
        .build();
    for entry in walk {
        let Ok(entry) = entry else {
            skipped.unreadable_files += 1;
            continue;
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else {
            skipped.unreadable_files += 1;
            continue;
        };
        if metadata.len() > MAX_FILE_BYTES {
            skipped.oversized_files += 1;
            continue;
        }
        let Ok(content) = std::fs::read(path) else {
            skipped.unreadable_files += 1;
            continue;
        };
        let title = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        add(path, &title, content, &metadata, batcher, skipped)?;
    }
    Ok(())
}

/// Tells a folder that programs fill and empty by themselves (Cache Directory Tagging Specification).
fn is_cache(entry: &DirEntry) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return false;
    }
    let path = entry.path();
    let build_output = entry.file_name() == "target" && path.with_file_name("Cargo.toml").is_file();
    build_output || path.join("CACHEDIR.TAG").is_file()
}

fn add(
    path: &Path,
    title: &str,
    content: Vec<u8>,
    metadata: &Metadata,
    batcher: &mut Batcher,
    skipped: &mut Skipped,
) -> Result<(), Stop> {
    let bytes = content.len() as u64;
    // A file may have grown since its size was asked for.
    if bytes > MAX_FILE_BYTES {
        skipped.oversized_files += 1;
        return Ok(());
    }
    let cid = content_cid(&content);
    let Some(text) = String::from_utf8(content).ok().filter(|text| !text.contains('\0')) else {
        skipped.binary_files += 1;
        return Ok(());
    };
    let mut document =
        Document::new(cid).with_title(title).with_content_type(content_type(path)).with_size(bytes).with_text(text);
    document.created_at = metadata.created().ok().and_then(timestamp);
    document.modified_at = metadata.modified().ok().and_then(timestamp);
    batcher.add(document, bytes)
}

/// The media type that the name of a text file suggests.
fn content_type(path: &Path) -> &'static str {
    let guess = mime_guess::from_path(path).first_raw().unwrap_or("text/plain");
    // Some endings of source files belong to binary formats too (.ts); what is UTF-8 is not that.
    let binary =
        guess != "image/svg+xml" && ["audio/", "font/", "image/", "video/"].iter().any(|kind| guess.starts_with(kind));
    if binary || guess == "application/octet-stream" { "text/plain" } else { guess }
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let milliseconds = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok()?,
        Err(before) => -i64::try_from(before.duration().as_millis()).ok()?,
    };
    Some(Timestamp(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_names() {
        for (name, expected) in [
            ("a.md", "text/markdown"),
            ("a.html", "text/html"),
            ("a.json", "application/json"),
            ("a.rs", "text/x-rust"),
            ("a.svg", "image/svg+xml"),
            ("a.ts", "text/plain"),
            ("a.bin", "text/plain"),
            ("LICENSE", "text/plain"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
    }
}
