//! Files and folders of text.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld::index::{Document, MAX_DOCUMENT_BYTES, Timestamp};
use cim_ipld::persistence::content_cid;
use ignore::{DirEntry, WalkBuilder};

use super::skipped::Reason;
use super::{Batcher, Skipped, Stop, json_line, text, unreadable};
use crate::paths::FilePath;

/// The maximum size of a file. The rest of the maximum document size is reserved for the other
/// fields.
const MAX_FILE_BYTES: u64 = MAX_DOCUMENT_BYTES as u64 - (64 << 10);

/// Reads a file named on the command line. It must be readable; its title is its name.
pub(super) fn read_named(path: &Path, batcher: &mut Batcher, skipped: &mut Skipped) -> Result<(), Stop> {
    let title = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    match read(path).map_err(|error| unreadable(path.display(), &error))? {
        Ok((document, bytes)) => batcher.add_file(document, file_path(path, &title), bytes),
        Err(reason) => {
            skipped.named(path, reason);
            Ok(())
        }
    }
}

/// Reads every text file below a folder, in the order of their names. Titles are paths relative to
/// the folder. Files of JSON lines are parsed unless the format is `files`.
///
/// Hidden files and folders, files ignored by `.gitignore`, and caches (`target` next to a
/// `Cargo.toml`, folders with a `CACHEDIR.TAG`) are skipped; symbolic links are not followed.
pub(super) fn read_folder(root: &Path, lines: bool, batcher: &mut Batcher, skipped: &mut Skipped) -> Result<(), Stop> {
    let walk = WalkBuilder::new(root)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(|entry| entry.depth() == 0 || !is_cache(entry))
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let place = place_of(&error).unwrap_or(root).to_owned();
                skipped.found(&place, Reason::Unreadable, error.io_error().map(|error| error as &dyn Display));
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        if lines && json_line::is_named(path) {
            match json_line::read_file(path, batcher, skipped) {
                Err(Stop::Failed(failure)) => skipped.found(path, Reason::Malformed, Some(&failure.message())),
                done => done?,
            }
            continue;
        }
        let title = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        match read(path) {
            Ok(Ok((document, bytes))) => batcher.add_file(document, file_path(path, &title), bytes)?,
            Ok(Err(reason)) => skipped.found(path, reason, None),
            Err(error) => skipped.found(path, Reason::Unreadable, Some(&error)),
        }
    }
    Ok(())
}

/// Returns the path of an error of the directory walk.
fn place_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => place_of(err),
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

/// Returns whether a folder is a cache (Cache Directory Tagging Specification).
fn is_cache(entry: &DirEntry) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return false;
    }
    let path = entry.path();
    let build_output = entry.file_name() == "target" && path.with_file_name("Cargo.toml").is_file();
    build_output || path.join("CACHEDIR.TAG").is_file()
}

/// Reads a file as a document. Returns it with its size in bytes, or the reason why it is skipped.
fn read(path: &Path) -> std::io::Result<Result<(Document, u64), Reason>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.len() > MAX_FILE_BYTES {
        return Ok(Err(Reason::Oversized));
    }
    // The file may have grown since its size was read.
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    let bytes = content.len() as u64;
    if bytes > MAX_FILE_BYTES {
        return Ok(Err(Reason::Oversized));
    }
    let cid = content_cid(&content);
    let Some(text) = text::decoded(content) else { return Ok(Err(Reason::Binary)) };
    let mut document = Document::new(cid).with_content_type(content_type(path)).with_size(bytes).with_text(text);
    document.created_at = metadata.created().ok().and_then(timestamp);
    document.modified_at = metadata.modified().ok().and_then(timestamp);
    Ok(Ok((document, bytes)))
}

/// Returns the canonical path of a file, which is the same in every run.
fn file_path(path: &Path, name: &str) -> FilePath {
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    FilePath { path: absolute.to_string_lossy().into_owned(), name: name.to_owned() }
}

/// Returns the media type suggested by the name of a text file.
fn content_type(path: &Path) -> &'static str {
    let guess = mime_guess::from_path(path).first_raw().unwrap_or("text/plain");
    // Some extensions of source files belong to binary formats too (.ts), but this file is text.
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
