//! The records of all files in an index.

use std::collections::{HashMap, HashSet};

use cim_ipld::Cid;
use cim_ipld::index::{Facet, Query, SearchOptions};
use cim_ipld::persistence::Engine;

use super::record::{RECORDS, RecordText};
use super::{PathKey, Stamp};
use crate::failure::Result;

/// The size at which a batch of paths is closed.
const PATHS_IN_A_BATCH: usize = 500;

/// The records of all files in an index, by path, as they were when they were read.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// One entry per document with this path: more than one only if two processes indexed the file
    /// at the same time.
    by_path: HashMap<PathKey, Vec<(Cid, Stamp)>>,
}

impl Records {
    /// Reads all records: the names of one facet. They are adjacent in the index, so this reads a
    /// few pages in a constant number of rounds, and no document.
    pub(crate) async fn load(engine: &Engine) -> Result<Self> {
        let facet = Facet::attribute(RECORDS).limit(usize::MAX);
        let found = engine.search(&Query::everything(), &SearchOptions::default().limit(0).facet(facet)).await?;
        let mut records = Self::default();
        for (text, _) in found.facets.iter().flat_map(|facet| &facet.counts) {
            if let Some(record) = RecordText::parse(text) {
                records.by_path.entry(PathKey::from_text(record.key)).or_default().push((record.cid, record.stamp));
            }
        }
        Ok(records)
    }

    /// Returns whether the file at `key` has been indexed and, according to its stamp, has not
    /// changed since.
    pub(crate) fn is_unchanged(&self, key: &PathKey, now: &Stamp) -> bool {
        matches!(self.of(key), [(_, then)] if then.proves_unchanged(now))
    }

    /// Returns whether exactly this content was indexed under `key` and nothing else.
    pub(crate) fn has_content(&self, key: &PathKey, cid: &Cid) -> bool {
        matches!(self.of(key), [(known, _)] if known == cid)
    }

    pub(crate) fn knows(&self, key: &PathKey) -> bool {
        self.by_path.contains_key(key)
    }

    pub(crate) fn documents(&self, key: &PathKey) -> impl Iterator<Item = Cid> {
        self.of(key).iter().map(|(cid, _)| *cid)
    }

    /// Returns the paths within a folder, or the path itself if it is a file.
    pub(crate) fn within<'a>(&'a self, folder: &'a PathKey) -> impl Iterator<Item = &'a PathKey> {
        self.by_path.keys().filter(|key| key.is_within(folder))
    }

    /// Returns the paths within any of the folders.
    pub(crate) fn within_any(&self, folders: &HashSet<PathKey>) -> impl Iterator<Item = &PathKey> {
        self.by_path.keys().filter(|key| key.is_within_any(folders))
    }

    /// Groups paths into batches, in which all of the paths of a document are together.
    pub(crate) fn by_document<'a>(&self, keys: impl Iterator<Item = &'a PathKey>) -> Vec<Vec<PathKey>> {
        let mut keys: Vec<(Option<Cid>, &PathKey)> = keys.map(|key| (self.documents(key).next(), key)).collect();
        keys.sort_unstable();
        let mut batches: Vec<Vec<PathKey>> = Vec::new();
        for of_document in keys.chunk_by(|(one, _), (other, _)| one == other) {
            match batches.last_mut().filter(|batch| batch.len() < PATHS_IN_A_BATCH) {
                Some(batch) => batch.extend(of_document.iter().map(|(_, key)| (*key).clone())),
                None => batches.push(of_document.iter().map(|(_, key)| (*key).clone()).collect()),
            }
        }
        batches
    }

    fn of(&self, key: &PathKey) -> &[(Cid, Stamp)] {
        self.by_path.get(key).map_or(&[], Vec::as_slice)
    }
}
