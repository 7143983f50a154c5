//! Folders of files.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder};

use super::files::{Found, Outcome, canonical};
use super::{Excluded, Reader, Reason, Stop, json_line};
use crate::file_records::PathKey;

impl Reader {
    /// Reads every text file below a folder, in the order of their names. Titles are paths relative
    /// to the folder. Files of JSON lines are parsed unless the format is `files`.
    ///
    /// Hidden files and folders, files ignored by `.gitignore`, caches (`target` next to a
    /// `Cargo.toml`, folders with a `CACHEDIR.TAG`) and folder stores are skipped; symbolic links
    /// are not followed.
    pub(super) fn read_folder(&mut self, root: &Path, lines: bool) -> Result<(), Stop> {
        if Excluded::is_store(root) {
            self.skipped.named(root, Reason::Own);
            return Ok(());
        }
        let canonical_root = canonical(root);
        let stores = Arc::new(Mutex::new(Vec::new()));
        for entry in walk(root, Arc::clone(&stores)) {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
                    self.read_found(entry.path(), &canonical_root.join(below), &below.to_string_lossy(), lines)?;
                }
                Ok(_) => {}
                Err(error) => {
                    let place = place_of(&error).unwrap_or(root);
                    let below = place.strip_prefix(root).unwrap_or(place);
                    // A file that was removed in the meantime is no error.
                    if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) {
                        continue;
                    }
                    self.survey.unreadable(PathKey::of(&canonical_root.join(below)));
                    let detail = error.io_error().map(|error| error as &dyn Display);
                    self.skipped.found(place, Reason::Unreadable, detail);
                }
            }
        }
        for store in stores.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.skipped.found(&store, Reason::Own, None);
        }
        Ok(())
    }

    fn read_found(&mut self, path: &Path, canonical: &Path, name: &str, lines: bool) -> Result<(), Stop> {
        if lines && json_line::is_named(path) {
            return match json_line::read_file(path, &mut self.batcher, &mut self.skipped) {
                Err(Stop::Failed(failure)) => {
                    self.skipped.found(path, Reason::Malformed, Some(&failure.message()));
                    Ok(())
                }
                done => done,
            };
        }
        match self.read_document(&Found { path, canonical, name })? {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Skipped(reason)) => self.skipped.found(path, reason, None),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.skipped.found(path, Reason::Unreadable, Some(&error)),
        }
        Ok(())
    }
}

/// Walks over a folder. The folder stores in it are not entered, but noted in `stores`.
fn walk(root: &Path, stores: Arc<Mutex<Vec<PathBuf>>>) -> ignore::Walk {
    WalkBuilder::new(root)
        .sort_by_file_name(OsStr::cmp)
        .filter_entry(move |entry| {
            let is_store = entry.depth() > 0 && is_folder(entry) && Excluded::is_store(entry.path());
            if is_store {
                stores.lock().unwrap_or_else(PoisonError::into_inner).push(entry.path().to_owned());
            }
            !is_store && (entry.depth() == 0 || !is_cache(entry))
        })
        .build()
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

/// Returns whether a folder is a cache.
fn is_cache(entry: &DirEntry) -> bool {
    let is_build_output = || entry.file_name() == "target" && entry.path().with_file_name("Cargo.toml").is_file();
    is_folder(entry) && (is_build_output() || Excluded::is_cache(entry.path()))
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}
