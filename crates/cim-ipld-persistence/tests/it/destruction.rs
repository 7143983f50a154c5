//! Random destruction: objects of a store with snapshots and a live journal are deleted or damaged.
//! A verification names exactly those, and a repair brings back whatever is left anywhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use cim_ipld_backend::{Backend, Key, Precondition};
use cim_ipld_index::Document;
use cim_ipld_persistence::{
    Condition, Engine, ErrorKind, RepairOptions, RepairReport, RepairSource, StoreSource, StoredObject,
};

use crate::hand::{BUCKETS, Hand, Held, bucket};
use crate::support::{cid, document, documents, key};

const DOCUMENTS: u32 = 120;

/// A sequence of numbers that a seed determines.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, G. Marsaglia 2003.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("31 bits") % bound
    }
}

/// Makes an index with several segments, deletes, two snapshots and a journal.
async fn populated() -> Hand {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    engine.fold().await.expect("folded");
    let long = "ballast ".repeat(20_000);
    let batch: Vec<Document> = (40..80).map(|number| document(number, 0).with_text(format!("shared {long}"))).collect();
    engine.index(&batch).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    engine.delete(&(0..10).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    engine.index(&(20..30).map(|number| document(number, 1)).collect::<Vec<_>>()).await.expect("indexed");
    engine.create_snapshot("two").await.expect("snapshot");
    for number in 80..DOCUMENTS {
        engine.index(&[document(number, 0)]).await.expect("indexed");
    }
    engine.delete(&[cid(50), cid(81)]).await.expect("deleted");
    engine.close().await;
    hand
}

async fn contents(engine: &Engine) -> Vec<Option<Document>> {
    engine.documents(&(0..DOCUMENTS).map(cid).collect::<Vec<_>>()).await.expect("read")
}

/// Returns the objects whose loss a verification can notice: all except the records that the
/// manifest covers and the very last record, whose absence only its writer would notice.
async fn needed(hand: &Hand) -> Vec<StoredObject> {
    let mut objects = Vec::new();
    for name in BUCKETS {
        let entries = hand.all(name).await;
        objects.extend(
            entries
                .into_iter()
                .map(|entry| StoredObject { bucket: name.to_owned(), key: entry.key.as_str().to_owned() }),
        );
    }
    let records = hand.records().await;
    let live = usize::try_from(DOCUMENTS - 80).expect("few") + 1;
    let unneeded: BTreeSet<String> = records[..records.len() - live]
        .iter()
        .chain(records.last())
        .map(|record| record.key.as_str().to_owned())
        .collect();
    objects.retain(|object| !unneeded.contains(&object.key));
    objects
}

async fn destroy(hand: &Hand, random: &mut Random, objects: &[StoredObject]) -> BTreeSet<StoredObject> {
    let mut destroyed = BTreeSet::new();
    for _ in 0..1 + random.below(20) {
        let object = objects[random.below(objects.len())].clone();
        if !destroyed.insert(object.clone()) {
            continue;
        }
        let (bucket, key) = (bucket(&object.bucket), Key::new(&object.key).expect("a key"));
        if random.below(2) == 0 {
            hand.0.delete(&bucket, &[key]).await.expect("deleted");
        } else {
            let mut value = hand.0.get(&bucket, &key).await.expect("read").expect("there").value.to_vec();
            let at = random.below(value.len());
            value[at] ^= 1 << random.below(8);
            hand.0.put(&bucket, &key, value.into(), Precondition::Any).await.expect("put");
        }
    }
    destroyed
}

async fn repair(hand: &Hand, sources: &[Arc<dyn RepairSource>]) -> cim_ipld_persistence::Result<RepairReport> {
    Held::all().builder(hand.store()).repair(Some(key(1)), sources, RepairOptions::default()).await
}

/// Checks that the index opens, verifies, and has the expected documents but for those of the
/// report.
async fn check(hand: &Hand, expected: &[Option<Document>], report: &RepairReport, what: &str) {
    let engine = match Held::all().open(hand.store()).await {
        Ok(engine) => engine,
        Err(error) => panic!("{what}: does not open: {error:?}, {report:?}"),
    };
    let verified = engine.verify().await.expect("verified");
    assert!(verified.is_sound(), "{what}: {:?}, {report:?}", verified.problems);
    let found = contents(&engine).await;
    let is_uncertain = report.lost_unknown_documents > 0 || report.lost_records > 0;
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        if found == expected {
            continue;
        }
        let is_lost = report.lost_documents.contains(&cid(u32::try_from(number).expect("few")));
        let is_back = expected.is_none() && (report.lost_deletions > 0 || report.lost_records > 0);
        assert!(is_uncertain || is_lost || is_back, "{what}: document {number}: {report:?}");
    }
    engine.index(&[document(200, 0)]).await.expect("a repaired index can be written to");
    engine.fold().await.expect("folded");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn recovery_names_and_repairs_whatever_is_destroyed() {
    let seeds: u64 = std::env::var("CIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    let first: u64 = std::env::var("CIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let whole = populated().await;
    let engine = Held::all().open(whole.fork().store()).await.expect("opened");
    let expected = contents(&engine).await;
    engine.close().await;
    let objects = needed(&whole).await;
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(whole.store()));
    for seed in first..first + seeds {
        let what = format!("seed {seed}");
        let hand = whole.fork();
        let destroyed = destroy(&hand, &mut Random(seed * 2 + 1), &objects).await;
        let is_rootless = destroyed.iter().any(|object| matches!(object.key.as_str(), "keyset" | "manifest"));
        let mut is_recoverable = false;
        match Held::all().builder(hand.store()).open_for_recovery(Some(key(1))).await {
            Ok(recovery) => {
                let report = recovery.verify().await.expect("verified");
                let named: BTreeSet<StoredObject> =
                    report.problems.iter().filter_map(|problem| problem.object.clone()).collect();
                // Nothing can be said about what a lost object names.
                let names_others = |object: &StoredObject| {
                    report.problems.iter().any(|problem| {
                        problem.object.as_ref() == Some(object) && problem.message.starts_with("a snapshot")
                    })
                };
                let hidden = destroyed.iter().any(names_others)
                    || report.problems.iter().any(|problem| problem.message.starts_with("the window"));
                assert!(named.is_subset(&destroyed), "{what}: {named:?} of {destroyed:?}");
                assert!(hidden || named == destroyed, "{what}: {named:?} of {destroyed:?}: {:?}", report.problems);
                is_recoverable = report.condition() == Condition::Recoverable;
            }
            Err(error) => assert!(is_rootless, "{what}: {error:?}, {destroyed:?}"),
        }

        let with_copy = hand.fork();
        let report = match repair(&with_copy, std::slice::from_ref(&copy)).await {
            Ok(report) => report,
            Err(error) => panic!("{what}: {error:?}, {destroyed:?}"),
        };
        assert!(report.is_complete(), "{what}: {report:?}, {destroyed:?}");
        check(&with_copy, &expected, &report, &format!("{what} with a copy")).await;

        match repair(&hand, &[]).await {
            Ok(report) => {
                check(&hand, &expected, &report, &format!("{what} without a copy, {destroyed:?}")).await;
                if is_recoverable {
                    assert!(report.is_complete(), "{what}: {report:?}, {destroyed:?}");
                }
            }
            Err(error) => {
                assert!(is_rootless, "{what}: {error:?}, {destroyed:?}");
                let kinds = [ErrorKind::Lost, ErrorKind::Damaged, ErrorKind::WrongKey, ErrorKind::NotEncrypted];
                assert!(kinds.contains(&error.kind()) || error.kind() == ErrorKind::Rollback, "{what}: {error:?}");
            }
        }
    }
}
