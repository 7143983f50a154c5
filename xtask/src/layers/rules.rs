//! The allowed dependencies, as listed in docs/architecture.md under "Crates and dependencies".
//! Change both together.

/// A package, its folder, and the packages of this workspace on which it may depend.
pub(crate) struct AllowedDependencies {
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
pub(crate) const ALLOWED: &[AllowedDependencies] = &[
    AllowedDependencies { folder: "crates/cim-ipld-index", package: INDEX, uses: &[], by_feature: &[], tests: &[] },
    AllowedDependencies {
        folder: "crates/cim-ipld-envelope",
        package: ENVELOPE,
        uses: &[],
        by_feature: &[],
        tests: &[TESTKIT],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld-backend",
        package: BACKEND,
        uses: &[],
        by_feature: &[],
        tests: &[TESTKIT],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld-backend-testkit",
        package: TESTKIT,
        uses: &[BACKEND],
        by_feature: &[],
        tests: &[],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld-embedded",
        package: EMBEDDED,
        uses: &[BACKEND],
        by_feature: &[],
        tests: &[TESTKIT],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld-nats",
        package: NATS,
        uses: &[BACKEND],
        by_feature: &[],
        tests: &[TESTKIT],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld-persistence",
        package: PERSISTENCE,
        uses: &[INDEX, ENVELOPE, BACKEND],
        by_feature: &[],
        tests: &[TESTKIT, EMBEDDED, NATS],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld",
        package: FACADE,
        uses: &[PERSISTENCE],
        by_feature: &[EMBEDDED, NATS],
        tests: &[TESTKIT, EMBEDDED, NATS, BACKEND],
    },
    AllowedDependencies {
        folder: "crates/cim-ipld-cli",
        package: CLI,
        uses: &[FACADE],
        by_feature: &[],
        tests: &[TESTKIT, EMBEDDED, NATS, BACKEND],
    },
    AllowedDependencies { folder: "examples", package: EXAMPLES, uses: LIBRARIES, by_feature: &[], tests: &[] },
    AllowedDependencies { folder: "benches", package: BENCHES, uses: LIBRARIES, by_feature: &[], tests: &[] },
    AllowedDependencies { folder: "simulation", package: SIMULATION, uses: LIBRARIES, by_feature: &[], tests: &[] },
    AllowedDependencies { folder: "xtask", package: "xtask", uses: &[], by_feature: &[], tests: &[] },
];

/// An external package whose use is restricted.
pub(crate) struct RestrictedPackage {
    pub(crate) package: &'static str,
    pub(crate) access: Access,
    pub(crate) why: &'static str,
}

pub(crate) enum Access {
    /// The only packages that may declare it in their `Cargo.toml`; those in `by_feature` only as
    /// an optional dependency.
    DeclaredBy { always: &'static [&'static str], by_feature: &'static [&'static str] },
    /// The only packages that may depend on it, directly or transitively.
    ReachableFrom(&'static [&'static str]),
    /// The packages that must not depend on it, directly or transitively.
    NotReachableFrom(&'static [&'static str]),
}

pub(crate) const RESTRICTED: &[RestrictedPackage] = &[
    RestrictedPackage {
        package: "tokio",
        access: Access::NotReachableFrom(&[INDEX]),
        why: "the index core is pure and synchronous",
    },
    RestrictedPackage {
        package: "async-nats",
        access: Access::DeclaredBy { always: &[NATS], by_feature: &[FACADE] },
        why: "only cim-ipld-nats communicates with the server; the facade, under its feature `nats`, only re-exports async-nats",
    },
    RestrictedPackage {
        package: "async-nats",
        access: Access::ReachableFrom(&[NATS, FACADE, CLI, EXAMPLES, BENCHES, SIMULATION]),
        why: "the engine works with any backend",
    },
];

/// Words that do not describe the purpose of a package.
pub(crate) const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];
