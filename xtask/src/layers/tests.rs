//! Artificial workspaces: the current one passes, and each forbidden dependency is reported.

use serde_json::{Value, json};

use super::modules::{ACCEPTED, circles};
use super::{ROOMS, circle_offences, offences};
use crate::metadata::Metadata;

/// Returns a workspace that follows every rule, for a test to modify.
struct Forged {
    packages: Vec<Value>,
    nodes: Vec<Value>,
}

impl Forged {
    fn lawful() -> Self {
        let mut forged = Self { packages: Vec::new(), nodes: Vec::new() };
        for room in ROOMS {
            forged.add(room.package, room.folder);
            room.uses.iter().for_each(|target| forged.depend(room.package, target, None, false));
            room.by_feature.iter().for_each(|target| forged.depend(room.package, target, None, true));
            room.tests.iter().for_each(|target| forged.depend(room.package, target, Some("dev"), false));
        }
        for foreign in ["tokio", "async-nats", "middle"] {
            forged.add(foreign, "../registry");
        }
        forged.depend("cim-ipld-nats", "async-nats", None, false);
        forged.depend("cim-ipld-backend", "tokio", None, false);
        forged.depend("async-nats", "tokio", None, false);
        forged.depend("cim-ipld-index", "tokio", Some("dev"), false);
        forged
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

    fn offences(&self) -> Vec<String> {
        let ours = |package: &&Value| !package["manifest_path"].as_str().is_some_and(|path| path.contains("registry"));
        let members: Vec<&Value> = self.packages.iter().filter(ours).map(|package| &package["id"]).collect();
        let json = json!({
            "workspace_root": "/w", "workspace_members": members,
            "packages": self.packages, "resolve": { "nodes": self.nodes },
        });
        offences(&Metadata::parse(&json.to_string()).expect("the forgery has cargo's shape"))
    }
}

#[test]
fn the_map_itself_is_lawful() {
    assert_eq!(Forged::lawful().offences(), Vec::<String>::new());
}

#[test]
fn each_forbidden_arrow_is_found() {
    // from, to, kind, optional, expected text of the violation
    let arrows = [
        ("cim-ipld-index", "cim-ipld-backend", None, false, "not on the map"),
        ("cim-ipld-index", "cim-ipld-backend", Some("build"), false, "not on the map"),
        ("cim-ipld-index", "cim-ipld-backend", None, true, "not on the map"),
        ("cim-ipld-index", "cim-ipld-backend", Some("dev"), false, "not even in tests"),
        ("cim-ipld-backend", "cim-ipld-envelope", None, false, "not on the map"),
        ("cim-ipld-envelope", "cim-ipld-index", None, false, "not on the map"),
        ("cim-ipld-persistence", "cim-ipld-nats", None, false, "not on the map"),
        ("cim-ipld", "cim-ipld-nats", None, false, "only as an optional dependency"),
        ("cim-ipld", "cim-ipld-index", None, false, "not on the map"),
        ("cim-ipld-cli", "cim-ipld-persistence", None, false, "not on the map"),
        ("xtask", "cim-ipld", None, false, "not on the map"),
        ("cim-ipld-index", "tokio", None, false, "pure and synchronous"),
        ("cim-ipld-persistence", "async-nats", None, false, "one crate speaks to the server"),
        ("cim-ipld", "async-nats", None, false, "one crate speaks to the server"),
    ];
    for (from, to, kind, optional, says) in arrows {
        let mut forged = Forged::lawful();
        forged.depend(from, to, kind, optional);
        let found = forged.offences();
        let named = found.iter().any(|line| line.contains(from) && line.contains(to) && line.contains(says));
        assert!(named, "{from} -> {to} ({kind:?}) went unseen: {found:?}");
    }
}

#[test]
fn what_is_reached_over_others_is_found() {
    for (from, to) in [("cim-ipld-index", "tokio"), ("cim-ipld-persistence", "async-nats")] {
        let mut forged = Forged::lawful();
        forged.depend(from, "middle", None, false);
        forged.depend("middle", to, None, false);
        let chain = format!("{from} -> middle -> {to}");
        let found = forged.offences();
        assert!(found.iter().any(|line| line.starts_with(&chain)), "{chain} went unseen: {found:?}");
    }
}

#[test]
fn the_facade_may_name_async_nats_by_feature() {
    let mut forged = Forged::lawful();
    forged.depend("cim-ipld", "async-nats", None, true);
    assert_eq!(forged.offences(), Vec::<String>::new());
}

#[test]
fn names_and_folders_are_checked() {
    let cases = [
        ("cim-ipld-common", "crates/cim-ipld-common", "says nothing"),
        ("cim-ipld-extra", "crates/cim-ipld-extra", "has no room"),
        ("cim-ipld-extra", "crates/extra", "one name"),
    ];
    for (name, folder, says) in cases {
        let mut forged = Forged::lawful();
        forged.add(name, folder);
        let found = forged.offences();
        assert!(found.iter().any(|line| line.contains(name) && line.contains(says)), "{name}: {found:?}");
    }
}

#[test]
fn a_package_that_moved_or_went_is_found() {
    let mut moved = Forged::lawful();
    moved.packages[0]["manifest_path"] = json!("/w/lib/cim-ipld-index/Cargo.toml");
    assert!(moved.offences().iter().any(|line| line.contains("belongs in crates/cim-ipld-index")));

    let mut gone = Forged::lawful();
    gone.packages.retain(|package| package["name"] != "cim-ipld-cli");
    assert!(gone.offences().iter().any(|line| line.contains("cim-ipld-cli: the room stands empty")));
}

/// Checks that sources contain a cycle, given as `parent: members`.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

const CIRCLES: &[Case<'static>] = &[
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
    // Paths to child or parent modules do not count, nor do those of tests.
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
fn circles_of_modules_are_found() {
    for (sources, expected) in CIRCLES {
        let sources: Vec<_> = sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let circles = circles(&sources).expect("they parse");
        let found: Vec<String> =
            circles.iter().map(|circle| format!("{}: {}", circle.parent, circle.members.join(" "))).collect();
        assert_eq!(&found, expected, "{sources:?}");
        assert_eq!(circle_offences("some", &circles).len(), expected.len());
    }
}

#[test]
fn few_circles_are_accepted() {
    assert!(ACCEPTED.len() <= 3);
}
