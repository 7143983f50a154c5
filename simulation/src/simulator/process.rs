//! A process: a series of lives, each of which opens the index and ends by closing, a crash or an
//! error.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cim_ipld_persistence::{Engine, EngineBuilder, Error, ErrorKind, Protection, Settings};
use tokio::time::sleep;

use super::actions::{self, End};
use super::environment::{self, PlacePin};
use super::keys::{ALGORITHM, key};
use super::plan::Kind;
use super::world::World;
use crate::store::Client;

/// The number of failed openings after which a process gives up.
const OPENINGS: usize = 6;

/// The time between automatic garbage collections.
const AUTOMATIC_COLLECTION: Duration = Duration::from_millis(700);

fn settings(world: &World) -> Settings {
    let mut settings = Settings::default();
    // A few documents.
    settings.memtable_budget_bytes = Some(3000);
    settings.memory_budget_bytes = 5 << 20;
    settings.write_timeout = Duration::from_secs(20);
    settings.collect_garbage_every = world.plan.collects.then_some(AUTOMATIC_COLLECTION);
    settings.parallel_transfers = const { NonZeroUsize::new(4).expect("4 is not zero") };
    settings
}

fn builder(world: &World, slot: usize, life: usize, client: Client) -> EngineBuilder {
    let builder = Engine::builder(Arc::new(client))
        .settings(settings(world))
        .environment(environment::of(world, slot, life))
        .rules(world.rules);
    match world.plan.is_pinned {
        true => builder.pin(Arc::new(PlacePin { world: world.clone(), slot, life })),
        false => builder,
    }
}

/// Creates the index, before any fault.
pub(super) async fn create(world: &World) {
    let protection = Protection::Encrypted { algorithm: ALGORITHM, key: key(0) };
    let created = builder(world, 0, 0, world.store.client()).create(protection).await;
    match created {
        Ok(engine) => engine.close().await,
        Err(error) => world.violation(format!("the index cannot be created: {error:?}")),
    }
}

pub(super) async fn run(world: World, slot: usize) {
    let mut steps = world.plan.steps;
    let mut life = 1;
    let mut failures = 0;
    while steps > 0 && failures < OPENINGS {
        let client = world.store.client();
        let acknowledged = world.newest_acknowledged();
        let opening = open(&world, slot, life, client.clone());
        let crashed = world.store.crashed(client.id());
        let opened = tokio::select! {
            biased;
            opened = opening => opened,
            () = crashed => Err(Error::new(ErrorKind::Closed, "crashed")),
            () = too_long(&world, "an opening") => Err(Error::new(ErrorKind::Closed, "the operation takes too long")),
        };
        match opened {
            Ok(engine) => {
                check_opened(&world, slot, acknowledged);
                world.lock().open.insert(slot);
                let end = live(&world, slot, life, &engine, &client, &mut steps).await;
                world.quiet().await;
                world.lock().open.remove(&slot);
                match end {
                    End::Crash => {
                        world.store.crash(client.id());
                        drop(engine);
                    }
                    End::Close => tokio::select! {
                        biased;
                        () = engine.close() => {}
                        () = world.store.crashed(client.id()) => {}
                        () = too_long(&world, "closing") => {}
                    },
                }
            }
            Err(error) => {
                check_error(&world, "opening", &error);
                failures += 1;
                sleep(Duration::from_secs(2)).await;
            }
        }
        life += 1;
    }
}

/// Checks that on an honest store, every operation ends in time.
async fn too_long(world: &World, what: &str) {
    sleep(Duration::from_secs(1200)).await;
    if world.plan.kind != Kind::Adversary {
        world.violation(format!("{what} does not end"));
    }
}

async fn open(world: &World, slot: usize, life: usize, client: Client) -> Result<Engine, Error> {
    let number = world.lock().key;
    builder(world, slot, life, client).open(Some(key(number))).await
}

/// Checks that an opener on an honest store sees everything acknowledged before.
fn check_opened(world: &World, slot: usize, acknowledged: u64) {
    let position = world.published(slot).map_or(0, |published| published.position);
    if world.plan.kind == Kind::Honest && position < acknowledged {
        world.violation(format!("a process was opened at position {position} after {acknowledged} was acknowledged"));
    }
}

/// Reports a violation if the kind of store must not cause this error.
pub(super) fn check_error(world: &World, what: &str, error: &Error) {
    let is_false_alarm = match world.plan.kind {
        Kind::Adversary => false,
        Kind::Honest => match error.kind() {
            ErrorKind::Lost | ErrorKind::NoIndex | ErrorKind::Damaged => world.lock().purged_at.is_none(),
            ErrorKind::Forked | ErrorKind::Rollback | ErrorKind::IndexExists => true,
            _ => false,
        },
        // An opener may find an older manifest before it is repaired; a running process must
        // continue.
        Kind::Vandal => {
            what != "opening"
                && !matches!(
                    error.kind(),
                    ErrorKind::Unavailable
                        | ErrorKind::OutcomeUnknown
                        | ErrorKind::Conflict
                        | ErrorKind::KeyRotated
                        | ErrorKind::Closed
                        | ErrorKind::SnapshotExists
                        | ErrorKind::SnapshotMissing
                )
        }
    };
    if is_false_alarm {
        world.violation(format!("{what}: {error:?}"));
    }
}

/// Runs actions until the life ends or the engine stops.
async fn live(world: &World, slot: usize, life: usize, engine: &Engine, client: &Client, steps: &mut u64) -> End {
    let may_crash = world.plan.kind != Kind::Vandal && world.store.choose(3) == 0;
    if may_crash {
        let operations = world.store.operations(client.id()) + 1 + world.store.choose(60);
        world.store.crash_at(client.id(), operations);
    }
    let length = 3 + world.store.choose(10);
    for _ in 0..length.min(*steps) {
        *steps -= 1;
        sleep(Duration::from_millis(world.store.choose(400))).await;
        let crashed = world.store.crashed(client.id());
        let acted = tokio::select! {
            biased;
            acted = actions::act(world, slot, life, engine) => acted,
            () = crashed => return End::Crash,
            () = too_long(world, "an operation") => return End::Crash,
        };
        if let Err(error) = acted {
            check_error(world, "an operation", &error);
            if engine.keys().is_err() {
                return End::Crash;
            }
        }
    }
    End::Close
}
