//! Runs real engines over the simulated store, and checks them against the promises of the
//! protocol.
//!
//! A seed determines a run: the kind of store, the processes, their operations and crashes, and the
//! actions of the store. A fault can therefore be reproduced from its seed. [`run`] returns the
//! violations that it found.

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

/// The number of positions that a record may lag behind in a simulated engine. It is small, so that
/// runs reach the limit.
const WINDOW_POSITIONS: u64 = 12;

/// The rules to remove in turn, each alone.
pub const REMOVALS: [&[Rule]; 24] = [
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
    &[Rule::CollectionFence],
    &[Rule::GracePeriod],
];

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The violations, in the order in which they were found.
    pub violations: Vec<String>,
    /// The choices that the seed determines.
    pub plan: String,
    /// Identifies the trace.
    pub trace_hash: String,
    /// One line for each operation and each event of the store.
    pub trace: Vec<String>,
    /// The number of acknowledged writes.
    pub acknowledged: usize,
}

/// Runs the simulation of `seed` without the rules in `removed`.
///
/// A run that hangs exits the process with a message that names the seed.
///
/// # Panics
/// If the runtime cannot be created.
#[must_use]
pub fn run(seed: u64, removed: &[Rule]) -> Outcome {
    let _watchdog = Watchdog::new(format!("seed {seed} without {removed:?}"));
    let all = Rules::default().with_window(WINDOW_POSITIONS);
    let rules = removed.iter().fold(all, |rules, rule| rules.and_without(*rule));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be created");
    runtime.block_on(async {
        let plan = Plan::of(seed);
        let faults = match plan.kind {
            // A process that restores a snapshot should often be behind the writers.
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
