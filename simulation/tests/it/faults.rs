//! Each fault of an honest store.

use std::ops::RangeInclusive;
use std::time::Duration;

use cim_ipld_backend::{Backend, ErrorKind, KeyPrefix, Precondition, Revision, WatchEvent};
use cim_ipld_simulation::store::{BranchId, Faults, Rate};
use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::{get, key, opened, put};

const ALWAYS: Rate = Rate::ALWAYS;
const MINUTE: Duration = Duration::from_secs(60);

fn exactly(seconds: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(seconds)..=Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_not_sent() {
    let (store, client, bucket) = opened(1, Faults { unavailable: ALWAYS, ..Faults::none() }).await;
    assert_eq!(put(&client, &bucket, "a", "one").await, Err(ErrorKind::Unavailable));
    store.set_faults(Faults::none());
    assert_eq!(get(&client, &bucket, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_lost() {
    let (_, client, bucket) = opened(1, Faults { lost_acknowledgement: ALWAYS, ..Faults::none() }).await;
    assert_eq!(put(&client, &bucket, "a", "one").await, Err(ErrorKind::OutcomeUnknown));
    assert_eq!(get(&client, &bucket, "a").await, Some(("one".into(), 1)));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_lost() {
    let (_, client, bucket) = opened(1, Faults { lost_write: ALWAYS, ..Faults::none() }).await;
    assert_eq!(put(&client, &bucket, "a", "one").await, Err(ErrorKind::OutcomeUnknown));
    sleep(2 * MINUTE).await;
    assert_eq!(get(&client, &bucket, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_lands_after_its_caller_gave_up() {
    let (_, client, bucket) = opened(1, Faults { late_landing: ALWAYS, ..Faults::none() }).await;
    assert_eq!(put(&client, &bucket, "a", "one").await, Err(ErrorKind::OutcomeUnknown));
    assert_eq!(get(&client, &bucket, "a").await, None);
    sleep(2 * MINUTE).await;
    assert_eq!(get(&client, &bucket, "a").await, Some(("one".into(), 1)));
}

#[tokio::test(start_paused = true)]
async fn a_write_lands_twice_where_its_precondition_holds_twice() {
    let (store, client, bucket) = opened(1, Faults { double_landing: ALWAYS, ..Faults::none() }).await;
    client.put(&bucket, &key("kept"), "one".into(), Precondition::Absent).await.unwrap();
    client.put(&bucket, &key("trimmed"), "one".into(), Precondition::Absent).await.unwrap();
    store.set_faults(Faults::none());
    client.delete(&bucket, &[key("trimmed")]).await.unwrap();
    sleep(2 * MINUTE).await;
    assert_eq!(get(&client, &bucket, "kept").await, Some(("one".into(), 1)));
    assert_eq!(get(&client, &bucket, "trimmed").await, Some(("one".into(), 3)));
}

#[tokio::test(start_paused = true)]
async fn a_late_write_does_not_pass_a_fence_that_moved() {
    for (is_moved, expected) in [(false, Some(("one".into(), 2))), (true, None)] {
        let (store, client, bucket) = opened(1, Faults::none()).await;
        let revision = put(&client, &bucket, "root", "root").await.unwrap();
        store.set_faults(Faults { late_landing: ALWAYS, ..Faults::none() });
        let fence = Precondition::AbsentWhile { key: key("root"), revision };
        let outcome = client.put(&bucket, &key("a"), "one".into(), fence).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        store.set_faults(Faults::none());
        if is_moved {
            put(&client, &bucket, "root", "another").await.unwrap();
        }
        sleep(2 * MINUTE).await;
        assert_eq!(get(&client, &bucket, "a").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_stops_half_way() {
    let (_, client, bucket) = opened(1, Faults { partial_delete: ALWAYS, ..Faults::none() }).await;
    put(&client, &bucket, "a", "one").await.unwrap();
    put(&client, &bucket, "b", "one").await.unwrap();
    let error = client.delete(&bucket, &[key("a"), key("b")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(get(&client, &bucket, "b").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_watch_lags() {
    let (_, client, bucket) = opened(1, Faults { lagging_watch: ALWAYS, lag: exactly(3), ..Faults::none() }).await;
    let mut watch = client.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::CaughtUp);
    put(&client, &bucket, "a", "one").await.unwrap();
    let start = Instant::now();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Entry(_)))));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_watch_passes_over_what_was_replaced() {
    let mut counts = Vec::new();
    for seed in 0..20 {
        let faults = Faults { lagging_watch: ALWAYS, lag: exactly(3), ..Faults::none() };
        let (_, client, bucket) = opened(seed, faults).await;
        let mut watch = client.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
        watch.next().await;
        let (reader, writer) = tokio::join!(timeout(MINUTE, watch.next()), async {
            put(&client, &bucket, "a", "one").await.unwrap();
            sleep(Duration::from_secs(1)).await;
            put(&client, &bucket, "a", "two").await.unwrap()
        });
        let Ok(Some(Ok(WatchEvent::Entry(found)))) = reader else { panic!("no entry: {reader:?}") };
        assert_eq!(writer.number(), 2);
        counts.push(found.entry.revision.number());
    }
    assert!(counts.contains(&1) && counts.contains(&2), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_an_error() {
    let (_, client, bucket) = opened(1, Faults { broken_stream: ALWAYS, ..Faults::none() }).await;
    put(&client, &bucket, "a", "one").await.unwrap();
    let mut scan = client.scan(&bucket, &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(scan.next().await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(scan.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_pauses() {
    let (store, client, bucket) = opened(1, Faults { pause: ALWAYS, paused_for: exactly(30), ..Faults::none() }).await;
    let start = Instant::now();
    put(&client, &bucket, "a", "one").await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    store.set_faults(Faults::none());
    store.pause(client.id(), 2 * MINUTE);
    assert!(timeout(MINUTE, get(&client, &bucket, "a")).await.is_err());
    sleep(MINUTE).await;
    assert!(get(&client, &bucket, "a").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_crashed_client_hears_nothing_and_its_last_write_lands_or_not() {
    let mut landed = Vec::new();
    for seed in 0..20 {
        let (store, client, bucket) = opened(seed, Faults::none()).await;
        let other = store.client();
        let mut watch = client.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
        watch.next().await;
        store.crash_at(client.id(), store.operations(client.id()) + 1);
        assert!(timeout(MINUTE, put(&client, &bucket, "a", "one")).await.is_err());
        store.crashed(client.id()).await;
        assert!(timeout(MINUTE, get(&client, &bucket, "a")).await.is_err());
        put(&other, &bucket, "b", "one").await.unwrap();
        assert!(timeout(MINUTE, watch.next()).await.is_err());
        landed.push(get(&other, &bucket, "a").await.is_some());
    }
    assert!(landed.contains(&true) && landed.contains(&false));
}

#[tokio::test(start_paused = true)]
async fn a_pending_write_of_a_crashed_client_lands() {
    let (store, client, bucket) = opened(1, Faults { delay: exactly(1), ..Faults::none() }).await;
    let sender = client.clone();
    let of_sender = bucket.clone();
    let write = tokio::spawn(async move { put(&sender, &of_sender, "a", "one").await });
    tokio::task::yield_now().await;
    store.crash(client.id());
    sleep(MINUTE).await;
    assert!(!write.is_finished());
    assert_eq!(get(&store.client(), &bucket, "a").await, Some(("one".into(), 1)));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_purged_and_created_anew() {
    let (store, client, bucket) = opened(1, Faults::none()).await;
    put(&client, &bucket, "a", "one").await.unwrap();
    let mut watch = client.watch(&bucket, &KeyPrefix::all(), Revision::new(1));
    watch.next().await;
    store.purge(BranchId::MAIN, &bucket).unwrap();
    assert_eq!(get(&client, &bucket, "a").await, None);
    assert_eq!(put(&client, &bucket, "a", "two").await.unwrap().number(), 2);
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Entry(_)))));
    store.recreate(BranchId::MAIN, &bucket).unwrap();
    assert_eq!(put(&client, &bucket, "a", "three").await, Err(ErrorKind::Corrupt));
    assert_eq!(watch.next().await.unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(get(&store.client(), &bucket, "a").await, Some(("three".into(), 1)));
}
