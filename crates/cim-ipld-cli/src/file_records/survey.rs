//! What was found on the disk.

use std::collections::HashSet;

use super::{PathKey, Records};

/// The files that were found below the given paths, whether or not they were indexed.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) unchanged: u64,
    roots: HashSet<PathKey>,
    found: HashSet<PathKey>,
    /// Files and folders that could not be read. What is below them is unknown.
    unreadable: Vec<PathKey>,
}

impl Survey {
    /// Notes a path that is searched for files.
    pub(crate) fn root(&mut self, root: PathKey) {
        self.roots.insert(root);
    }

    pub(crate) fn found(&mut self, file: PathKey) {
        self.found.insert(file);
    }

    pub(crate) fn unreadable(&mut self, path: PathKey) {
        self.unreadable.push(path);
    }

    /// Returns the recorded files that are gone.
    pub(crate) fn gone<'a>(&self, records: &'a Records) -> HashSet<&'a PathKey> {
        let is_gone = |key: &&PathKey| {
            !self.found.contains(*key) && !self.unreadable.iter().any(|unreadable| key.is_within(unreadable))
        };
        records.within_any(&self.roots).filter(is_gone).collect()
    }
}
