//! Tests the rules on artificial workspaces: one with only allowed dependencies passes, and each
//! forbidden dependency is reported.

use serde_json::{Value, json};

use super::modules::{ACCEPTED, cycles};
use super::{ALLOWED, cycle_violations, violations};
use crate::metadata::Metadata;

/// The metadata of an artificial workspace.
struct Artificial {
    packages: Vec<Value>,
    nodes: Vec<Value>,
}

impl Artificial {
    /// Returns a workspace that follows every rule, to be modified by a test.
    fn valid() -> Self {
        let mut workspace = Self { packages: Vec::new(), nodes: Vec::new() };
        for allowed in ALLOWED {
            workspace.add(allowed.package, allowed.folder);
            allowed.uses.iter().for_each(|target| workspace.depend(allowed.package, target, None, false));
            allowed.by_feature.iter().for_each(|target| workspace.depend(allowed.package, target, None, true));
            allowed.tests.iter().for_each(|target| workspace.depend(allowed.package, target, Some("dev"), false));
        }
        for foreign in ["tokio", "async-nats", "middle"] {
            workspace.add(foreign, "../registry");
        }
        workspace.depend("cim-ipld-nats", "async-nats", None, false);
        workspace.depend("cim-ipld-backend", "tokio", None, false);
        workspace.depend("async-nats", "tokio", None, false);
        workspace.depend("cim-ipld-index", "tokio", Some("dev"), false);
        workspace
    }

    fn add(&mut self, name: &str, folder: &str) {
        let manifest = format!("/w/{folder}/Cargo.toml");
        self.packages.push(json!({ "id": name, "name": name, "manifest_path": manifest, "dependencies": [] }));
        self.nodes.push(json!({ "id": name, "deps": [] }));
    }

    fn depend(&mut self, from: &str, to: &str, kind: Option<&str>, optional: bool) {
        let at = self.packages.iter().position(|package| package["id"] == from).expect("the package was added");
        let declared = json!({ "name": to, "kind": kind, "optional": optional });
        self.packages[at]["dependencies"].as_array_mut().expect("is a list").push(declared);
        let edge = json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        self.nodes[at]["deps"].as_array_mut().expect("is a list").push(edge);
    }

    fn violations(&self) -> Vec<String> {
        let ours = |package: &&Value| !package["manifest_path"].as_str().is_some_and(|path| path.contains("registry"));
        let members: Vec<&Value> = self.packages.iter().filter(ours).map(|package| &package["id"]).collect();
        let json = json!({
            "workspace_root": "/w", "workspace_members": members,
            "packages": self.packages, "resolve": { "nodes": self.nodes },
        });
        violations(&Metadata::parse(&json.to_string()).expect("the metadata is complete"))
    }
}

#[test]
fn a_workspace_with_only_allowed_dependencies_passes() {
    assert_eq!(Artificial::valid().violations(), Vec::<String>::new());
}

#[test]
fn each_forbidden_dependency_is_found() {
    // from, to, kind, optional, expected text of the violation
    let dependencies = [
        ("cim-ipld-index", "cim-ipld-backend", None, false, "not an allowed dependency"),
        ("cim-ipld-index", "cim-ipld-backend", Some("build"), false, "not an allowed dependency"),
        ("cim-ipld-index", "cim-ipld-backend", None, true, "not an allowed dependency"),
        ("cim-ipld-index", "cim-ipld-backend", Some("dev"), false, "not even in tests"),
        ("cim-ipld-backend", "cim-ipld-envelope", None, false, "not an allowed dependency"),
        ("cim-ipld-envelope", "cim-ipld-index", None, false, "not an allowed dependency"),
        ("cim-ipld-persistence", "cim-ipld-nats", None, false, "not an allowed dependency"),
        ("cim-ipld", "cim-ipld-nats", None, false, "only as an optional dependency"),
        ("cim-ipld", "cim-ipld-index", None, false, "not an allowed dependency"),
        ("cim-ipld-cli", "cim-ipld-persistence", None, false, "not an allowed dependency"),
        ("xtask", "cim-ipld", None, false, "not an allowed dependency"),
        ("cim-ipld-index", "tokio", None, false, "pure and synchronous"),
        ("cim-ipld-persistence", "async-nats", None, false, "only cim-ipld-nats communicates"),
        ("cim-ipld", "async-nats", None, false, "only cim-ipld-nats communicates"),
    ];
    for (from, to, kind, optional, says) in dependencies {
        let mut workspace = Artificial::valid();
        workspace.depend(from, to, kind, optional);
        let found = workspace.violations();
        let named = found.iter().any(|line| line.contains(from) && line.contains(to) && line.contains(says));
        assert!(named, "{from} -> {to} ({kind:?}) was not reported: {found:?}");
    }
}

