//! Finds cycles among the modules of a crate: siblings that depend on each other, directly or
//! transitively.
//!
//! A module depends on another one if a path in it resolves there, including through re-exports.
//! Items under `#[cfg(test)]` and paths to parent or child modules do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

/// The accepted cycles, each with its reason. At most three.
pub(crate) const ACCEPTED: &[Accepted] = &[];

pub(crate) struct Accepted {
    pub(crate) package: &'static str,
    pub(crate) members: &'static [&'static str],
    #[expect(dead_code, reason = "documentation")]
    pub(crate) why: &'static str,
}

/// Modules that depend on each other, by their names below `parent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) parent: String,
    pub(crate) members: Vec<String>,
    /// One path in the sources for each dependency.
    pub(crate) edges: Vec<String>,
}

type Module = Vec<String>;

/// Reads the sources below `folder`, with their relative paths.
pub(crate) fn read(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", next.display());
        for entry in fs::read_dir(&next).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(folder).expect("it was found there");
                let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                sources.push((relative.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    sources.sort();
    Ok(sources)
}

/// Finds all cycles in the sources of one crate, given with their paths below `src`.
pub(crate) fn cycles(sources: &[(String, String)]) -> Result<Vec<Cycle>, String> {
    let mut modules = BTreeMap::new();
    for (path, text) in sources.iter().filter(|(path, _)| !path.starts_with("bin/")) {
        let file = syn::parse_file(text).map_err(|error| format!("{path}: {error}"))?;
        Reader { module: module_of(path), modules: &mut modules }.visit_file(&file);
    }
    let mut graphs: BTreeMap<Module, BTreeMap<(String, String), String>> = BTreeMap::new();
    for (from, paths) in &modules {
        for path in paths.used.iter().filter_map(|path| Some((path, resolve(&modules, from, path, 0)?))) {
            let (named, to) = path;
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if shared < from.len() && shared < to.len() {
                let edge = (from[shared].clone(), to[shared].clone());
                let said = format!("{} -> {}", from.join("::"), named.join("::"));
                graphs.entry(from[..shared].to_vec()).or_default().entry(edge).or_insert(said);
            }
        }
    }
    Ok(graphs.into_iter().flat_map(|(parent, edges)| cycles_below(&parent, &edges)).collect())
}

fn cycles_below(parent: &Module, edges: &BTreeMap<(String, String), String>) -> Vec<Cycle> {
    let names: BTreeSet<&String> = edges.keys().flat_map(|(from, to)| [from, to]).collect();
    let reach: BTreeMap<&String, BTreeSet<&String>> = names.iter().map(|name| (*name, reached(name, edges))).collect();
    let mut cycles = BTreeSet::new();
    for name in names {
        let members: Vec<String> =
            reach[name].iter().filter(|other| reach[**other].contains(name)).map(|other| (*other).clone()).collect();
        if members.len() > 1 {
            cycles.insert(members);
        }
    }
    let cycle = |members: Vec<String>| {
        let within = |(from, to): &(String, String)| members.contains(from) && members.contains(to);
        let edges = edges.iter().filter(|(edge, _)| within(edge)).map(|(_, said)| said.clone()).collect();
        Cycle { parent: parent.join("::"), edges, members }
    };
    cycles.into_iter().map(cycle).collect()
}

/// Returns the transitive dependencies of `start`, which include itself only in a cycle.
fn reached<'a>(start: &'a str, edges: &'a BTreeMap<(String, String), String>) -> BTreeSet<&'a String> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(name) = next.pop() {
        for to in edges.keys().filter(|(from, _)| from == name).map(|(_, to)| to) {
            if seen.insert(to) {
                next.push(to);
            }
        }
    }
    seen
}

fn module_of(path: &str) -> Module {
    let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Collects the paths of one module.
#[derive(Default)]
struct Paths {
    used: BTreeSet<Vec<String>>,
    /// The paths of the names that the module imports.
    names: BTreeMap<String, Vec<String>>,
}

/// Resolves `path`, as written in module `from`, to a module, or to `None` outside the crate.
fn resolve(modules: &BTreeMap<Module, Paths>, from: &Module, path: &[String], depth: usize) -> Option<Module> {
    let first = path.first()?;
    let (mut at, mut rest) = match first.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => (from.clone(), path),
        _ => {
            let child: Module = from.iter().chain([first]).cloned().collect();
            if !modules.contains_key(&child) {
                return None;
            }
            (child, &path[1..])
        }
    };
    while rest.first().is_some_and(|name| name == "super") {
        at.pop()?;
        rest = &rest[1..];
    }
    while let Some(name) = rest.first() {
        at.push(name.clone());
        if modules.contains_key(&at) {
            rest = &rest[1..];
            continue;
        }
        at.pop();
        let known = modules.get(&at).and_then(|paths| paths.names.get(name)).filter(|_| depth < 8);
        if let Some(known) = known {
            let whole: Vec<String> = known.iter().chain(&rest[1..]).cloned().collect();
            return resolve(modules, &at, &whole, depth + 1).or(Some(at));
        }
        break;
    }
    Some(at)
}

struct Reader<'a> {
    module: Module,
    modules: &'a mut BTreeMap<Module, Paths>,
}

impl Reader<'_> {
    fn paths(&mut self) -> &mut Paths {
        self.modules.entry(self.module.clone()).or_default()
    }

    fn import(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(before, item)),
            syn::UseTree::Glob(_) => drop(self.paths().used.insert(before.to_vec())),
            syn::UseTree::Name(name) if name.ident == "self" => self.imported(before.last().cloned(), before.to_vec()),
            syn::UseTree::Name(name) => self.imported(Some(name.ident.to_string()), with(&name.ident)),
            syn::UseTree::Rename(name) => self.imported(Some(name.rename.to_string()), with(&name.ident)),
        }
    }

    fn imported(&mut self, name: Option<String>, path: Vec<String>) {
        if let Some(name) = name {
            self.paths().names.insert(name, path.clone());
        }
        self.paths().used.insert(path);
    }
}

/// Returns whether the item is under `#[cfg(test)]`.
pub(crate) fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        self.paths();
        visit::visit_file(self, file);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !is_of_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            self.paths();
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 && matches!(names[0].as_str(), "crate" | "self" | "super") {
            self.paths().used.insert(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.to_string().replace("::", " :: ");
        let words: Vec<&str> = tokens.split_whitespace().collect();
        for start in (0..words.len()).filter(|at| matches!(words[*at], "crate" | "super" | "self")) {
            let names = words[start..].chunks(2).take_while(|pair| is_name(pair[0]));
            let mut path = Vec::new();
            for pair in names {
                path.push(pair[0].to_owned());
                if pair.get(1) != Some(&"::") {
                    break;
                }
            }
            if path.len() > 1 {
                self.paths().used.insert(path);
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.chars().all(|sign| sign.is_alphanumeric() || sign == '_')
}
