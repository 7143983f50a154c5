//! A sequence of steps is run repeatedly, each time with a crash at the next operation, and
//! continued after the crash. Acknowledged writes are present, the interrupted step has taken
//! effect completely or not at all, and nothing is damaged.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_backend::Backend;
use cim_ipld_backend_testkit::{CrashMoment, Crashing, Fault, FaultInjecting, OperationKind};
use cim_ipld_envelope::EncryptionAlgorithm;
use cim_ipld_persistence::{Engine, ErrorKind, IndexName, Protection, Result};

use crate::support::{by_hand, cid, create, document, encrypted, key, open, total, try_open};

/// The version of each live document, by its number.
type Model = BTreeMap<u32, u32>;

#[derive(Clone, Debug)]
enum Step {
    Index(Vec<(u32, u32)>),
    Delete(Vec<u32>),
    Fold,
    Merge,
    Snapshot(&'static str),
    Restore(&'static str),
    Forget(&'static str),
    Rotate(u8),
}

/// Returns at least one step of each kind, each after the steps that affect it.
fn all_steps() -> Vec<Step> {
    use Step::*;
    let mut steps = vec![
        Index(vec![(1, 0), (2, 0), (3, 0)]),
        Index(vec![(2, 1)]),
        Fold,
        Index(vec![(4, 0), (1, 1)]),
        Delete(vec![3]),
        Snapshot("one"),
        Index(vec![(5, 0), (4, 2)]),
        Delete(vec![1, 2]),
        Fold,
        Restore("one"),
        Index(vec![(6, 0)]),
        Rotate(2),
        Index(vec![(7, 0), (2, 3)]),
        Fold,
        Forget("one"),
        Index(vec![(8, 0)]),
    ];
    // Enough small segments to be merged, with deletes in the segments and in the journal.
    for number in 10..18 {
        steps.extend([Index(vec![(number, 0), (2, number)]), Fold]);
    }
    steps.extend([Delete(vec![10, 11]), Merge, Index(vec![(12, 5)]), Fold]);
    steps
}

#[derive(Clone, Debug, Default)]
struct World {
    live: Model,
    snapshots: BTreeMap<&'static str, Model>,
    key: u8,
}

impl World {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Index(documents) => self.live.extend(documents.iter().copied()),
            Step::Delete(numbers) => self.live.retain(|number, _| !numbers.contains(number)),
            Step::Fold | Step::Merge => {}
            Step::Snapshot(name) => drop(self.snapshots.insert(name, self.live.clone())),
            Step::Restore(name) => self.live = self.snapshots[name].clone(),
            Step::Forget(name) => drop(self.snapshots.remove(name)),
            Step::Rotate(byte) => self.key = *byte,
        }
    }
}

async fn perform(engine: &Engine, step: &Step) -> Result<()> {
    match step {
        Step::Index(documents) => {
            let documents: Vec<_> = documents.iter().map(|&(number, version)| document(number, version)).collect();
            engine.index(&documents).await.map(drop)
        }
        Step::Delete(numbers) => engine.delete(&numbers.iter().copied().map(cid).collect::<Vec<_>>()).await.map(drop),
        Step::Fold => engine.fold().await,
        Step::Merge => engine.merge().await,
        Step::Snapshot(name) => engine.create_snapshot(name).await.map(drop),
        Step::Restore(name) => engine.restore_snapshot(name).await.map(drop),
        Step::Forget(name) => engine.delete_snapshot(name).await,
        Step::Rotate(byte) => engine.rotate_key(&key(*byte), EncryptionAlgorithm::ChaCha20Poly1305).await,
    }
}

async fn observed(engine: &Engine) -> Model {
    let numbers: Vec<u32> = (0..30).collect();
    let cids: Vec<_> = numbers.iter().copied().map(cid).collect();
    let documents = engine.documents(&cids).await.expect("read");
    let mut model = Model::new();
    for (number, found) in numbers.into_iter().zip(documents) {
        let Some(found) = found else { continue };
        let version = (0..30).find(|version| found == document(number, *version)).expect("a version that was written");
        model.insert(number, version);
    }
    assert_eq!(total(engine, "shared").await, model.len() as u64, "search and documents disagree");
    model
}

/// Performs the steps until the crash, and applies the acknowledged ones to `world`. Returns the
/// index of the interrupted step.
async fn perform_until_crash(engine: &Engine, backend: &Crashing, world: &mut World, steps: &[Step]) -> Option<usize> {
    for (number, step) in steps.iter().enumerate() {
        match perform(engine, step).await {
            Ok(()) => world.apply(step),
            Err(error) => {
                assert!(backend.has_crashed(), "{step:?}: {error:?}");
                return Some(number);
            }
        }
    }
    None
}

/// Opens the store after the crash, with the key from before or after the interrupted step. Also
/// returns the byte of that key.
async fn reopen(backend: &Arc<dyn Backend>, before: &World, after: &World) -> (Engine, u8) {
    match try_open(backend, Some(key(before.key))).await {
        Ok(engine) => (engine, before.key),
        Err(error) if before.key == after.key => panic!("{error:?}"),
        Err(_) => (try_open(backend, Some(key(after.key))).await.expect("opened with the new key"), after.key),
    }
}

#[tokio::test(start_paused = true)]
async fn persistence_survives_a_crash_at_every_step() {
    let steps = all_steps();
    for moment in CrashMoment::ALL {
        for operation in 0.. {
            let crashing = Crashing::new();
            let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
            let engine = create(&backend).await;
            let mut world = World { key: 1, ..World::default() };
            crashing.crash_at(crashing.operations() + operation, moment);
            let stopped_at = perform_until_crash(&engine, &crashing, &mut world, &steps).await;
            drop(engine);
            if stopped_at.is_none() && !crashing.has_crashed() {
                break;
            }
            // The very last operation removes garbage, and no step waits for its result.
            let stopped_at = stopped_at.unwrap_or(steps.len());
            let interrupted = steps.get(stopped_at);
            let what = format!("crash at operation {operation}, {moment:?}, during {interrupted:?}");

            let left = crashing.reopen();
            let backend: Arc<dyn Backend> = Arc::new(left.clone());
            let mut after = world.clone();
            interrupted.into_iter().for_each(|step| after.apply(step));
            let (engine, key) = reopen(&backend, &world, &after).await;
            let found = observed(&engine).await;
            assert!(found == world.live || found == after.live, "{what}: {found:?}\nbefore {world:?}\nafter {after:?}");
            let report = engine.verify().await.expect("verified");
            assert!(report.is_sound(), "{what}: {:?}", report.problems);

            // The remaining steps have the expected result, whether or not the interrupted step
            // took effect.
            let mut world = if found == after.live { after } else { world };
            world.key = key;
            world.snapshots = remaining_snapshots(&engine, &world).await;
            let rest: Vec<Step> =
                steps.iter().skip(stopped_at + 1).filter(|step| is_possible(step, &world)).cloned().collect();
            assert_eq!(perform_until_crash(&engine, &left, &mut world, &rest).await, None, "{what}");
            assert_eq!(observed(&engine).await, world.live, "{what}");
            assert!(engine.verify().await.expect("verified").is_sound(), "{what}");
        }
    }
}

/// Returns the snapshots that exist after the crash, with their contents.
async fn remaining_snapshots(engine: &Engine, world: &World) -> BTreeMap<&'static str, Model> {
    let there = engine.snapshots().await.expect("listed");
    let one = there.iter().any(|snapshot| snapshot.name == "one");
    one.then(|| ("one", world.snapshots.get("one").unwrap_or(&world.live).clone())).into_iter().collect()
}

