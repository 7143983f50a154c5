//! Each lie of a dishonest store.

use cim_ipld_backend::{Backend, ErrorKind, KeyPrefix, Revision};
use cim_ipld_simulation::store::{BranchId, Faults, Lies, Rate};
use futures::StreamExt;

use super::{get, key, opened, put, watched};

const ALWAYS: Rate = Rate::ALWAYS;

fn lying(lies: Lies) -> Faults {
    Faults { lies, ..Faults::none() }
}

#[tokio::test(start_paused = true)]
async fn a_read_gives_an_older_or_another_value_or_none() {
    let mut seen = Vec::new();
    for seed in 0..20 {
        let (store, client, bucket) = opened(seed, Faults::none()).await;
        for (name, value) in [("a", "old"), ("a", "new"), ("b", "other")] {
            put(&client, &bucket, name, value).await.unwrap();
        }
        store.set_faults(lying(Lies { older: ALWAYS, ..Lies::NONE }));
        seen.push(get(&client, &bucket, "a").await);
        store.set_faults(lying(Lies { substitute: ALWAYS, ..Lies::NONE }));
        seen.push(get(&client, &bucket, "a").await);
        store.set_faults(lying(Lies { withhold: ALWAYS, ..Lies::NONE }));
        assert_eq!(get(&client, &bucket, "a").await, None);
        assert_eq!(watched(&client, &bucket).await, []);
    }
    for value in ["old", "new", "other"] {
        assert!(seen.contains(&Some((value.to_owned(), 2))), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_what_is_not_there() {
    let lies = [
        Lies { replay: ALWAYS, ..Lies::NONE },
        Lies { misplaced_replay: ALWAYS, ..Lies::NONE },
        Lies { junk: ALWAYS, ..Lies::NONE },
        Lies { substitute: ALWAYS, ..Lies::NONE },
    ];
    for lies in lies {
        let mut differs = false;
        for seed in 0..20 {
            let (store, client, bucket) = opened(seed, Faults::none()).await;
            put(&client, &bucket, "a", "one").await.unwrap();
            put(&client, &bucket, "b", "two").await.unwrap();
            let truth = watched(&client, &bucket).await;
            store.set_faults(lying(lies));
            differs |= watched(&client, &bucket).await != truth;
            let scanned = client.scan(&bucket, &KeyPrefix::all(), Revision::ZERO).count().await;
            assert!(scanned >= truth.len());
        }
        assert!(differs, "{lies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_claims_to_have_caught_up() {
    let mut fewest = u64::MAX;
    for seed in 0..20 {
        let (_, client, bucket) = opened(seed, lying(Lies { early_caught_up: ALWAYS, ..Lies::NONE })).await;
        for name in ["a", "b", "c"] {
            put(&client, &bucket, name, "one").await.unwrap();
        }
        fewest = fewest.min(watched(&client, &bucket).await.len() as u64);
    }
    assert_eq!(fewest, 0);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_lies() {
    let (store, client, bucket) = opened(1, lying(Lies { dropped_write: ALWAYS, ..Lies::NONE })).await;
    put(&client, &bucket, "a", "one").await.unwrap();
    assert_eq!(get(&client, &bucket, "a").await, None);
    store.set_faults(lying(Lies { wrong_revision: ALWAYS, ..Lies::NONE }));
    let other = store.client();
    let mut told = Vec::new();
    for _ in 0..20 {
        told.push(put(&client, &bucket, "a", "one").await.map(Revision::number));
    }
    assert!(told.contains(&Err(ErrorKind::Corrupt)), "a backend refuses a revision that does not grow");
    assert!((1..).zip(&told).any(|(truth, told)| told.is_ok_and(|told| told != truth)), "{told:?}");
    assert_eq!(get(&other, &bucket, "a").await, Some(("one".into(), 20)));
}

#[tokio::test(start_paused = true)]
async fn clients_are_forked_and_joined() {
    let (store, one, bucket) = opened(1, Faults::none()).await;
    let two = store.client();
    put(&one, &bucket, "a", "before").await.unwrap();
    let branch = store.fork(BranchId::MAIN);
    store.assign(two.id(), branch);
    put(&one, &bucket, "a", "main").await.unwrap();
    assert_eq!(put(&two, &bucket, "b", "branch").await.unwrap().number(), 2);
    assert_eq!(get(&two, &bucket, "a").await, Some(("before".into(), 1)));
    store.assign(two.id(), BranchId::MAIN);
    assert_eq!(get(&two, &bucket, "a").await, Some(("main".into(), 2)));
    assert_eq!(get(&two, &bucket, "b").await, None);
}

#[tokio::test(start_paused = true)]
async fn the_hand_replays_serves_and_withholds() {
    let (store, client, bucket) = opened(1, Faults::none()).await;
    let other = store.client();
    put(&client, &bucket, "a", "old").await.unwrap();
    put(&client, &bucket, "a", "new").await.unwrap();
    assert_eq!(store.archive().len(), 2);
    assert_eq!(store.replay(BranchId::MAIN, &bucket, 0, None).unwrap().number(), 3);
    assert_eq!(get(&client, &bucket, "a").await, Some(("old".into(), 3)));
    store.replay(BranchId::MAIN, &bucket, 1, Some(&key("b"))).unwrap();
    assert_eq!(get(&client, &bucket, "b").await, Some(("new".into(), 4)));
    store.junk(BranchId::MAIN, &bucket, &key("c")).unwrap();

    store.withhold(client.id(), &bucket, &key("a"));
    store.serve(client.id(), &bucket, &key("b"), 0);
    assert_eq!(get(&client, &bucket, "a").await, None);
    assert_eq!(get(&client, &bucket, "b").await, Some(("old".into(), 4)));
    assert_eq!(watched(&client, &bucket).await.len(), 2);
    assert_eq!(watched(&other, &bucket).await.len(), 3);
    assert_eq!(get(&other, &bucket, "b").await, Some(("new".into(), 4)));
    store.release(client.id());
    assert_eq!(get(&client, &bucket, "a").await, Some(("old".into(), 3)));

    let keys = || store.contents(BranchId::MAIN, &bucket).unwrap().into_iter().map(|found| found.key);
    assert_eq!(keys().collect::<Vec<_>>(), [key("a"), key("b"), key("c")]);
    store.remove(BranchId::MAIN, &bucket, &key("b")).unwrap();
    assert_eq!(keys().collect::<Vec<_>>(), [key("a"), key("c")]);
    assert!((0..100).all(|_| store.choose(3) < 3));
}
