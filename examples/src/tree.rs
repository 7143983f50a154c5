use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use cim_ipld::index::Document;
use cim_ipld::{Cid, DocumentMetadata, content_cid};
use ignore::{DirEntry, Walk, WalkBuilder};

/// Reads the text files of a folder as documents. A document has the CID of its bytes, its path as
/// title, and the folders of the path as tags.
///
/// Hidden files, files ignored by `.gitignore`, files that are not UTF-8 and duplicates of earlier
/// files are skipped.
pub struct Tree {
    root: PathBuf,
    walk: Walk,
    seen: HashSet<Cid>,
    counts: TreeCounts,
}

/// The counts of a [`Tree`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeCounts {
    /// The number of documents returned.
    pub documents: u64,
    /// The size of their content in bytes.
    pub bytes: u64,
    /// The number of files skipped because they are not text.
    pub binaries: u64,
    /// The number of files skipped because they equal an earlier one.
    pub copies: u64,
}

impl Tree {
    /// Starts at `root`.
    ///
    /// # Errors
    /// If `root` does not exist.
    pub fn new(root: &Path) -> Result<Self> {
        let root = root.canonicalize().with_context(|| format!("cannot read {}", root.display()))?;
        let walk = WalkBuilder::new(&root).require_git(false).sort_by_file_path(Ord::cmp).build();
        Ok(Self { root, walk, seen: HashSet::new(), counts: TreeCounts::default() })
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> TreeCounts {
        self.counts
    }

    /// Returns the document of a file, or `None` if the file is a duplicate or is not text.
    fn document(&mut self, path: &Path) -> Result<Option<Document>> {
        let bytes = fs::read(path)?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            self.counts.binaries += 1;
            return Ok(None);
        };
        let cid = content_cid(&bytes);
        if !self.seen.insert(cid) {
            self.counts.copies += 1;
            return Ok(None);
        }
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let folders = relative.parent().into_iter().flat_map(Path::components);
        let modified = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).ok();
        let metadata = DocumentMetadata {
            title: Some(relative.display().to_string()),
            tags: folders.map(|folder| folder.as_os_str().to_string_lossy().into_owned()).collect(),
            content_type: mime_guess::from_path(path).first_raw().map(str::to_owned),
            modified_at: modified.map(|since| since.as_secs()),
            size: Some(bytes.len() as u64),
            ..DocumentMetadata::default()
        };
        let document = metadata.to_document(cid, Some(text))?;
        self.counts.documents += 1;
        self.counts.bytes += bytes.len() as u64;
        Ok(Some(document))
    }
}

/// Lists every file below `folder`, hidden ones too.
///
/// # Errors
/// If a folder cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = WalkBuilder::new(folder).standard_filters(false).build().collect::<Result<Vec<_>, _>>()?;
    let files = entries.into_iter().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    Ok(files.map(DirEntry::into_path).collect())
}

impl Iterator for Tree {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.walk.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let document = self.document(entry.path());
            let path = entry.path().display();
            if let Some(result) = document.with_context(|| format!("cannot read {path}")).transpose() {
                return Some(result);
            }
        }
    }
}