fn is_possible(step: &Step, world: &World) -> bool {
    match step {
        Step::Restore(name) | Step::Forget(name) => world.snapshots.contains_key(name),
        _ => true,
    }
}

#[tokio::test(start_paused = true)]
async fn persistence_resolves_every_lost_acknowledgement() {
    let steps = all_steps();
    for fault in [Fault::LostAfter, Fault::LostBefore, Fault::Fail(cim_ipld_backend::ErrorKind::Unavailable)] {
        let (mut operation, mut was_hit) = (0, true);
        while was_hit {
            let faulty = FaultInjecting::new(cim_ipld_backend::MemoryBackend::new());
            let backend: Arc<dyn Backend> = Arc::new(faulty.clone());
            let engine = create(&backend).await;
            let mut world = World { key: 1, ..World::default() };
            let mut puts = 0;
            let (hit, chosen) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), fault);
            let seen = Arc::clone(&hit);
            faulty.when(move |operation_made| {
                if operation_made.kind != OperationKind::Put {
                    return None;
                }
                puts += 1;
                (puts == operation + 1).then(|| {
                    seen.store(true, std::sync::atomic::Ordering::Relaxed);
                    chosen
                })
            });
            for step in &steps {
                perform(&engine, step)
                    .await
                    .unwrap_or_else(|error| panic!("{step:?} with {fault:?} at put {operation}: {error:?}"));
                world.apply(step);
            }
            assert_eq!(observed(&engine).await, world.live, "{fault:?} at put {operation}");
            drop(engine);
            let engine = try_open(&backend, Some(key(world.key))).await.expect("opened");
            assert_eq!(observed(&engine).await, world.live, "{fault:?} at put {operation}, opened again");
            was_hit = hit.load(std::sync::atomic::Ordering::Relaxed);
            operation += 1;
        }
        assert!(operation > 20, "the steps need more puts than that");
    }
}

