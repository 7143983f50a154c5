//! A folder of files to index, and what the index must say about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cim_ipld::persistence::content_cid;
use serde_json::Value;

use crate::program::json;
use crate::store::{Store, files_below};

/// The displayed paths of every document, by its CID.
pub(crate) type Paths = BTreeMap<String, BTreeSet<String>>;

pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Creates an empty folder beside a store.
    pub(crate) fn beside(store: &Store, name: &str) -> Self {
        let root = store.file(name);
        fs::create_dir_all(&root).expect("the folder is made");
        Self { root: root.canonicalize().expect("the folder exists") }
    }

    pub(crate) fn root(&self) -> String {
        self.root.display().to_string()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file with a modification time long ago, so that its time is settled.
    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        self.write_at(name, content, SystemTime::now() - Duration::from_secs(1_000));
    }

    pub(crate) fn write_at(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>, modified: SystemTime) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder is made");
        fs::write(&path, content).expect("the file is written");
        File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("the time is set");
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("the file is renamed");
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("the file is removed");
    }

    /// Returns the documents that an index of exactly this folder has.
    pub(crate) fn expected(&self) -> Paths {
        let mut expected = Paths::new();
        for (path, content) in files_below(&self.root) {
            let shown = path.to_string_lossy().into_owned();
            expected.entry(content_cid(&content).to_string()).or_default().insert(shown);
        }
        expected
    }
}

/// Runs `cim index --json` and returns its last object.
#[track_caller]
pub(crate) fn index(store: &Store, arguments: &[&str]) -> Value {
    let name = store.name();
    let output = crate::program::done(["index", &name, "--json"].iter().chain(arguments));
    serde_json::from_str(output.lines().last().expect("a last line")).expect("JSON")
}

/// Returns what the index holds, and checks that every path of a document is found by itself.
#[track_caller]
pub(crate) fn indexed(store: &Store, options: &[&str]) -> Paths {
    let name = store.name();
    let found = json(["search", &name, "path:*", "--limit", "100000", "--json"].iter().chain(options));
    let hits = found["hits"].as_array().expect("hits");
    assert_eq!(found["total"], hits.len());
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    hits.iter()
        .map(|hit| (text(&hit["cid"]), hit["paths"].as_array().expect("paths").iter().map(text).collect()))
        .collect()
}
