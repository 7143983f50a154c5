//! Runs real engines over the simulated store, and compares what they do with what the protocol
//! promises.
//!
//! One seed is one run: its kind of store, its processes, what they write and read, when they
//! crash, what the store does to them. Every choice follows from it, so that a fault is found again
//! by its seed. [`run`] returns what is wrong.

mod actions;
mod checks;
mod environment;
mod history;
mod keys;
mod plan;
mod process;
mod store_acts;
mod watchdog;
mod world;

use cim_ipld_persistence::{Rule, Rules};

use crate::store::{Faults, Rate, Store};
use checks::final_checks;
use plan::{Kind, Plan};
use watchdog::Watchdog;
use world::World;

/// Positions that a record may lag behind in a simulated engine: few, so that the limit is met.
const WINDOW_POSITIONS: u64 = 12;

/// What [`run`] is asked to leave out, in turn: each rule alone, and rules that only stand in for
/// each other together.
pub const REMOVALS: [&[Rule]; 23] = [
    &[Rule::IgnoreJunk],
    &[Rule::Epoch],
    &[Rule::Stale],
    &[Rule::Duplicate],
    &[Rule::Closed],
    &[Rule::Close],
    &[Rule::RecordChain],
    &[Rule::RecordManifest],
    &[Rule::Ancestry],
    &[Rule::ManifestChain],
    &[Rule::Generation],
    &[Rule::ManifestEpoch],
    &[Rule::ReadBack],
    &[Rule::GapRead],
    &[Rule::CaughtUpRead],
    &[Rule::ReachFormer],
    &[Rule::ExactWatermark],
    &[Rule::TrimDead],
    &[Rule::RestoreBarrier],
    &[Rule::RootFloor],
    &[Rule::Fence],
    &[Rule::Pin],
    &[Rule::GracePeriod],
];

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was wrong, the first thing first.
    pub violations: Vec<String>,
    /// What the seed means.
    pub plan: String,
    /// Identifies what happened.
    pub trace_hash: String,
    /// What happened, one line for each operation and each act of the store.
    pub trace: Vec<String>,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
}

/// Runs the simulation of `seed` without the rules of `removed`.
///
/// # Panics
/// When the runtime cannot be made. A run that hangs ends the process, which says which seed it
/// was.
#[must_use]
pub fn run(seed: u64, removed: &[Rule]) -> Outcome {
    let _watchdog = Watchdog::new(format!("seed {seed} without {removed:?}"));
    let all = Rules::default().with_window(WINDOW_POSITIONS);
    let rules = removed.iter().fold(all, |rules, rule| rules.and_without(*rule));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing that could be missing");
    runtime.block_on(async {
        let plan = Plan::of(seed);
        let faults = match plan.kind {
            // Whoever restores is often behind those who write.
            Kind::Honest if plan.restores => Faults { lagging_watch: Rate::per_mille(300), ..Faults::honest() },
            Kind::Honest => Faults::honest(),
            Kind::Vandal => Faults { delay: Faults::honest().delay, ..Faults::none() },
            Kind::Adversary => plan.lies(),
        };
        let store = Store::new(seed, Faults::none());
        let world = World::new(store.clone(), plan, rules);
        process::create(&world).await;
        store.set_faults(faults);
        let tasks: Vec<_> =
            (0..world.plan.processes).map(|slot| tokio::spawn(process::run(world.clone(), slot))).collect();
        let acts = tokio::spawn(store_acts::run(world.clone()));
        for task in tasks {
            if task.await.is_err() {
                world.violation("a process panicked");
            }
        }
        acts.abort();
        let _ = acts.await;
        final_checks(&world).await;
        Outcome {
            violations: world.violations(),
            plan: format!("{:?}", world.plan),
            trace_hash: store.trace_hash(),
            trace: store.trace(),
            acknowledged: world.acknowledged(),
        }
    })
}
