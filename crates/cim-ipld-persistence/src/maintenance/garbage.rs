//! Garbage collection: removes the objects that crashes left behind, by mark and sweep.
//!
//! An object that nothing names is garbage only if it is old, because another process may have
//! stored it for a manifest that it has not published yet. The store has no clock, but the
//! revisions of a bucket increase. A collection therefore stores a mark with the time in each
//! bucket: whatever has a lower revision than the mark was stored before the mark, whose time was
//! read just before it was stored.

use std::time::Duration;

use cim_ipld_backend::{Bucket, ErrorKind as StoreErrorKind, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::SealOptions;
use futures::StreamExt;

use super::verify::ObjectCount;
use crate::format::digest::Digest;
use crate::history::manifest::ManifestVersion;
use crate::history::reachable::Reachable;
use crate::history::references::References;
use crate::objects::layout::AGE_MARKS;
use crate::objects::{Address, Objects, kind};
use crate::{Error, ErrorKind, Result};

/// The largest number of objects removed by one call to the store. The manifest is read again
/// before each call.
const REMOVED_TOGETHER: usize = 256;

/// How [`Engine::collect_garbage`](crate::Engine::collect_garbage) works.
///
/// ```
/// use std::time::Duration;
///
/// use cim_ipld_persistence::GarbageOptions;
///
/// let options = GarbageOptions::default();
/// assert_eq!(options.grace_period, Duration::from_secs(24 * 60 * 60));
/// assert!(!options.dry_run);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GarbageOptions {
    /// Objects that were stored within this time are kept, even if nothing names them. It must be
    /// longer than any fold, merge or write of another process takes, including time during which
    /// that process is suspended, and longer than the largest difference between the clocks of the
    /// processes that collect garbage. The default is one day.
    pub grace_period: Duration,
    /// Whether to count only and remove nothing. The default is `false`.
    pub dry_run: bool,
}

impl Default for GarbageOptions {
    fn default() -> Self {
        Self { grace_period: Duration::from_secs(24 * 60 * 60), dry_run: false }
    }
}

/// The result of [`Engine::collect_garbage`](crate::Engine::collect_garbage), and its progress.
///
/// ```
/// use cim_ipld_persistence::{GarbageReport, ObjectCount};
///
/// assert_eq!(GarbageReport::default().removed, ObjectCount::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GarbageReport {
    /// The objects examined.
    pub examined: ObjectCount,
    /// The objects removed, or those that would have been.
    pub removed: ObjectCount,
    /// The objects that nothing names but that are kept, because they may have been stored within
    /// the grace period.
    pub young: ObjectCount,
}

/// One collection.
pub(super) struct Collection<'a> {
    pub(super) objects: &'a Objects,
    pub(super) options: &'a GarbageOptions,
    pub(super) progress: &'a (dyn Fn(&GarbageReport) + Send + Sync),
}

/// What is reachable as of a manifest.
struct Marked {
    manifest: Digest,
    reachable: Reachable,
}

