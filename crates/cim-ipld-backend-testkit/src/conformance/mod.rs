//! The conformance suite: the rules of the storage contract as named cases that every backend must
//! pass.
//!
//! Each case runs on a fresh [`Fixture`] and in buckets named after itself, so fixtures may share
//! one initially empty store. A case fails if it panics or takes longer than [`CASE_TIMEOUT`]. The
//! remaining cases still run, and [`run`] panics at the end with the names of all that failed.

mod buckets;
mod concurrency;
mod deletion;
mod durability;
mod fences;
mod order;
mod preconditions;
mod scanning;
mod values;
mod watching;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, BucketKind, ErrorKind, Key, KeyPrefix, KeyedEntry, Precondition, Revision, WatchEvent, WatchStream,
};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::time::Instant;

/// The time limit of a case.
pub const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// The time limit for a watch to deliver an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A backend to test, and optionally a way to reopen its store.
///
/// ```
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_backend_testkit::conformance::Fixture;
///
/// let backend = MemoryBackend::new();
/// let same = backend.clone();
/// let fixture = Fixture::new(backend).reopened_by(move || async move { same });
/// ```
pub struct Fixture {
    backend: Arc<dyn Backend>,
    reopen: Option<Reopen>,
}

type Reopen = Box<dyn FnOnce() -> LocalBoxFuture<'static, Arc<dyn Backend>>>;

impl Fixture {
    /// Creates a fixture that cannot reopen its store, so the durability cases end before they
    /// reopen it, and check nothing about durability.
    #[must_use]
    pub fn new(backend: impl Backend) -> Self {
        Self { backend: Arc::new(backend), reopen: None }
    }

    /// Sets the function that reopens the same store. It is called after the first backend was
    /// dropped, and may do anything that acknowledged writes must survive, such as connecting
    /// again, restarting the store or killing it.
    #[must_use]
    pub fn reopened_by<B, F>(mut self, reopen: impl FnOnce() -> F + 'static) -> Self
    where
        B: Backend,
        F: Future<Output = B> + 'static,
    {
        self.reopen = Some(Box::new(move || async move { Arc::new(reopen().await) as Arc<dyn Backend> }.boxed_local()));
        self
    }
}

/// Runs every case on a new fixture. Requires a tokio runtime with timers.
///
/// # Panics
/// If a case fails; the message names all failed cases.
pub async fn run(make: impl AsyncFn() -> Fixture) {
    let mut failed = Vec::new();
    for case in CASES {
        for &kind in case.kinds {
            let stage = Stage { fixture: make().await, case: case.name, kind };
            let outcome = tokio::time::timeout(CASE_TIMEOUT, AssertUnwindSafe((case.run)(stage)).catch_unwind()).await;
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(_panic)) => failed.push(format!("{} ({kind:?})", case.name)),
                Err(_elapsed) => failed.push(format!("{} ({kind:?}): timed out", case.name)),
            }
        }
    }
    assert!(failed.is_empty(), "{} conformance cases failed: {}", failed.len(), failed.join(", "));
}

struct Case {
    name: &'static str,
    kinds: &'static [BucketKind],
    run: fn(Stage) -> LocalBoxFuture<'static, ()>,
}

const BOTH: &[BucketKind] = &[BucketKind::Log, BucketKind::Objects];
const LOG: &[BucketKind] = &[BucketKind::Log];

macro_rules! cases {
    ($($kinds:ident $module:ident $case:ident,)*) => {
        &[$(Case { name: stringify!($case), kinds: $kinds, run: |stage| $module::$case(stage).boxed_local() },)*]
    };
}

const CASES: &[Case] = cases![
    BOTH buckets creating_twice_keeps_what_is_there,
    BOTH buckets a_missing_bucket_is_an_error_everywhere,
    BOTH buckets buckets_do_not_share_keys_or_watchers,
    BOTH buckets the_longest_names_work,
    BOTH values a_value_reads_back_as_written,
    BOTH values values_of_every_allowed_size_are_kept,
    BOTH values a_value_over_the_limit_is_too_large,
    BOTH values an_acknowledged_value_is_read_at_once,
    LOG values the_newest_value_is_read,
    BOTH order revisions_grow_across_keys,
    LOG order overwriting_moves_a_key_to_the_end,
    BOTH order revisions_are_not_reused_after_deletion,
    LOG preconditions preconditions_decide_as_the_table_says,
    LOG preconditions a_refused_write_changes_nothing,
    LOG fences a_fence_decides_as_the_table_says,
    LOG fences a_fenced_write_lands_once,
    LOG fences writers_behind_one_fence_all_get_through,
    LOG fences no_write_lands_after_its_fence_has_moved,
    BOTH deletion deleted_keys_are_gone_everywhere,
    BOTH deletion deleting_again_or_nothing_is_no_error,
    BOTH deletion only_the_named_keys_go,
    BOTH deletion many_keys_go_in_one_call,
    BOTH deletion a_deleted_key_can_be_written_again,
    BOTH scanning a_scan_is_in_order_and_ends,
    BOTH scanning a_scan_starts_after_a_revision,
    BOTH scanning a_prefix_ends_at_a_token,
    BOTH scanning a_scan_holds_thousands_of_entries,
    BOTH scanning a_scan_holds_large_values,
    BOTH watching a_watch_catches_up_once_then_follows,
    BOTH watching a_watch_resumes_after_a_revision,
    BOTH watching a_watch_keeps_to_its_prefix,
    BOTH watching a_watch_is_not_told_of_deletions,
    LOG watching a_watch_tells_overwrites_in_order,
    BOTH watching a_watch_misses_nothing_while_others_write,
    BOTH watching a_watch_dropped_and_resumed_misses_nothing,
    BOTH concurrency concurrent_writes_get_distinct_revisions,
    LOG concurrency one_of_many_creators_wins,
    LOG concurrency compare_and_set_loses_no_increment,
    BOTH concurrency a_dropped_write_is_whole_or_absent,
    BOTH concurrency dropped_streams_leave_the_backend_working,
    BOTH durability acknowledged_state_survives_reopening,
    BOTH durability revisions_grow_across_reopening,
];

