//! Random destruction: objects of a store with snapshots and a live journal are deleted or damaged.
//! A verification names exactly those, and a repair brings back whatever is left anywhere.
//!
//! `CIM_SEED=7 CIM_SEEDS=1` replays one seed; `CIM_SEEDS` alone sets how many are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cim_ipld_backend::{Backend, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_index::Document;
use cim_ipld_persistence::{
    ArchiveSource, Condition, Engine, Error, ErrorKind, ExportOptions, RepairOptions, RepairReport, RepairSource,
    Result, StoreSource, StoredObject,
};
use futures::StreamExt;

use crate::hand::{BUCKETS, Hand, Held, bucket};
use crate::support::{Store, cid, document, documents, key};

const DOCUMENTS: u32 = 120;
/// The first document that is only in the journal.
const LIVE: u32 = 88;

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

/// Returns the seeds to try.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let variable = |name| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    let first = variable("CIM_SEED").unwrap_or(0);
    first..first + variable("CIM_SEEDS").unwrap_or(default)
}

/// A document that takes several pages.
fn large(number: u32) -> Document {
    document(number, 0).with_text(format!("shared {}", "ballast ".repeat(20_000)))
}

/// An index, and what it holds.
struct Whole {
    /// The index as it was yesterday.
    archive: PathBuf,
    yesterday: Vec<Option<Document>>,
    today: Vec<Option<Document>>,
    /// The objects whose loss a verification can notice.
    needed: Vec<StoredObject>,
}

impl Whole {
    /// Makes an index with a merged segment, deletes, two snapshots of the segments before the
    /// merge, and a journal. Yesterday's state is exported.
    async fn make(store: Arc<dyn Backend>, folder: &Path) -> Self {
        let archive = folder.join("yesterday.car");
        let engine = Held::all().create(Arc::clone(&store)).await.expect("created");
        engine.index(&documents(0..40)).await.expect("indexed");
        engine.fold().await.expect("folded");
        let numbers = 40..80;
        let batch = numbers.map(|number| if number == 60 { large(number) } else { document(number, 0) });
        engine.index(&batch.collect::<Vec<_>>()).await.expect("indexed");
        engine.create_snapshot("one").await.expect("snapshot");
        engine.delete(&(0..10).map(cid).collect::<Vec<_>>()).await.expect("deleted");
        engine.index(&(20..30).map(|number| document(number, 1)).collect::<Vec<_>>()).await.expect("indexed");
        engine.export_to_file(&archive, ExportOptions::default()).await.expect("exported");
        let yesterday = contents(&engine).await;
        engine.index(&(25..35).map(|number| document(number, 2)).collect::<Vec<_>>()).await.expect("indexed");
        engine.delete(&(35..38).map(cid).collect::<Vec<_>>()).await.expect("deleted");
        engine.create_snapshot("two").await.expect("snapshot");
        for number in 80..LIVE {
            engine.index(&[document(number, 0)]).await.expect("indexed");
            engine.fold().await.expect("folded");
        }
        engine.merge().await.expect("merged");
        for number in LIVE..DOCUMENTS {
            engine.index(&[document(number, 0)]).await.expect("indexed");
        }
        engine.delete(&[cid(50), cid(81)]).await.expect("deleted");
        let today = contents(&engine).await;
        engine.close().await;
        Self { archive, yesterday, today, needed: needed(&*store).await }
    }

    async fn archive(&self) -> Arc<dyn RepairSource> {
        Arc::new(ArchiveSource::open(&self.archive).await.expect("an archive"))
    }
}

async fn contents(engine: &Engine) -> Vec<Option<Document>> {
    engine.documents(&(0..DOCUMENTS).map(cid).collect::<Vec<_>>()).await.expect("read")
}

/// Returns the objects whose loss a verification can notice: all except the records that the
/// manifest covers and the very last record, whose absence only its writer would notice.
async fn needed(store: &dyn Backend) -> Vec<StoredObject> {
    let (mut objects, mut records) = (Vec::new(), Vec::new());
    for name in BUCKETS {
        let mut entries = store.scan(&bucket(name), &KeyPrefix::all(), Revision::ZERO);
        while let Some(entry) = entries.next().await {
            let key = entry.expect("scanned").key.as_str().to_owned();
            if key.starts_with("journal.") {
                records.push(key.clone());
            }
            objects.push(StoredObject { bucket: name.to_owned(), key });
        }
    }
    let live = usize::try_from(DOCUMENTS - LIVE).expect("few") + 1;
    let covered = records.len() - live;
    let unneeded: BTreeSet<&String> = records[..covered].iter().chain(records.last()).collect();
    objects.retain(|object| !unneeded.contains(&object.key));
    objects
}

async fn delete(store: &dyn Backend, object: &StoredObject) {
    let key = Key::new(&object.key).expect("a key");
    store.delete(&bucket(&object.bucket), &[key]).await.expect("deleted");
}