impl Collection<'_> {
    /// Removes the garbage. `newest` reads the newest manifest.
    pub(super) async fn run<F: Future<Output = Result<ManifestVersion>>>(
        &self,
        newest: impl Fn() -> F,
    ) -> Result<GarbageReport> {
        let layout = &self.objects.layout;
        let mut report = GarbageReport::default();
        // The ages are determined first: what a process stores from now on is young.
        let mut bounds = Vec::new();
        for bucket in layout.buckets() {
            bounds.push((bucket, self.old_below(bucket).await?));
        }
        let mut marked = self.mark(newest().await?).await?;
        for (bucket, bound) in bounds {
            let prefix = if *bucket == layout.catalog { &layout.snapshots } else { &KeyPrefix::all() };
            let mut entries = self.objects.backend.scan(bucket, prefix, Revision::ZERO);
            let mut garbage = Vec::new();
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                let bytes = entry.entry.value.len();
                report.examined.add(bytes);
                if marked.reachable.contains(bucket, &entry.key) {
                    continue;
                }
                if entry.entry.revision >= bound {
                    report.young.add(bytes);
                    continue;
                }
                garbage.push((entry.key, bytes));
                if garbage.len() >= REMOVED_TOGETHER {
                    self.sweep(bucket, &mut garbage, &mut marked, &newest, &mut report).await?;
                }
            }
            self.sweep(bucket, &mut garbage, &mut marked, &newest, &mut report).await?;
        }
        Ok(report)
    }

    async fn mark(&self, manifest: ManifestVersion) -> Result<Marked> {
        let references = References::of(self.objects, manifest).await;
        let reachable = Reachable::of(self.objects, &references).await?;
        if let Some(error) = reachable.unreadable.first() {
            let message = format!("garbage cannot be told from what is needed, because {error}");
            return Err(Error::new(error.kind(), message).about_same(error).with_source(error.clone()));
        }
        Ok(Marked { manifest: references.manifest.digest, reachable })
    }

    /// Removes the collected objects, unless a newer manifest names them.
    async fn sweep<F: Future<Output = Result<ManifestVersion>>>(
        &self,
        bucket: &Bucket,
        garbage: &mut Vec<(Key, usize)>,
        marked: &mut Marked,
        newest: &impl Fn() -> F,
        report: &mut GarbageReport,
    ) -> Result<()> {
        if !garbage.is_empty() {
            let manifest = newest().await?;
            if manifest.digest != marked.manifest {
                *marked = self.mark(manifest).await?;
            }
        }
        garbage.retain(|(key, _)| !marked.reachable.contains(bucket, key));
        let keys: Vec<Key> = garbage.iter().map(|(key, _)| key.clone()).collect();
        if !self.options.dry_run && !keys.is_empty() {
            self.objects.backend.delete(bucket, &keys).await?;
        }
        for (_, bytes) in garbage.drain(..) {
            report.removed.add(bytes);
        }
        (self.progress)(report);
        Ok(())
    }

    /// Returns the revision below which the objects of a bucket are older than the grace period,
    /// and stores a new mark if it is time for one.
    async fn old_below(&self, bucket: &Bucket) -> Result<Revision> {
        let objects = self.objects;
        let now = objects.environment.now().0;
        let grace = i64::try_from(self.options.grace_period.as_millis()).unwrap_or(i64::MAX);
        let mut marks = Vec::new();
        for number in 0..AGE_MARKS {
            marks.push(AgeMark::read(objects, bucket, number).await?);
        }
        let old = marks.iter().filter_map(|(_, mark)| *mark).filter(|mark| mark.time_ms <= now.saturating_sub(grace));
        let bound = old.map(|mark| mark.revision).max().unwrap_or(Revision::ZERO);
        if self.options.dry_run {
            return Ok(if grace == 0 { Revision::new(u64::MAX) } else { bound });
        }
        // The mark that is replaced must not be the only one that is old enough.
        let youngest = marks.iter().filter_map(|(_, mark)| *mark).map(|mark| mark.time_ms).max();
        if youngest.is_some_and(|time| time > now.saturating_sub(grace)) {
            return Ok(bound);
        }
        let replaced = (0..AGE_MARKS)
            .min_by_key(|number| marks[usize::from(*number)].1.map_or(i64::MIN, |mark| mark.time_ms))
            .expect("there are two");
        let stored = AgeMark::store(objects, bucket, replaced, marks[usize::from(replaced)].0, now).await?;
        Ok(if grace == 0 { stored } else { bound })
    }
}

/// A mark. Every object of the bucket with a lower revision was stored before the mark, whose time
/// was read just before it was stored.
#[derive(Clone, Copy, Debug)]
struct AgeMark {
    time_ms: i64,
    revision: Revision,
}

impl AgeMark {
    /// Returns the revision of the entry, and the mark if there is one that opens.
    async fn read(objects: &Objects, bucket: &Bucket, number: u8) -> Result<(Option<Revision>, Option<Self>)> {
        let key = objects.layout.age_mark(bucket, number)?;
        let address = address(bucket, &key);
        let entry = match objects.backend.get(bucket, &key).await {
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => None,
            read => read?,
        };
        let Some(entry) = entry else { return Ok((None, None)) };
        let revision = entry.revision;
        let Ok(content) = objects.open(&address, entry.value) else { return Ok((Some(revision), None)) };
        let time = content.as_ref().try_into().ok().map(i64::from_le_bytes);
        Ok((Some(revision), time.map(|time_ms| Self { time_ms, revision })))
    }

    /// Replaces the entry that has the revision `found`.
    async fn store(
        objects: &Objects,
        bucket: &Bucket,
        number: u8,
        found: Option<Revision>,
        now: i64,
    ) -> Result<Revision> {
        let key = objects.layout.age_mark(bucket, number)?;
        let sealed = objects.seal(&address(bucket, &key), &now.to_le_bytes(), &SealOptions::default())?;
        let precondition = found.map_or(Precondition::Absent, Precondition::Unchanged);
        let stored = objects.write(bucket, &key, sealed, precondition).await;
        stored.map_err(|error| match error.kind() {
            ErrorKind::Conflict => {
                Error::new(error.kind(), "another process is collecting the garbage").with_source(error)
            }
            _ => error,
        })
    }
}

fn address<'a>(bucket: &'a Bucket, key: &'a Key) -> Address<'a> {
    Address { bucket, kind: kind::AGE_MARK, name: key.as_str(), generation: 0 }
}