/// The environment of a case.
struct Stage {
    fixture: Fixture,
    case: &'static str,
    kind: BucketKind,
}

impl Stage {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.fixture.backend)
    }

    /// Returns the bucket of the case without creating it; `suffix` distinguishes several buckets
    /// of one case.
    fn named(&self, suffix: &str) -> Bucket {
        let name = format!("{}_{:?}{suffix}", self.case, self.kind);
        match self.kind {
            BucketKind::Objects => Bucket::objects(&name),
            _ => Bucket::log(&name),
        }
        .unwrap()
    }

    /// Creates the bucket of the case.
    async fn bucket(&self) -> Bucket {
        let bucket = self.named("");
        self.fixture.backend.create(&bucket).await.unwrap();
        bucket
    }

    /// Drops the backend and reopens its store; returns `None` if the fixture cannot reopen it.
    async fn reopen(self) -> Option<Arc<dyn Backend>> {
        drop(self.fixture.backend);
        match self.fixture.reopen {
            Some(reopen) => Some(reopen().await),
            None => None,
        }
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn put(backend: &dyn Backend, bucket: &Bucket, name: &str, value: &str) -> Revision {
    backend.put(bucket, &key(name), Bytes::copy_from_slice(value.as_bytes()), Precondition::Any).await.unwrap()
}

async fn value(backend: &dyn Backend, bucket: &Bucket, name: &str) -> Option<Bytes> {
    backend.get(bucket, &key(name)).await.unwrap().map(|entry| entry.value)
}

/// Scans until the removed values are gone.
async fn scanned_after_removal(backend: &dyn Backend, bucket: &Bucket, kept: &[&str]) -> Vec<KeyedEntry> {
    after_removal(kept, async || scanned(backend, bucket, &KeyPrefix::all(), Revision::ZERO).await).await
}

/// Watches from the beginning until the removed values are gone.
async fn watched_after_removal(backend: &dyn Backend, bucket: &Bucket, kept: &[&str]) -> Vec<KeyedEntry> {
    after_removal(kept, async || catch_up(&mut backend.watch(bucket, &KeyPrefix::all(), Revision::ZERO)).await).await
}

/// Reads until the removed values are gone, which takes a moment on a replicated store, and checks
/// that the others are there all the time.
async fn after_removal(kept: &[&str], read: impl AsyncFn() -> Vec<KeyedEntry>) -> Vec<KeyedEntry> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = read().await;
        let found = names(&entries);
        if found == kept || Instant::now() >= deadline {
            assert_eq!(found, kept, "removed values are still delivered, or others are missing");
            return entries;
        }
        let left: Vec<_> = found.into_iter().filter(|name| kept.contains(name)).collect();
        assert_eq!(left, kept, "values that were not removed are missing");
        tokio::time::sleep(PATIENCE / 100).await;
    }
}

async fn scanned(backend: &dyn Backend, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> Vec<KeyedEntry> {
    backend.scan(bucket, prefix, after).try_collect().await.unwrap()
}

fn names(entries: &[KeyedEntry]) -> Vec<&str> {
    entries.iter().map(|found| found.key.as_str()).collect()
}

fn assert_increasing(entries: &[KeyedEntry]) {
    let ordered = entries.is_sorted_by(|left, right| left.entry.revision < right.entry.revision);
    assert!(ordered, "entries are not in revision order: {:?}", names(entries));
}

async fn next_event(watch: &mut WatchStream) -> WatchEvent {
    let told = tokio::time::timeout(EVENT_TIMEOUT, watch.next()).await;
    told.expect("the watch delivers an event").expect("the watch does not end").expect("the watch does not fail")
}

async fn next_entry(watch: &mut WatchStream) -> KeyedEntry {
    match next_event(watch).await {
        WatchEvent::Entry(entry) => entry,
        other => panic!("expected an entry, got {other:?}"),
    }
}

/// Reads up to `CaughtUp`.
async fn catch_up(watch: &mut WatchStream) -> Vec<KeyedEntry> {
    let mut entries = Vec::new();
    loop {
        match next_event(watch).await {
            WatchEvent::Entry(entry) => entries.push(entry),
            WatchEvent::CaughtUp => return entries,
            other => panic!("unknown event {other:?}"),
        }
    }
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: Result<T, cim_ipld_backend::Error>, kind: ErrorKind) {
    match result {
        Err(error) => assert_eq!(error.kind(), kind, "{error:?}"),
        Ok(done) => panic!("expected {kind:?}, got {done:?}"),
    }
}