async fn destroy(store: &dyn Backend, random: &mut Random, objects: &[StoredObject]) -> BTreeSet<StoredObject> {
    let mut destroyed = BTreeSet::new();
    for _ in 0..1 + random.below(20) {
        let object = objects[random.below(objects.len())].clone();
        if !destroyed.insert(object.clone()) {
            continue;
        }
        if random.below(2) == 0 {
            delete(store, &object).await;
            continue;
        }
        let (bucket, key) = (bucket(&object.bucket), Key::new(&object.key).expect("a key"));
        let mut value = store.get(&bucket, &key).await.expect("read").expect("there").value.to_vec();
        let at = random.below(value.len());
        value[at] ^= 1 << random.below(8);
        store.put(&bucket, &key, value.into(), Precondition::Any).await.expect("put");
    }
    destroyed
}

async fn repair(store: &Arc<dyn Backend>, sources: &[Arc<dyn RepairSource>]) -> Result<RepairReport> {
    Held::all().builder(Arc::clone(store)).repair(Some(key(1)), sources, RepairOptions::default()).await
}

fn is_rootless(destroyed: &BTreeSet<StoredObject>) -> bool {
    destroyed.iter().any(|object| matches!(object.key.as_str(), "keyset" | "manifest"))
}

/// Returns whether the keyset may have been rotated since the copies were made: it does not open
/// with the key, and the manifest, which would tell, is destroyed, too.
fn is_undecidable(destroyed: &BTreeSet<StoredObject>, error: &Error) -> bool {
    let has = |key: &str| destroyed.iter().any(|object| object.key == key);
    let is_key = matches!(error.kind(), ErrorKind::WrongKey | ErrorKind::NotEncrypted);
    has("keyset") && has("manifest") && is_key
}

/// Checks that a verification names exactly the destroyed objects. Returns the condition of the
/// index, or `None` if its root or manifest is destroyed.
async fn check_verification(
    store: &Arc<dyn Backend>,
    destroyed: &BTreeSet<StoredObject>,
    what: &str,
) -> Option<Condition> {
    let builder = Held::all().builder(Arc::clone(store));
    let recovery = match builder.open_for_recovery(Some(key(1))).await {
        Ok(recovery) => recovery,
        Err(error) => {
            assert!(is_rootless(destroyed), "{what}: {error:?}, {destroyed:?}");
            return None;
        }
    };
    let report = recovery.verify().await.expect("verified");
    let named: BTreeSet<StoredObject> = report.problems.iter().filter_map(|problem| problem.object.clone()).collect();
    assert!(named.is_subset(destroyed), "{what}: {named:?} of {destroyed:?}");
    // Nothing can be said about the pages that the lost record of a snapshot names.
    let hides_pages = destroyed.iter().any(|object| object.key.starts_with("snapshot."));
    let unnamed: Vec<_> =
        destroyed.difference(&named).filter(|object| !hides_pages || object.bucket == "catalog_v1").collect();
    assert!(unnamed.is_empty(), "{what}: {unnamed:?} is not named: {:?}", report.problems);
    Some(report.condition())
}

/// Opens and verifies a repaired index, and returns its documents.
async fn opened(store: &Arc<dyn Backend>, report: &RepairReport, what: &str) -> Vec<Option<Document>> {
    let engine = match Held::all().open(Arc::clone(store)).await {
        Ok(engine) => engine,
        Err(error) => panic!("{what}: does not open: {error:?}, {report:?}"),
    };
    let verified = engine.verify().await.expect("verified");
    assert!(verified.is_sound(), "{what}: {:?}, {report:?}", verified.problems);
    let found = contents(&engine).await;
    engine.index(&[document(200, 0)]).await.expect("a repaired index can be written to");
    engine.fold().await.expect("folded");
    engine.close().await;
    found
}

/// Checks that whatever differs from today's state is reported, and that yesterday's documents are
/// there if they were restored.
fn check_contents(
    whole: &Whole,
    found: &[Option<Document>],
    report: &RepairReport,
    yesterday: Option<&[Option<Document>]>,
    what: &str,
) {
    let is_uncertain = report.lost_unknown_documents > 0 || report.lost_records > 0 || report.returned_documents > 0;
    for (number, (found, expected)) in (0_u32..).zip(found.iter().zip(&whole.today)) {
        if found == expected {
            continue;
        }
        let is_lost = report.lost_documents.contains(&cid(number));
        let is_back = expected.is_none() && (report.lost_deletions > 0 || report.lost_records > 0);
        assert!(is_uncertain || is_lost || is_back, "{what}: document {number}: {report:?}");
        let is_in_archive = yesterday.is_some_and(|documents| documents[number as usize].is_some());
        let is_missing = expected.is_some() && found.is_none();
        assert!(!is_missing || !is_in_archive, "{what}: document {number} is in the archive: {report:?}");
    }
}

