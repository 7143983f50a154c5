//! The checks at the end of a run.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_persistence::{Engine, GarbageOptions, ObjectCount};
use tokio::time::sleep;

use super::actions::documents;
use super::environment;
use super::keys::key;
use super::plan::Kind;
use super::process::check_error;
use super::world::World;
use crate::store::Faults;

/// Opens the index once more, on a store without faults, and checks it.
pub(super) async fn final_checks(world: &World) {
    if world.plan.kind == Kind::Adversary || world.lock().purged_at.is_some() || !world.violations().is_empty() {
        return;
    }
    world.store.set_faults(Faults::none());
    // Operations in progress take effect or are lost.
    sleep(Duration::from_secs(300)).await;
    let slot = world.plan.processes;
    let mut number = world.lock().key;
    let engine = loop {
        let builder = Engine::builder(Arc::new(world.store.client()))
            .environment(environment::of(world, slot, 0))
            .rules(world.rules);
        match builder.open(Some(key(number))).await {
            Ok(engine) => break engine,
            // An interrupted rotation may have succeeded or not.
            Err(error) if error.kind() == cim_ipld_persistence::ErrorKind::WrongKey && number > 0 => number -= 1,
            // The vandal's last action was not repaired, because no process was running any more.
            Err(_) if world.plan.kind == Kind::Vandal => return,
            Err(error) => return check_error(world, "the last opening", &error),
        }
    };
    let position = world.published(slot).map_or(0, |published| published.position);
    let acknowledged = world.newest_acknowledged();
    if position < acknowledged && world.plan.kind == Kind::Honest {
        world.violation(format!("the last opening shows position {position}, but {acknowledged} was acknowledged"));
    }
    check_documents(world, slot, &engine).await;
    check_objects(world, &engine).await;
    if world.plan.kind == Kind::Honest {
        let mut options = GarbageOptions::default();
        options.grace_period = Duration::ZERO;
        match engine.collect_garbage(&options, |_| {}).await {
            Ok(_) => {
                let unnamed = check_objects(world, &engine).await;
                if unnamed.is_some_and(|unnamed| unnamed.objects > 0) {
                    world.violation(format!("a garbage collection left unnamed objects: {unnamed:?}"));
                }
            }
            Err(error) => check_error(world, "the last garbage collection", &error),
        }
    }
    engine.close().await;
}

/// Checks that the manifest and every snapshot name only objects that are in the store. Returns the
/// objects that nothing names.
async fn check_objects(world: &World, engine: &Engine) -> Option<ObjectCount> {
    match engine.verify().await {
        Ok(report) if world.plan.kind == Kind::Honest && !report.is_sound() => {
            world.violation(format!("verification: {:?}", report.problems));
            None
        }
        Ok(report) => Some(report.unnamed),
        Err(error) => {
            check_error(world, "verification", &error);
            None
        }
    }
}

async fn check_documents(world: &World, slot: usize, engine: &Engine) {
    let found = match documents(engine).await {
        Ok(found) => found,
        Err(error) => return check_error(world, "reading at the end", &error),
    };
    let Some(published) = world.published(slot) else { return };
    world.check_restores(&found, published.generation);
    let expected = world.expected(published.order);
    if !world.plan.restores && found != expected {
        world.violation(format!("at the end the documents are {found:?} instead of {expected:?}"));
    }
}
