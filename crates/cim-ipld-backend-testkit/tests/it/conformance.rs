//! The suite passes on the reference backend and through every wrapper, and fails on backends that
//! violate a rule.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Key, KeyPrefix, Limits, MemoryBackend, Precondition, Result, Revision,
    WatchEvent, WatchStream,
};
use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_backend_testkit::{Counting, Crashing, FaultInjecting};
use futures::{FutureExt, StreamExt};

#[tokio::test]
async fn memory_backend_conforms() {
    conformance::run(async || Fixture::new(MemoryBackend::new())).await;
}

#[tokio::test]
async fn wrappers_conform() {
    conformance::run(async || {
        let crashing = Crashing::new();
        let reopened = crashing.clone();
        let wrapped = Counting::over(Arc::new(FaultInjecting::new(crashing)));
        Fixture::new(wrapped).reopened_by(async move || reopened.reopen())
    })
    .await;
}

/// Each defect, and a case that must detect it.
const DEFECTS: &[(Defect, &str)] = &[
    (Defect::IgnoresPreconditions, "preconditions_decide_as_the_table_says"),
    (Defect::CutsValues, "values_of_every_allowed_size_are_kept"),
    (Defect::TakesAnySize, "a_value_over_the_limit_is_too_large"),
    (Defect::ScansBackwards, "a_scan_is_in_order_and_ends"),
    (Defect::ScansFromTheStart, "a_scan_starts_after_a_revision"),
    (Defect::ComparesPrefixesAsText, "a_prefix_ends_at_a_token"),
    (Defect::KeepsDeleted, "deleted_keys_are_gone_everywhere"),
    (Defect::RepeatsWatched, "a_watch_catches_up_once_then_follows"),
    (Defect::SkipsWatched, "a_watch_misses_nothing_while_others_write"),
    (Defect::GivesOneRevision, "revisions_grow_across_keys"),
    (Defect::InventsBuckets, "a_missing_bucket_is_an_error_everywhere"),
    (Defect::ForgetsOnReopen, "acknowledged_state_survives_reopening"),
];

/// Time is paused, so a watch that never delivers anything costs no time.
#[tokio::test(start_paused = true)]
async fn defects_are_noticed() {
    for &(defect, case) in DEFECTS {
        let run = conformance::run(async || {
            let broken = Broken { inner: MemoryBackend::new(), defect, seen: Arc::default() };
            let inner =
                if matches!(defect, Defect::ForgetsOnReopen) { MemoryBackend::new() } else { broken.inner.clone() };
            for name in ["Log", "Objects"].map(|kind| format!("acknowledged_state_survives_reopening_{kind}")) {
                inner.create(&Bucket::log(&name).unwrap()).await.unwrap();
            }
            Fixture::new(broken).reopened_by(async move || inner)
        });
        let panic = AssertUnwindSafe(run).catch_unwind().await.expect_err("a broken backend passed");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains(case), "{defect:?} was not noticed by {case}: {message}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    IgnoresPreconditions,
    CutsValues,
    TakesAnySize,
    ScansBackwards,
    ScansFromTheStart,
    ComparesPrefixesAsText,
    KeepsDeleted,
    RepeatsWatched,
    SkipsWatched,
    GivesOneRevision,
    InventsBuckets,
    ForgetsOnReopen,
}

#[derive(Debug)]
struct Broken {
    inner: MemoryBackend,
    defect: Defect,
    seen: Arc<AtomicU64>,
}

impl Broken {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

#[async_trait]
impl Backend for Broken {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.inner.create(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        if self.is(Defect::InventsBuckets) {
            self.inner.create(bucket).await?;
        }
        self.inner.get(bucket, key).await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, mut value: Bytes, given: Precondition) -> Result<Revision> {
        let precondition = if self.is(Defect::IgnoresPreconditions) { Precondition::Any } else { given };
        if self.is(Defect::CutsValues) {
            value.truncate(100_000);
        }
        if self.is(Defect::TakesAnySize) {
            value.truncate(self.limits().max_value_bytes);
        }
        let revision = self.inner.put(bucket, key, value, precondition).await?;
        Ok(if self.is(Defect::GivesOneRevision) { Revision::new(1) } else { revision })
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        if self.is(Defect::KeepsDeleted) {
            return self.inner.delete(bucket, &[]).await;
        }
        self.inner.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        let after = if self.is(Defect::ScansFromTheStart) { Revision::ZERO } else { after };
        let as_text = self.is(Defect::ComparesPrefixesAsText);
        let wider = if as_text { KeyPrefix::all() } else { prefix.clone() };
        let text = prefix.tokens().unwrap_or_default().to_owned();
        let entries = self.inner.scan(bucket, &wider, after);
        let entries = entries.filter(move |item| {
            let wanted = !as_text || item.as_ref().is_ok_and(|found| found.key.as_str().starts_with(&text));
            std::future::ready(wanted)
        });
        if !self.is(Defect::ScansBackwards) {
            return entries.boxed();
        }
        let reversed = entries.collect::<Vec<_>>().map(|all| futures::stream::iter(all.into_iter().rev()));
        reversed.flatten_stream().boxed()
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        let (defect, seen) = (self.defect, Arc::clone(&self.seen));
        let events = self.inner.watch(bucket, prefix, after).flat_map(move |event| {
            let times = match &event {
                Ok(WatchEvent::Entry(_)) if defect == Defect::RepeatsWatched => 2,
                Ok(WatchEvent::Entry(_)) if defect == Defect::SkipsWatched => {
                    usize::from(seen.fetch_add(1, Ordering::SeqCst) % 100 != 99)
                }
                _ => 1,
            };
            let again = match &event {
                Ok(event) if times == 2 => vec![Ok(event.clone())],
                _ => Vec::new(),
            };
            let first = if times == 0 { None } else { Some(event) };
            futures::stream::iter(first.into_iter().chain(again))
        });
        events.boxed()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
