//! The parts of the output of `cargo metadata` that `layers` and `examples` use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The members of the workspace and the edges of the resolved dependency graph.
pub(crate) struct Metadata {
    pub(crate) members: Vec<Package>,
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
}

/// A member of the workspace.
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    /// The folder of its `Cargo.toml`, relative to the root.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency declared in the `Cargo.toml` of a member, whether or not a feature enables it.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Metadata {
    /// Parses the output of `cargo metadata --format-version 1`.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
        Self::from_value(&value).ok_or_else(|| "cargo metadata has a shape that xtask does not know".into())
    }

    /// Returns the names and folders of the members.
    pub(crate) fn folders(json: &str) -> Result<Vec<(String, String)>, String> {
        let value: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
        let root = value["workspace_root"].as_str().unwrap_or_default();
        let packages = value["packages"].as_array().into_iter().flatten();
        let folders = packages.map(|package| member(package, root).map(|member| (member.name, member.folder)));
        folders.collect::<Option<_>>().ok_or_else(|| "cargo metadata has a shape that xtask does not know".into())
    }

    fn from_value(value: &Value) -> Option<Self> {
        let root = value["workspace_root"].as_str()?;
        let members: BTreeSet<&str> = value["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let mut names = BTreeMap::new();
        let mut packages = Vec::new();
        for package in value["packages"].as_array()? {
            let id = package["id"].as_str()?;
            names.insert(id.to_owned(), package["name"].as_str()?.to_owned());
            if members.contains(id) {
                packages.push(member(package, root)?);
            }
        }
        let mut edges = BTreeMap::new();
        for node in value["resolve"]["nodes"].as_array()? {
            let targets = node["deps"].as_array()?.iter().filter(|dep| is_shipped(dep));
            let targets = targets.filter_map(|dep| dep["pkg"].as_str().map(str::to_owned)).collect();
            edges.insert(node["id"].as_str()?.to_owned(), targets);
        }
        Some(Self { members: packages, names, edges })
    }

    /// Returns the shortest path of normal and build dependencies from `package` to a package named
    /// `target`.
    pub(crate) fn path(&self, package: &Package, target: &str) -> Option<Vec<&str>> {
        let mut seen = BTreeSet::from([package.id.as_str()]);
        let mut level = vec![vec![package.id.as_str()]];
        while !level.is_empty() {
            let mut next = Vec::new();
            for chain in level {
                let last = chain.last().expect("a chain starts with its package");
                for edge in self.edges.get(*last).into_iter().flatten() {
                    let mut longer = chain.clone();
                    longer.push(edge);
                    if self.names.get(edge).is_some_and(|name| name == target) {
                        return Some(longer.iter().map(|id| self.names[*id].as_str()).collect());
                    }
                    if seen.insert(edge) {
                        next.push(longer);
                    }
                }
            }
            level = next;
        }
        None
    }
}

fn member(package: &Value, root: &str) -> Option<Package> {
    let manifest = package["manifest_path"].as_str()?.replace('\\', "/");
    let folder =
        manifest.strip_prefix(&root.replace('\\', "/"))?.strip_suffix("Cargo.toml")?.trim_matches('/').to_owned();
    let dependencies = package["dependencies"].as_array()?.iter().map(dependency).collect::<Option<_>>()?;
    Some(Package { id: package["id"].as_str()?.into(), name: package["name"].as_str()?.into(), folder, dependencies })
}

fn dependency(value: &Value) -> Option<Dependency> {
    let kind = match value["kind"].as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some("dev") => Kind::Dev,
        Some(_) => return None,
    };
    Some(Dependency { name: value["name"].as_str()?.into(), kind, optional: value["optional"].as_bool()? })
}

/// Returns whether an edge of the graph is a normal or build dependency. It may also be a
/// dev-dependency.
fn is_shipped(edge: &Value) -> bool {
    let kinds = edge["dep_kinds"].as_array();
    kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind["kind"].as_str() != Some("dev")))
}
