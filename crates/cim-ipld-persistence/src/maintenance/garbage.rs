//! Garbage collection: removes the objects that crashes left behind, by mark and sweep.
//!
//! Another process may have stored an object for a manifest that it has not published yet. Two
//! rules make it safe to remove such an object. First, everything removed was stored before the
//! collection published a manifest of its own: the revisions of a bucket increase, so whatever has
//! a lower revision than an entry that was read before that publication is older. Second, a
//! manifest names only objects that were stored after its predecessor was known, or that its
//! predecessor or a snapshot named. A process that is suspended between storing an object and
//! publishing the manifest that names it thus finds that its manifest is superseded, and starts
//! over. The same holds for the records of the journal whose bodies are separate objects: the
//! collection stores the root again, and the store then refuses the records that were sealed
//! before.
//!
//! The grace period only keeps collections from making other processes repeat their work. Since the
//! store has no clock, a collection stores a mark with the time in each bucket: whatever has a
//! lower revision than the mark was stored before that time.

use std::time::Duration;

use cim_ipld_backend::{Bucket, ErrorKind as StoreErrorKind, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::SealOptions;
use futures::StreamExt;

use super::Maintenance;
use super::verify::ObjectCount;
use crate::history::manifest::is_missing_or_invalid;
use crate::history::reachable::Reachable;
use crate::history::references::References;
use crate::history::update::{Outcome, Proposal, publish};
use crate::objects::layout::AGE_MARKS;
use crate::objects::{Address, Backoff, Objects, kind};
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// The largest number of objects removed by one call to the store.
const REMOVED_TOGETHER: usize = 256;

/// The number of times that a collection tries to store the root again.
const RENEWALS: usize = 8;

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
    /// Objects that were stored within this time are kept, even if nothing names them. The default
    /// is one day.
    ///
    /// Nothing that is needed is removed even if it is zero. But then a fold, merge or snapshot of
    /// another process that is in progress during the collection has to store its objects again.
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
    pub(super) maintenance: &'a Maintenance,
    /// The objects of the index, with a final root.
    pub(super) objects: &'a Objects,
    pub(super) options: &'a GarbageOptions,
    pub(super) progress: &'a (dyn Fn(&GarbageReport) + Send + Sync),
}

/// What is reachable as of a manifest.
struct Marked {
    reachable: Reachable,
    /// Whether that manifest is the fence of this collection, or a later one: whatever it does not
    /// name and was stored before the fence will never be named.
    is_fenced: bool,
}

impl Collection<'_> {
    /// Removes the garbage.
    pub(super) async fn run(&self) -> Result<GarbageReport> {
        let layout = &self.objects.layout;
        let mut report = GarbageReport::default();
        // The ages are determined first: what a process stores from now on is young.
        let mut bounds = Vec::new();
        for bucket in layout.buckets() {
            bounds.push((bucket, self.old_below(bucket).await?));
        }
        let mut marked = self.mark().await?;
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
                    self.sweep(bucket, &mut garbage, &mut marked, &mut report).await?;
                }
            }
            self.sweep(bucket, &mut garbage, &mut marked, &mut report).await?;
        }
        Ok(report)
    }

    /// Determines what is reachable as of the newest manifest.
    async fn mark(&self) -> Result<Marked> {
        loop {
            let manifest = self.maintenance.manifest_in_store().await?;
            let digest = manifest.digest;
            let references = References::of(self.objects, manifest).await;
            let reachable = Reachable::of(self.objects, &references).await?;
            let Some(error) = reachable.unreadable.first() else {
                return Ok(Marked { reachable, is_fenced: self.options.dry_run });
            };
            // What a newer manifest does not name any more may have been removed.
            if is_missing_or_invalid(error) && self.maintenance.manifest_in_store().await?.digest != digest {
                continue;
            }
            let message = format!("garbage cannot be told from what is needed, because {error}");
            return Err(Error::new(error.kind(), message).about_same(error).with_source(error.clone()));
        }
    }

    /// Publishes the manifest that supersedes every manifest in preparation, then determines again
    /// what is reachable.
    async fn fence(&self) -> Result<Marked> {
        let shared = &self.maintenance.shared;
        if shared.objects.rules.enforces(Rule::CollectionFence) {
            // Otherwise a fold of this process could be superseded.
            let _turn = self.maintenance.turn().await?;
            let published_last = shared.published_last();
            loop {
                let current = shared.view().manifest.clone();
                let mut proposal = Proposal::based_on(&current.manifest);
                proposal.collections += 1;
                if publish(shared, &current, proposal, None).await? == Outcome::Published {
                    break;
                }
            }
            if published_last {
                shared.note_published();
            }
            self.renew_root().await?;
        }
        Ok(Marked { is_fenced: true, ..self.mark().await? })
    }

    /// Stores the root again. From then on, the store refuses the records whose bodies were stored
    /// before.
    async fn renew_root(&self) -> Result<()> {
        let objects = &self.maintenance.shared.objects;
        let (catalog, key) = (&objects.layout.catalog, &objects.layout.root);
        let mut backoff = Backoff::new();
        for _ in 0..RENEWALS {
            let known = objects.root().record.clone();
            let there = objects.backend.get(catalog, key).await?;
            // Otherwise the root is being replaced or repaired, which the follower will notice.
            if let Some(there) = there.filter(|there| there.value == known) {
                match objects.write(catalog, key, known.clone(), Precondition::Unchanged(there.revision)).await {
                    Ok(revision) if revision > there.revision => {
                        objects.root_seen_at(&known, revision);
                        return Ok(());
                    }
                    // The value is the same as before, so it does not identify the write.
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => return Err(error),
                }
            }
            backoff.wait().await;
        }
        Err(Error::new(ErrorKind::Conflict, "other processes kept changing the keyset during the garbage collection"))
    }

    /// Removes the collected objects that are not reachable.
    async fn sweep(
        &self,
        bucket: &Bucket,
        garbage: &mut Vec<(Key, usize)>,
        marked: &mut Marked,
        report: &mut GarbageReport,
    ) -> Result<()> {
        if !garbage.is_empty() && !marked.is_fenced {
            *marked = self.fence().await?;
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
        if grace > 0 && youngest.is_some_and(|time| time > now.saturating_sub(grace)) {
            return Ok(bound);
        }
        let replaced = (0..AGE_MARKS)
            .min_by_key(|number| marks[usize::from(*number)].1.map_or(i64::MIN, |mark| mark.time_ms))
            .expect("there are two");
        let stored = AgeMark::store(objects, bucket, replaced, marks[usize::from(replaced)].0, now).await?;
        Ok(if grace == 0 { stored } else { bound })
    }
}

/// Returns the time of the youngest mark of a bucket, if there is one.
pub(super) async fn last_marked(objects: &Objects, bucket: &Bucket) -> Result<Option<i64>> {
    let mut last = None;
    for number in 0..AGE_MARKS {
        let (_, mark) = AgeMark::read(objects, bucket, number).await?;
        last = last.max(mark.map(|mark| mark.time_ms));
    }
    Ok(last)
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