#[test]
fn forbidden_transitive_dependencies_are_found() {
    for (from, to) in [("cim-ipld-index", "tokio"), ("cim-ipld-persistence", "async-nats")] {
        let mut workspace = Artificial::valid();
        workspace.depend(from, "middle", None, false);
        workspace.depend("middle", to, None, false);
        let chain = format!("{from} -> middle -> {to}");
        let found = workspace.violations();
        assert!(found.iter().any(|line| line.starts_with(&chain)), "{chain} was not reported: {found:?}");
    }
}

#[test]
fn the_facade_may_declare_async_nats_by_feature() {
    let mut workspace = Artificial::valid();
    workspace.depend("cim-ipld", "async-nats", None, true);
    assert_eq!(workspace.violations(), Vec::<String>::new());
}

#[test]
fn names_and_folders_are_checked() {
    let cases = [
        ("cim-ipld-common", "crates/cim-ipld-common", "does not describe a purpose"),
        ("cim-ipld-extra", "crates/cim-ipld-extra", "add its allowed dependencies"),
        ("cim-ipld-extra", "crates/extra", "must have the name of the package"),
    ];
    for (name, folder, says) in cases {
        let mut workspace = Artificial::valid();
        workspace.add(name, folder);
        let found = workspace.violations();
        assert!(found.iter().any(|line| line.contains(name) && line.contains(says)), "{name}: {found:?}");
    }
}

#[test]
fn a_package_that_was_moved_or_removed_is_found() {
    let mut moved = Artificial::valid();
    moved.packages[0]["manifest_path"] = json!("/w/lib/cim-ipld-index/Cargo.toml");
    assert!(moved.violations().iter().any(|line| line.contains("belongs in crates/cim-ipld-index")));

    let mut gone = Artificial::valid();
    gone.packages.retain(|package| package["name"] != "cim-ipld-cli");
    assert!(gone.violations().iter().any(|line| line.contains("cim-ipld-cli: listed in xtask")));
}

/// Sources, as path and text, and the cycles to be found in them, each as `parent: members`.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

const CYCLES: &[Case<'static>] = &[
    (&[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")], &[]),
    (&[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use super::a;")], &[": a b"]),
    // Through a re-export, a nested file and a path in an expression.
    (
        &[
            ("lib.rs", "mod a; mod b; pub use b::{C, inner::B}; use b::D as E;"),
            ("a.rs", "use crate::{E, other};"),
            ("b/mod.rs", "pub mod inner; pub struct C; pub struct D;"),
            ("b/inner.rs", "fn f() { crate::a::g() }"),
        ],
        &[": a b"],
    ),
    // Three modules, through a macro.
    (
        &[
            ("lib.rs", ""),
            ("a.rs", "use crate::b;"),
            ("b.rs", "fn f() { println!(\"{}\", crate::c::X) }"),
            ("c.rs", "impl crate::a::T for u8 {}"),
        ],
        &[": a b c"],
    ),
    // Below a module.
    (
        &[
            ("lib.rs", ""),
            ("m/mod.rs", "mod a; mod b;"),
            ("m/a.rs", "use super::b::B;"),
            ("m/b.rs", "use super::a::A;"),
        ],
        &["m: a b"],
    ),
    // Paths to child or parent modules do not count, nor do paths in tests.
    (
        &[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "#[cfg(test)] use crate::a; #[cfg(test)] mod tests { use crate::A; }"),
        ],
        &[],
    ),
    (&[("lib.rs", ""), ("a/mod.rs", "mod b; use b::B;"), ("a/b.rs", "use super::A;")], &[]),
];

#[test]
fn cycles_of_modules_are_found() {
    for (sources, expected) in CYCLES {
        let sources: Vec<_> = sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let cycles = cycles(&sources).expect("they parse");
        let found: Vec<String> =
            cycles.iter().map(|cycle| format!("{}: {}", cycle.parent, cycle.members.join(" "))).collect();
        assert_eq!(&found, expected, "{sources:?}");
        assert_eq!(cycle_violations("some", &cycles).len(), expected.len());
    }
}

#[test]
fn few_cycles_are_accepted() {
    assert!(ACCEPTED.len() <= 3);
}
