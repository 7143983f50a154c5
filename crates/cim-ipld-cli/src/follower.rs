//! Turns batches of input into changes of the index.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;

use cim_ipld::Cid;
use cim_ipld::index::{Document, MAX_LIST_VALUES};
use cim_ipld::persistence::Engine;

use crate::failure::Result;
use crate::file_records::{FileRecord, PathKey, Records, record};
use crate::input::{Batch, Item, Room};

/// Moves paths from document to document. A file belongs to the document of its content: if it has
/// changed, its record moves to another document, and a document without records is deleted. Both
/// are part of one [`Change`], so that the index never has a file twice or not at all.
#[derive(Debug)]
pub(crate) struct Follower {
    records: Arc<Records>,
    roots: HashSet<PathKey>,
    /// The documents of the paths that this run has changed.
    moved: HashMap<PathKey, Vec<Cid>>,
    /// The paths that could not be added to their documents.
    left_out: Vec<String>,
}

/// What a batch does to each document, before the documents in the index are known.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    documents: BTreeMap<Cid, Edit>,
    /// The documents that were read, in the order of the input.
    read: Vec<Cid>,
    bytes: u64,
    room: Option<Room>,
}

#[derive(Debug, Default)]
struct Edit {
    content: Content,
    gained: BTreeMap<PathKey, FileRecord>,
    lost: HashSet<PathKey>,
}

#[derive(Debug, Default)]
enum Content {
    /// That of the index.
    #[default]
    Kept,
    Line(Document),
    File(Document),
}

/// One atomic write.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) documents: Vec<Document>,
    pub(crate) deleted: Vec<Cid>,
    /// The documents that were read and are stored, in the order of the input.
    pub(crate) read: Vec<Cid>,
    pub(crate) bytes: u64,
    /// Held until the change is written.
    pub(crate) room: Option<Room>,
}

impl Edits {
    /// Returns the documents that the batch may write. Batches that share one must be written in
    /// order, each after the previous one has been acknowledged.
    pub(crate) fn touched(&self) -> HashSet<Cid> {
        self.documents.keys().copied().collect()
    }
}

impl Follower {
    /// Creates a follower of the files below `roots`, given the records of the index.
    pub(crate) fn new(records: Arc<Records>, roots: Vec<PathKey>) -> Self {
        Self { records, roots: roots.into_iter().collect(), moved: HashMap::new(), left_out: Vec::new() }
    }

    /// Takes the next batch of the input.
    pub(crate) fn take(&mut self, batch: Batch) -> Edits {
        let mut edits = Edits { bytes: batch.bytes, room: batch.room, ..Edits::default() };
        for item in batch.items {
            match item {
                Item::Line(document) => {
                    edits.read.push(document.cid);
                    let edit = Edit { content: Content::Line(document.clone()), ..Edit::default() };
                    edits.documents.insert(document.cid, edit);
                }
                Item::File(document, record) => {
                    let cid = document.cid;
                    edits.read.push(cid);
                    self.leave(&record.key, Some(cid), &mut edits);
                    let edit = edits.documents.entry(cid).or_default();
                    edit.content = Content::File(document);
                    edit.lost.remove(&record.key);
                    edit.gained.insert(record.key.clone(), record);
                }
                Item::Gone(key) => self.leave(&key, None, &mut edits),
            }
        }
        edits
    }

    /// Removes a path from all documents but `home`.
    fn leave(&mut self, key: &PathKey, home: Option<Cid>, edits: &mut Edits) {
        let owners = self.moved.insert(key.clone(), home.into_iter().collect());
        let owners = owners.unwrap_or_else(|| self.records.documents(key).collect());
        for owner in owners.into_iter().filter(|owner| Some(*owner) != home) {
            let edit = edits.documents.entry(owner).or_default();
            edit.gained.remove(key);
            edit.lost.insert(key.clone());
        }
    }

    /// Returns the change that applies `edits` to the documents in the index. Every earlier change
    /// of one of the documents must have been acknowledged.
    pub(crate) async fn change(&mut self, engine: &Engine, edits: Edits) -> Result<Change> {
        // A line replaces whatever the index has.
        let is_merged = |(_, edit): &(&Cid, &Edit)| !matches!(edit.content, Content::Line(_));
        let cids: Vec<Cid> = edits.documents.iter().filter(is_merged).map(|(cid, _)| *cid).collect();
        let mut current = engine.documents(&cids).await?.into_iter();
        let mut change = Change { bytes: edits.bytes, room: edits.room, ..Change::default() };
        for (cid, edit) in edits.documents {
            let Edit { content, gained, lost } = edit;
            if let Content::Line(document) = content {
                change.documents.push(document);
                continue;
            }
            let current = current.next().flatten();
            let mut records: BTreeMap<PathKey, FileRecord> =
                current.iter().flat_map(record::of).map(|record| (record.key.clone(), record)).collect();
            let had_records = !records.is_empty();
            records.retain(|key, _| !lost.contains(key));
            if !gained.is_empty() {
                self.drop_renamed(&mut records, &gained);
            }
            self.add(&mut records, gained);
            let new = match content {
                Content::File(read) if !records.is_empty() => Some(with_first_creation(read, current.as_ref())),
                _ if had_records && records.is_empty() => {
                    change.deleted.push(cid);
                    None
                }
                _ => current.clone().filter(|_| had_records),
            };
            if let Some(mut new) = new {
                record::set(&mut new, records.values());
                change.documents.extend((current.as_ref() != Some(&new)).then_some(new));
            }
        }
        let stored: HashSet<Cid> = change.documents.iter().map(|document| document.cid).collect();
        change.read = edits.read.into_iter().filter(|cid| stored.contains(cid)).collect();
        Ok(change)
    }

    /// Removes the records of files below the roots that were renamed: they are gone, and their
    /// content was found under another path.
    fn drop_renamed(&mut self, records: &mut BTreeMap<PathKey, FileRecord>, gained: &BTreeMap<PathKey, FileRecord>) {
        let roots = &self.roots;
        let moved = &mut self.moved;
        records.retain(|key, _| {
            let stays = gained.contains_key(key) || !key.is_within_any(roots) || exists(key);
            if !stays {
                moved.insert(key.clone(), Vec::new());
            }
            stays
        });
    }

    /// Adds as many records as fit into a document.
    fn add(&mut self, records: &mut BTreeMap<PathKey, FileRecord>, gained: BTreeMap<PathKey, FileRecord>) {
        for (key, record) in gained {
            if records.len() < MAX_LIST_VALUES || records.contains_key(&key) {
                records.insert(key, record);
            } else {
                self.moved.insert(key, Vec::new());
                self.left_out.push(record.path);
            }
        }
    }

    /// Returns whether the index has a document of this path, as far as is known before the last
    /// changes are made.
    pub(crate) fn has(&self, key: &PathKey) -> bool {
        self.moved.get(key).map_or_else(|| self.records.knows(key), |owners| !owners.is_empty())
    }

    /// Returns the paths that were left out because too many files have the same content.
    pub(crate) fn into_left_out(self) -> Vec<String> {
        self.left_out
    }
}

/// Returns whether there is anything at this path, or whether that is unknown.
fn exists(key: &PathKey) -> bool {
    let Some(path) = key.to_path() else { return true };
    !path.symlink_metadata().is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// The document keeps the time at which the first of its files was created.
fn with_first_creation(mut read: Document, current: Option<&Document>) -> Document {
    let known = current.and_then(|current| current.created_at);
    read.created_at = read.created_at.into_iter().chain(known).min();
    read
}
