//! The actions of a process, and the checks of their results.

use std::time::Duration;

use cim_ipld_index::Document;
use cim_ipld_persistence::{Engine, Error, ErrorKind, GarbageOptions};

use super::history::Documents;
use super::keys::key;
use super::plan::Kind;
use super::world::{Acknowledged, DOCUMENTS, Restore, World, document_cid};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Crash,
}

pub(super) async fn act(world: &World, slot: usize, life: usize, engine: &Engine) -> Result<(), Error> {
    // A restore is most error-prone if this process has not seen the latest writes of others.
    let is_behind = world.published(slot).is_some_and(|published| published.position < world.newest_acknowledged());
    let restores = match world.plan.restores {
        true if is_behind => 60,
        true => 10,
        false => 0,
    };
    let collects = if world.plan.collects { 25 } else { 0 };
    match world.store.choose(100 + restores + collects) {
        action if action >= 100 + restores => collect(world, engine).await,
        0..40 => put(world, slot, engine).await,
        40..50 => delete(world, slot, engine).await,
        50..70 => read(world, slot, engine).await,
        70..80 => engine.fold().await,
        80..84 => engine.merge().await,
        84..88 => snapshot(world, slot, life, engine).await,
        88..92 if world.plan.restores => snapshot(world, slot, life, engine).await,
        100.. => restore(world, slot, engine).await,
        92..95 if world.plan.rotates => rotate(world, engine).await,
        _ => read(world, slot, engine).await,
    }
}

async fn put(world: &World, slot: usize, engine: &Engine) -> Result<(), Error> {
    let number = usize::try_from(world.store.choose(DOCUMENTS as u64)).expect("small");
    let version = world.new_version();
    let document = Document::new(document_cid(number))
        .with_size(version)
        .with_tag(format!("tag{}", version % 3))
        .with_text(format!("shared number{number} version{version} {}", "ballast ".repeat(number * 8)));
    let began = world.moment();
    let position = engine.index(&[document]).await?;
    acknowledge(world, slot, number, Some(version), position.number(), began);
    Ok(())
}

async fn delete(world: &World, slot: usize, engine: &Engine) -> Result<(), Error> {
    let number = usize::try_from(world.store.choose(DOCUMENTS as u64)).expect("small");
    let began = world.moment();
    let position = engine.delete(&[document_cid(number)]).await?;
    acknowledge(world, slot, number, None, position.number(), began);
    Ok(())
}

/// Checks that an acknowledged write is at its position of the published order of its process.
fn acknowledge(world: &World, slot: usize, number: usize, version: Option<u64>, position: u64, began: u64) {
    let moment = world.moment();
    let order = world.published(slot).map(|published| published.order);
    let mut state = world.lock();
    state.acknowledged.push(Acknowledged { number, version, position, began, moment });
    let purged = state.purged_at.is_some_and(|purged| purged < began);
    let is_there = order.is_some_and(|order| {
        let chain = state.history.chain(order);
        chain.iter().any(|link| link.position == position && link.changes.contains(&(number, version)))
    });
    drop(state);
    if purged {
        world.violation(format!("position {position} was acknowledged after the catalog had been purged"));
    }
    if !is_there {
        world.violation(format!("an acknowledged write is not at position {position} of its writer's order"));
    }
}

/// Checks that the documents read are those that result from the order.
async fn read(world: &World, slot: usize, engine: &Engine) -> Result<(), Error> {
    let before = world.published(slot);
    let documents = documents(engine).await?;
    let after = world.published(slot);
    if let Some(published) = before {
        world.check_restores(&documents, published.generation);
    }
    if let Some(published) = before.filter(|_| before == after && !world.plan.restores) {
        let expected = world.expected(published.order);
        if documents != expected {
            let position = published.position;
            world.violation(format!("at position {position} the documents are {documents:?} instead of {expected:?}"));
        }
    }
    Ok(())
}

/// Returns the version of every document.
pub(super) async fn documents(engine: &Engine) -> Result<Documents, Error> {
    let cids: Vec<_> = (0..DOCUMENTS).map(document_cid).collect();
    let documents = engine.documents(&cids).await?;
    let versions = documents.into_iter().enumerate();
    Ok(versions.filter_map(|(number, document)| Some((number, document?.size.unwrap_or_default()))).collect())
}

async fn snapshot(world: &World, slot: usize, life: usize, engine: &Engine) -> Result<(), Error> {
    let name = format!("{slot}-{life}-{}", world.store.choose(3));
    let made = engine.create_snapshot(&name).await;
    if made.is_ok() {
        let moment = world.moment();
        world.lock().snapshots.insert(name, moment);
    }
    made.map(drop)
}

async fn restore(world: &World, slot: usize, engine: &Engine) -> Result<(), Error> {
    let names: Vec<(String, u64)> = world.lock().snapshots.iter().map(|(name, made)| (name.clone(), *made)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let (name, made) = &names[usize::try_from(world.store.choose(names.len() as u64)).expect("small")];
    let moment = world.moment();
    let begun = {
        let mut state = world.lock();
        state.restores.push(Restore { moment, snapshot_moment: *made, generation: None });
        state.restores.len() - 1
    };
    engine.restore_snapshot(name).await?;
    let generation = world.published(slot).map(|published| published.generation);
    world.lock().restores[begun].generation = generation;
    Ok(())
}

/// Removes the garbage, often all of it, and otherwise what is older than other processes need for
/// a fold.
async fn collect(world: &World, engine: &Engine) -> Result<(), Error> {
    const GRACE_PERIODS_MS: [u64; 4] = [0, 0, 200, 5000];
    let chosen = usize::try_from(world.store.choose(GRACE_PERIODS_MS.len() as u64)).expect("small");
    let mut options = GarbageOptions::default();
    options.grace_period = Duration::from_millis(GRACE_PERIODS_MS[chosen]);
    engine.collect_garbage(&options, |_| {}).await.map(drop)
}

/// Replaces the key. Processes that rotate at the same time use the same new key, so that the
/// newest key is known.
async fn rotate(world: &World, engine: &Engine) -> Result<(), Error> {
    let number = world.lock().key + 1;
    let algorithm = cim_ipld_envelope::EncryptionAlgorithm::ChaCha20Poly1305;
    world.lock().rotating = true;
    let rotated = engine.rotate_key(&key(number), algorithm).await;
    world.lock().rotating = false;
    match &rotated {
        // After an unknown outcome, either key may be the current one.
        Err(error) if error.kind() != ErrorKind::OutcomeUnknown || world.plan.kind == Kind::Adversary => {}
        _ => world.lock().key = number,
    }
    rotated
}
