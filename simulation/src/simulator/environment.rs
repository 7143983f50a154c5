//! The clock and randomness of a simulated process, and a pin that survives it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cim_ipld_index::Timestamp;
use cim_ipld_persistence::{Clock, Environment, Event, Observer, PinStore, Randomness};
use tokio::time::Instant;

use super::world::World;

/// Random numbers from a seed.
pub(super) struct Seeded(Mutex<u64>);

impl Randomness for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&crate::store::mix(*state).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A clock that advances with the paused clock of the runtime, counted from `start`, or stands
/// still.
struct Simulated {
    start: Option<Instant>,
}

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        let elapsed = self.start.map_or(Duration::ZERO, |start| start.elapsed());
        Timestamp(1_700_000_000_000 + i64::try_from(elapsed.as_millis()).expect("a run is short"))
    }
}

/// Reports the events of one life of a process to the world.
struct Watching {
    world: World,
    slot: usize,
    life: usize,
}

impl Observer for Watching {
    fn observe(&self, event: Event) {
        self.world.observe(self.slot, self.life, event);
    }
}

/// Returns the environment of the `life`-th life of a process.
pub(super) fn of(world: &World, slot: usize, life: usize) -> Environment {
    let seed = world.plan.seed ^ ((slot as u64 + 1) << 40) ^ ((life as u64 + 1) << 50);
    let watching = Watching { world: world.clone(), slot, life };
    // Only the runs that collect garbage depend on the time.
    let clock = Simulated { start: world.plan.collects.then_some(world.started) };
    Environment::deterministic(Arc::new(clock), Arc::new(Seeded(Mutex::new(seed)))).observed_by(Arc::new(watching))
}

/// The pin of a process, in memory.
#[derive(Debug)]
pub(super) struct PlacePin {
    pub(super) world: World,
    pub(super) slot: usize,
    pub(super) life: usize,
}

impl PinStore for PlacePin {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.world.lock().pins.get(&self.slot).cloned())
    }

    fn store(&self, pin: &[u8]) -> io::Result<()> {
        self.world.lock().pin(self.slot, self.life, pin);
        Ok(())
    }
}