/// Checks a repair with yesterday's archive.
async fn check_with_archive(store: &Arc<dyn Backend>, whole: &Whole, what: &str) {
    let what = format!("{what} with an archive");
    let report = match repair(store, &[whole.archive().await]).await {
        Ok(report) => report,
        Err(error) => panic!("{what}: {error:?}"),
    };
    let found = opened(store, &report, &what).await;
    check_contents(whole, &found, &report, Some(&whole.yesterday), &what);
}

/// Checks a repair without any source.
async fn check_without(
    store: &Arc<dyn Backend>,
    whole: &Whole,
    destroyed: &BTreeSet<StoredObject>,
    condition: Option<Condition>,
    what: &str,
) -> Option<Vec<Option<Document>>> {
    let what = format!("{what} without a copy, {destroyed:?}");
    let report = match repair(store, &[]).await {
        Ok(report) => report,
        Err(error) => {
            assert!(is_rootless(destroyed), "{what}: {error:?}");
            let kinds = [
                ErrorKind::Lost,
                ErrorKind::Damaged,
                ErrorKind::WrongKey,
                ErrorKind::NotEncrypted,
                ErrorKind::Rollback,
            ];
            assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
            return None;
        }
    };
    let found = opened(store, &report, &what).await;
    check_contents(whole, &found, &report, None, &what);
    assert!(condition != Some(Condition::Recoverable) || report.is_complete(), "{what}: {report:?}");
    Some(found)
}

/// Returns the documents that are not in today's version after the loss of each object alone. The
/// snapshots are deleted before, because they bring back some of the documents.
async fn dependents(hand: &Hand, whole: &Whole) -> BTreeMap<StoredObject, BTreeSet<u32>> {
    let hand = hand.fork();
    let engine = Held::all().open(hand.store()).await.expect("opened");
    engine.delete_snapshot("one").await.expect("deleted");
    engine.delete_snapshot("two").await.expect("deleted");
    engine.close().await;
    let mut dependents = BTreeMap::new();
    for object in &whole.needed {
        let store = hand.fork().store();
        delete(&*store, object).await;
        let Ok(report) = repair(&store, &[]).await else { continue };
        let found = opened(&store, &report, &object.key).await;
        let changed = (0..).zip(found.iter().zip(&whole.today)).filter(|(_, (found, today))| found != today);
        dependents.insert(object.clone(), changed.map(|(number, _)| number).collect());
    }
    dependents
}

#[tokio::test(start_paused = true)]
async fn recovery_names_and_repairs_whatever_is_destroyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let hand = Hand::default();
    let whole = Whole::make(hand.store(), folder.path()).await;
    let dependents = dependents(&hand, &whole).await;
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(hand.store()));
    for seed in seeds(500) {
        let what = format!("seed {seed}");
        let damaged = hand.fork();
        let destroyed = destroy(&damaged.0, &mut Random(seed * 2 + 1), &whole.needed).await;
        let condition = check_verification(&damaged.store(), &destroyed, &what).await;

        let store = damaged.fork().store();
        let report = match repair(&store, std::slice::from_ref(&copy)).await {
            Ok(report) => report,
            Err(error) if is_undecidable(&destroyed, &error) => continue,
            Err(error) => panic!("{what}: {error:?}, {destroyed:?}"),
        };
        assert!(report.is_complete(), "{what}: {report:?}, {destroyed:?}");
        assert_eq!(opened(&store, &report, &what).await, whole.today, "{what} with a copy");

        check_with_archive(&damaged.fork().store(), &whole, &what).await;

        if let Some(found) = check_without(&damaged.store(), &whole, &destroyed, condition, &what).await {
            let affected: BTreeSet<u32> =
                destroyed.iter().filter_map(|object| dependents.get(object)).flatten().copied().collect();
            for (number, (found, today)) in (0..).zip(found.iter().zip(&whole.today)) {
                let is_left = today.is_some() && !affected.contains(&number);
                assert!(found == today || !is_left, "{what}: document {number}, {destroyed:?}");
            }
        }
    }
}

/// Destroys objects of a fresh index, and repairs it with or without yesterday's archive.
async fn check_store(store: &Store, seed: u64, what: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = store.connect().await;
    let whole = Whole::make(Arc::clone(&backend), folder.path()).await;
    drop(backend);
    let what = format!("{what}, seed {seed}");
    let backend = store.connect().await;
    let destroyed = destroy(&*backend, &mut Random(seed * 2 + 1), &whole.needed).await;
    let condition = check_verification(&backend, &destroyed, &what).await;
    drop(backend);
    let backend = store.connect().await;
    if seed.is_multiple_of(2) {
        check_with_archive(&backend, &whole, &what).await;
    } else {
        check_without(&backend, &whole, &destroyed, condition, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_repaired_whatever_is_destroyed() {
    for seed in seeds(20) {
        check_store(&Store::Embedded(tempfile::tempdir().expect("a folder")), seed, "folder").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_on_nats_is_repaired_whatever_is_destroyed() {
    for seed in seeds(20) {
        check_store(&Store::Nats(NatsServer::start(ServerOptions::default())), seed, "nats").await;
    }
}