/// The number of operations of a creation: five buckets, the root and the manifest.
const OPERATIONS: u64 = 7;

#[tokio::test(start_paused = true)]
async fn persistence_creates_an_index_completely_or_not_at_all() {
    for moment in CrashMoment::ALL {
        for operation in 0.. {
            let crashing = Crashing::new();
            crashing.crash_at(operation, moment);
            let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
            let created = Engine::create(backend, &IndexName::default(), encrypted(), by_hand()).await;
            if created.is_ok() {
                break;
            }
            // Creating the index again with the same key completes it, unless it was already
            // complete.
            let left = crashing.reopen();
            let backend: Arc<dyn Backend> = Arc::new(left.clone());
            let made = Engine::exists(&*backend, &IndexName::default()).await.expect("looked");
            assert_eq!(made, operation == OPERATIONS - 1 && moment != CrashMoment::Before, "{operation}, {moment:?}");
            if !made {
                let error = try_open(&backend, Some(key(1))).await.expect_err("nothing to open");
                assert_eq!(error.kind(), ErrorKind::NoIndex, "{operation}, {moment:?}: {error}");
            }
            let again = Engine::create(Arc::clone(&backend), &IndexName::default(), encrypted(), by_hand()).await;
            let engine = match again {
                Err(error) if made && error.kind() == ErrorKind::IndexExists => open(&backend).await,
                created => created.expect("created"),
            };
            engine.index(&[document(1, 0)]).await.expect("indexed");
            assert_eq!(total(&engine, "shared").await, 1);
        }
    }
}

#[tokio::test]
async fn persistence_completes_a_creation_with_its_original_key_and_algorithm() {
    let crashing = Crashing::new();
    crashing.crash_at(OPERATIONS - 1, CrashMoment::Before);
    let create = async |crashing: &Crashing, byte, algorithm| {
        let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
        let protection = Protection::Encrypted { algorithm, key: key(byte) };
        Engine::create(backend, &IndexName::default(), protection, by_hand()).await
    };
    create(&crashing, 1, EncryptionAlgorithm::AES256GCM).await.expect_err("interrupted");
    let left = crashing.reopen();
    for (byte, algorithm, expected) in [
        (2, EncryptionAlgorithm::AES256GCM, ErrorKind::WrongKey),
        (1, EncryptionAlgorithm::ChaCha20Poly1305, ErrorKind::IndexExists),
    ] {
        let error = create(&left, byte, algorithm).await.expect_err("refused");
        assert_eq!(error.kind(), expected, "{error}");
    }
    create(&left, 1, EncryptionAlgorithm::AES256GCM).await.expect("finished");
    let error = create(&left, 1, EncryptionAlgorithm::AES256GCM).await.expect_err("the index exists");
    assert_eq!(error.kind(), ErrorKind::IndexExists);
}
