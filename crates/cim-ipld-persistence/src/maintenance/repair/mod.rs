//! Repairs an index that has lost objects: puts back what archives and other stores have, rebuilds
//! what is derived from the stored documents, and gives up the rest, so that the index opens again.
//!
//! Nothing that can be read is removed before the repaired manifest is published. An interrupted
//! repair can simply be run again.

mod ancestry;
mod documents;
mod journal;
mod named;
mod overlay;
mod publish;
mod report;
mod segment;
mod source;
mod source_state;

use std::collections::HashSet;
use std::sync::Arc;

use cim_ipld_backend::{Bucket, Key, Precondition};
use cim_ipld_envelope::{Compression, KeySource, SealOptions};
use cim_ipld_index::Analyzer;

use crate::error::StoredObject;
use crate::history::manifest::{ManifestVersion, is_missing_or_invalid};
use crate::objects::Objects;
use crate::{Result, Settings};

pub(crate) use overlay::Overlay;
pub use report::{RepairOptions, RepairReport};
pub use source::{RepairSource, StoreSource};

/// One repair of an index.
pub(crate) struct Repair<'a> {
    objects: &'a Arc<Objects>,
    analyzer: &'a Analyzer,
    settings: &'a Settings,
    sources: &'a [Arc<dyn RepairSource>],
    key: Option<&'a KeySource>,
    /// The copies that were tried: an object and the number of a source.
    tried: HashSet<(StoredObject, usize)>,
    report: RepairReport,
}

impl<'a> Repair<'a> {
    pub(crate) fn new(
        objects: &'a Arc<Objects>,
        analyzer: &'a Analyzer,
        settings: &'a Settings,
        sources: &'a [Arc<dyn RepairSource>],
        key: Option<&'a KeySource>,
    ) -> Self {
        Self { objects, analyzer, settings, sources, key, tried: HashSet::new(), report: RepairReport::default() }
    }

    pub(crate) async fn run(mut self, manifest: ManifestVersion) -> Result<RepairReport> {
        for bucket in self.objects.layout.buckets() {
            self.objects.backend.create(bucket).await?;
        }
        let named = self.restore_named(&manifest).await?;
        let tail = self.read_journal(&manifest, &named).await?;
        if !named.is_whole() || tail.needs_fold {
            self.publish(manifest, named, tail).await?;
        }
        Ok(self.report)
    }

    /// Calls `read`. Whenever it finds an object missing or damaged, stores the next copy from the
    /// sources in its place and calls `read` again. The inner result holds the error that is left
    /// when no source has another copy; the outer error is any other failure.
    async fn read<T>(&mut self, read: impl AsyncFn() -> Result<T>) -> Result<Result<T>> {
        let mut stored: Option<StoredObject> = None;
        loop {
            let error = match read().await {
                Err(error) if is_missing_or_invalid(&error) => error,
                done => {
                    if done.is_ok() && stored.is_some() {
                        self.report.restored_objects += 1;
                    }
                    return done.map(Ok);
                }
            };
            let Some(object) = error.object().cloned() else { return Ok(Err(error)) };
            if stored.as_ref().is_some_and(|before| *before != object) {
                self.report.restored_objects += 1;
            }
            if !self.store_copy(&object).await? {
                return Ok(Err(error));
            }
            stored = Some(object);
        }
    }

    /// Stores the next copy of an object that was not tried yet. Returns false if there is none.
    async fn store_copy(&mut self, object: &StoredObject) -> Result<bool> {
        let Some(bucket) = self.bucket(&object.bucket) else { return Ok(false) };
        for (number, source) in self.sources.iter().enumerate() {
            if !self.tried.insert((object.clone(), number)) {
                continue;
            }
            let Some(sealed) = source.object(object).await? else { continue };
            let key = Key::new(&object.key)?;
            let found = self.objects.backend.get(&bucket, &key).await?;
            let precondition = found.map_or(Precondition::Absent, |entry| Precondition::Unchanged(entry.revision));
            self.objects.write(&bucket, &key, sealed, precondition).await?;
            return Ok(true);
        }
        Ok(false)
    }

    fn bucket(&self, name: &str) -> Option<Bucket> {
        self.objects.layout.buckets().into_iter().find(|bucket| bucket.name() == name).cloned()
    }

    fn text_options(&self) -> SealOptions {
        let level = self.settings.compression_level;
        level.map_or_else(SealOptions::default, |level| {
            SealOptions::default().compressed(Compression { level, ..Compression::default() })
        })
    }
}
