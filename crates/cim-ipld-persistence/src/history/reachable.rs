//! Reachability: which objects of the store an index needs. An object that is not named here is
//! garbage, unless a process has just stored it.

use std::collections::HashSet;

use cim_ipld_backend::{Bucket, Key, Revision};
use futures::StreamExt;

use super::manifest::{self, ManifestVersion, ancestry_nodes};
use super::order::Order;
use super::records;
use super::references::References;
use crate::format::digest::Digest;
use crate::format::manifest::SegmentEntry;
use crate::format::name_secret::NameSecret;
use crate::objects::Objects;
use crate::objects::chunked::Chunked;
use crate::objects::layout::{AGE_MARKS, Layout};
use crate::objects::segments::SegmentHandle;
use crate::{Error, Result};

/// The names of all objects that a manifest needs: its own, those of its snapshots, and those of
/// the records in the journal.
pub(crate) struct Reachable {
    names: Names,
    /// The secrets of the segments and chunked objects whose names were inserted. Snapshots name
    /// most segments again.
    inserted: HashSet<NameSecret>,
    /// Why some names are unknown: the objects that contain them cannot be read.
    pub(crate) unreadable: Vec<Error>,
}

impl Reachable {
    pub(crate) async fn of(objects: &Objects, references: &References) -> Result<Self> {
        let layout = &objects.layout;
        let mut reachable = Self { names: Names::default(), inserted: HashSet::new(), unreadable: Vec::new() };
        reachable.insert(&layout.catalog, &layout.root);
        reachable.insert(&layout.catalog, &layout.manifest);
        for bucket in layout.buckets() {
            for number in 0..AGE_MARKS {
                reachable.insert(bucket, &layout.age_mark(bucket, number)?);
            }
        }
        for (entry, read) in &references.snapshots {
            reachable.insert(&layout.catalog, &Layout::snapshot(entry)?);
            match read {
                Ok(record) => reachable.insert_segments(layout, &record.segments)?,
                Err(error) => reachable.unreadable.push(error.clone()),
            }
        }
        reachable.insert_segments(layout, &references.manifest.manifest.segments)?;
        let order = reachable.insert_order(objects, &references.manifest).await?;
        for key in ancestry_nodes(&references.manifest)? {
            reachable.insert(&layout.metadata, &key);
        }
        reachable.insert_journal(objects, order.as_ref()).await?;
        reachable.names.sort();
        Ok(reachable)
    }

    fn insert(&mut self, bucket: &Bucket, key: &Key) {
        self.names.push(bucket, key);
    }

    fn insert_chunks(&mut self, layout: &Layout, chunked: &Chunked) -> Result<()> {
        if self.inserted.insert(chunked.secret) {
            for key in chunked.keys()? {
                self.insert(&layout.metadata, &key);
            }
        }
        Ok(())
    }

    fn insert_segments(&mut self, layout: &Layout, segments: &[SegmentEntry]) -> Result<()> {
        for entry in segments {
            if let Some(deletes) = &entry.deletes {
                self.insert_chunks(layout, &deletes.chunked())?;
            }
            if !self.inserted.insert(entry.secret) {
                continue;
            }
            for object in SegmentHandle::new(entry.clone()).objects(layout) {
                let (bucket, key) = object?;
                self.insert(bucket, &key);
            }
        }
        Ok(())
    }

    /// Inserts the window of the order and the blocks of digests that it names.
    /// Returns the order at the manifest, or `None` if it cannot be read.
    async fn insert_order(&mut self, objects: &Objects, manifest: &ManifestVersion) -> Result<Option<Order>> {
        if let Some(window) = &manifest.manifest.window {
            self.insert_chunks(&objects.layout, &window.chunked())?;
        }
        match manifest.order(objects).await {
            Ok(order) => {
                for block in order.blocks() {
                    self.insert_chunks(&objects.layout, &block.chunked())?;
                }
                Ok(Some(order))
            }
            Err(error) if manifest::is_missing_or_invalid(&error) => {
                self.unreadable.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Inserts the entries of the journal and the bodies that they name. The journal is trimmed by
    /// the rules of the order, not here.
    async fn insert_journal(&mut self, objects: &Objects, order: Option<&Order>) -> Result<()> {
        let layout = &objects.layout;
        let mut entries = objects.backend.scan(&layout.catalog, &layout.journal, Revision::ZERO);
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            self.insert(&layout.catalog, &entry.key);
            match records::open(objects, &entry) {
                Ok(opened) => {
                    if let Some(chunked) = records::chunked(&opened.record.body) {
                        self.insert_chunks(layout, &chunked)?;
                    }
                }
                // The record may still be put back from a copy, and would then need its body.
                Err(error) if may_be_needed(order, &entry.key) => {
                    self.unreadable.push(error.about(&layout.catalog, entry.key.as_str()));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn contains(&self, bucket: &Bucket, key: &Key) -> bool {
        self.names.contains(bucket, key)
    }
}

/// Returns whether the key belongs to a record that the manifest does not cover.
fn may_be_needed(order: Option<&Order>, key: &Key) -> bool {
    let place = Layout::parse_record_key(key);
    place.is_some_and(|(writer, sequence)| order.is_none_or(|order| !order.has_passed(writer, sequence)))
}

/// A set of object names that takes 8 bytes for each of them, and at most 16 until it is sorted.
///
/// The set contains hashes of the names. If the hash of an object that nothing names is in the set
/// by chance, that object is kept. The probability is 1 in 18 trillion for a set of a million
/// names.
#[derive(Default)]
struct Names(Vec<u64>);

impl Names {
    fn push(&mut self, bucket: &Bucket, key: &Key) {
        self.0.push(hash(bucket, key));
    }

    /// Completes the set.
    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
    }

    /// Returns whether the completed set contains a name.
    fn contains(&self, bucket: &Bucket, key: &Key) -> bool {
        self.0.binary_search(&hash(bucket, key)).is_ok()
    }
}

fn hash(bucket: &Bucket, key: &Key) -> u64 {
    let digest = Digest::of("cim/v1/object-name", &[bucket.name().as_bytes(), key.as_str().as_bytes()]);
    u64::from_le_bytes(*digest.0.first_chunk().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_names_take_eight_bytes_each() {
        const COUNT: usize = 1_000_000;
        let buckets = ["text_index_v1", "metadata_cache_v1"].map(|name| Bucket::objects(name).expect("a name"));
        let key = |number: usize| Key::new(&format!("k{number}")).expect("a key");
        let mut names = Names::default();
        let bytes = |names: &Names| names.0.capacity() * size_of::<u64>();
        for number in 0..COUNT {
            names.push(&buckets[0], &key(number));
            names.push(&buckets[0], &key(number / 1000));
            assert!(bytes(&names) <= 16 * names.0.len().max(4), "{number}");
        }
        names.sort();
        assert_eq!(bytes(&names), 8 * COUNT);
        for number in (0..COUNT).step_by(997) {
            assert!(names.contains(&buckets[0], &key(number)), "{number}");
            assert!(!names.contains(&buckets[1], &key(number)), "{number}");
            assert!(!names.contains(&buckets[0], &key(COUNT + number)), "{number}");
        }
    }
}
