//! Forged workspaces: the map as it is passes, and each forbidden arrow is found by name.

use serde_json::{Value, json};

use super::{ROOMS, offences};
use crate::metadata::Metadata;

/// A workspace that keeps every rule, before a test bends it.
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
    // from, to, kind, optional, what the offence must say
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
