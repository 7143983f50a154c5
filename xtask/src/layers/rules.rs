//! The allowed dependencies, as listed in docs/architecture.md under "Crates and dependencies".
//! Change both together.

/// A package: its folder and the packages of this workspace that it may depend on.
pub(crate) struct Room {
    pub(crate) folder: &'static str,
    pub(crate) package: &'static str,
    /// Allowed as normal or build dependencies.
    pub(crate) uses: &'static [&'static str],
    /// Allowed only as optional dependencies enabled by a feature.
    pub(crate) by_feature: &'static [&'static str],
    /// Allowed as dev-dependencies, besides those above.
    pub(crate) tests: &'static [&'static str],
}

const INDEX: &str = "cim-ipld-index";
const ENVELOPE: &str = "cim-ipld-envelope";
const BACKEND: &str = "cim-ipld-backend";
const TESTKIT: &str = "cim-ipld-backend-testkit";
const EMBEDDED: &str = "cim-ipld-embedded";
const NATS: &str = "cim-ipld-nats";
const PERSISTENCE: &str = "cim-ipld-persistence";
const FACADE: &str = "cim-ipld";
const CLI: &str = "cim-ipld-cli";
const EXAMPLES: &str = "cim-ipld-examples";
const BENCHES: &str = "cim-ipld-benches";
const SIMULATION: &str = "cim-ipld-simulation";

/// Examples, benchmarks and the simulation may depend on every library.
const LIBRARIES: &[&str] = &[INDEX, ENVELOPE, BACKEND, TESTKIT, EMBEDDED, NATS, PERSISTENCE, FACADE];

/// All packages of the workspace. Any other package is refused.
pub(crate) const ROOMS: &[Room] = &[
    Room { folder: "crates/cim-ipld-index", package: INDEX, uses: &[], by_feature: &[], tests: &[] },
    Room { folder: "crates/cim-ipld-envelope", package: ENVELOPE, uses: &[], by_feature: &[], tests: &[] },
    Room { folder: "crates/cim-ipld-backend", package: BACKEND, uses: &[], by_feature: &[], tests: &[TESTKIT] },
    Room { folder: "crates/cim-ipld-backend-testkit", package: TESTKIT, uses: &[BACKEND], by_feature: &[], tests: &[] },
    Room {
        folder: "crates/cim-ipld-embedded",
        package: EMBEDDED,
        uses: &[BACKEND],
        by_feature: &[],
        tests: &[TESTKIT],
    },
    Room { folder: "crates/cim-ipld-nats", package: NATS, uses: &[BACKEND], by_feature: &[], tests: &[TESTKIT] },
    Room {
        folder: "crates/cim-ipld-persistence",
        package: PERSISTENCE,
        uses: &[INDEX, ENVELOPE, BACKEND],
        by_feature: &[],
        tests: &[TESTKIT, EMBEDDED, NATS],
    },
    Room {
        folder: "crates/cim-ipld",
        package: FACADE,
        uses: &[PERSISTENCE],
        by_feature: &[EMBEDDED, NATS],
        tests: &[TESTKIT, EMBEDDED, NATS, BACKEND],
    },
    Room {
        folder: "crates/cim-ipld-cli",
        package: CLI,
        uses: &[FACADE],
        by_feature: &[],
        tests: &[TESTKIT, EMBEDDED, NATS, BACKEND],
    },
    Room { folder: "examples", package: EXAMPLES, uses: LIBRARIES, by_feature: &[], tests: &[] },
    Room { folder: "benches", package: BENCHES, uses: LIBRARIES, by_feature: &[], tests: &[] },
    Room { folder: "simulation", package: SIMULATION, uses: LIBRARIES, by_feature: &[], tests: &[] },
    Room { folder: "xtask", package: "xtask", uses: &[], by_feature: &[], tests: &[] },
];

/// An external package whose use is restricted.
pub(crate) struct Fence {
    pub(crate) around: &'static str,
    pub(crate) reach: Reach,
    pub(crate) why: &'static str,
}

pub(crate) enum Reach {
    /// The packages that may name it in their `Cargo.toml`; the second list only by a feature.
    Named { by: &'static [&'static str], by_feature: &'static [&'static str] },
    /// The only packages that may depend on it, directly or transitively.
    Led { from: &'static [&'static str] },
    /// The packages that must not depend on it, directly or transitively.
    NotLed { from: &'static [&'static str] },
}

pub(crate) const FENCES: &[Fence] = &[
    Fence { around: "tokio", reach: Reach::NotLed { from: &[INDEX] }, why: "the index core is pure and synchronous" },
    Fence {
        around: "async-nats",
        reach: Reach::Named { by: &[NATS], by_feature: &[FACADE] },
        why: "one crate speaks to the server; the facade re-exports it under its feature",
    },
    Fence {
        around: "async-nats",
        reach: Reach::Led { from: &[NATS, FACADE, CLI, EXAMPLES, BENCHES, SIMULATION] },
        why: "the engine works over any backend",
    },
];

/// Words that do not describe the purpose of a package.
pub(crate) const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];
