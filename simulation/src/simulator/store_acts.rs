//! Events of the store while the processes run.

use std::time::Duration;

use cim_ipld_backend::Key;
use tokio::time::sleep;

use super::plan::Kind;
use super::world::World;
use crate::store::{BranchId, ClientId};

/// The number of events per run.
const ACTS: usize = 60;

pub(super) async fn run(world: World) {
    let mut branch = BranchId::MAIN;
    for _ in 0..ACTS {
        sleep(Duration::from_millis(50 + world.store.choose(400))).await;
        match world.plan.kind {
            Kind::Honest if world.plan.purges => purge(&world),
            Kind::Honest => {}
            Kind::Vandal => vandalise(&world),
            Kind::Adversary => deceive(&world, &mut branch),
        }
    }
}

fn key(name: &str) -> Key {
    Key::new(name).expect("a key")
}

fn purge(world: &World) {
    if world.store.choose(20) > 0 || world.lock().purged_at.is_some() {
        return;
    }
    let moment = world.moment();
    let catalog = world.catalog();
    let purged = match world.store.choose(2) {
        0 => world.store.purge(BranchId::MAIN, &catalog),
        _ => world.store.recreate(BranchId::MAIN, &catalog),
    };
    if purged.is_ok() {
        world.lock().purged_at = Some(moment);
    }
}

/// Writes entries that need no key: junk and replayed values. It overwrites no journal record, and
/// overwrites the root or the manifest only while an open process can restore it.
fn vandalise(world: &World) {
    let (store, catalog) = (&world.store, world.catalog());
    let done = match store.choose(6) {
        0 => {
            let name = format!("journal.{:016x}.{}", store.choose(u64::MAX), store.choose(4));
            store.junk(BranchId::MAIN, &catalog, &key(&name)).map(drop)
        }
        1 if world.disturb() => store.junk(BranchId::MAIN, &catalog, &key("manifest")).map(drop),
        2 if world.disturb() => store.junk(BranchId::MAIN, &catalog, &key("keyset")).map(drop),
        1 | 2 => Ok(()),
        _ => replay(world, true),
    };
    // It cannot fail: the catalog was created before the run began.
    let _ = done;
}

/// Stores an earlier value again.
fn replay(world: &World, only_what_is_gone: bool) -> cim_ipld_backend::Result<()> {
    let (store, catalog) = (&world.store, world.catalog());
    let archive = store.archive();
    let mut candidates: Vec<usize> =
        (0..archive.len()).filter(|number| archive[*number].bucket == catalog.name()).collect();
    if only_what_is_gone {
        let present: Vec<Key> = store.contents(BranchId::MAIN, &catalog)?.into_iter().map(|entry| entry.key).collect();
        candidates.retain(|number| {
            let key = &archive[*number].key;
            !present.contains(key) || !key.as_str().starts_with("journal")
        });
    }
    if candidates.is_empty() {
        return Ok(());
    }
    let is_journal = |number: usize| archive[number].key.as_str().starts_with("journal");
    let chosen = candidates[usize::try_from(store.choose(candidates.len() as u64)).expect("an index")];
    if only_what_is_gone && !is_journal(chosen) && !world.disturb() {
        return Ok(());
    }
    store.replay(BranchId::MAIN, &catalog, chosen, None).map(drop)
}

fn deceive(world: &World, branch: &mut BranchId) {
    let (store, catalog) = (&world.store, world.catalog());
    let clients = store.clients();
    if clients == 0 {
        return;
    }
    let client = ClientId::new(usize::try_from(store.choose(clients as u64)).expect("small"));
    let archive = store.archive();
    let old = |name: &str| {
        let all: Vec<usize> = (0..archive.len())
            .filter(|number| archive[*number].bucket == catalog.name() && archive[*number].key.as_str() == name)
            .collect();
        (!all.is_empty()).then(|| all[usize::try_from(store.choose(all.len() as u64)).expect("an index")])
    };
    match store.choose(16) {
        0..4 => drop(replay(world, false)),
        4 | 5 => {
            let name = if store.choose(4) == 0 { "keyset" } else { "manifest" };
            if let Some(number) = old(name) {
                store.serve(client, &catalog, &key(name), number);
            }
        }
        6 | 7 => store.release(client),
        8 => {
            let contents = store.contents(BranchId::MAIN, &catalog).unwrap_or_default();
            if !contents.is_empty() {
                let chosen = usize::try_from(store.choose(contents.len() as u64)).expect("an index");
                store.withhold(client, &catalog, &contents[chosen].key);
            }
        }
        9..12 if world.plan.forks => {
            *branch = store.fork(BranchId::MAIN);
            store.assign(client, *branch);
        }
        12..15 if world.plan.forks => store.assign(client, BranchId::MAIN),
        _ => {}
    }
}
