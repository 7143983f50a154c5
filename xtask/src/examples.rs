//! `cargo xtask examples`: checks that the public documentation has examples.
//!
//! Every public type that a library re-exports by name from its root needs an example, and so does
//! every public method of the most important types and traits. The documentation tests check that
//! the examples compile.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use crate::layers::modules;
use crate::metadata::Metadata;
use crate::{Outcome, workspace};

/// The types whose methods each need an example.
const WHOLE: &[(&str, &str)] = &[
    ("cim-ipld-backend", "Backend"),
    ("cim-ipld-envelope", "KeyProvider"),
    ("cim-ipld-envelope", "ContentEncryption"),
    ("cim-ipld-index", "PageSource"),
    ("cim-ipld-persistence", "Engine"),
    ("cim-ipld", "ContentIndex"),
];

/// Checks the real workspace.
pub(crate) fn run(args: &[String]) -> Outcome {
    crate::no_arguments(args)?;
    let mut cargo = workspace::cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let members = Metadata::folders(&workspace::output(&mut cargo)?)?;
    let (mut shown, mut lacking) = (0, Vec::new());
    for (name, folder) in members.iter().filter(|(_, folder)| folder.starts_with("crates/")) {
        let folder = workspace::root().join(folder).join("src");
        if folder.join("lib.rs").exists() {
            let items = items(name, &modules::read(&folder)?)?;
            shown += items.iter().filter(|item| item.has_example).count();
            lacking.extend(
                items.into_iter().filter(|item| !item.has_example).map(|item| format!("{name}: {}", item.path)),
            );
        }
    }
    for item in &lacking {
        eprintln!("{item} has no example");
    }
    if lacking.is_empty() {
        println!("examples: {shown} types and methods have one");
        Ok(())
    } else {
        Err(format!("{} of {} types and methods have no example", lacking.len(), lacking.len() + shown))
    }
}

/// A public type, or a method of one.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    path: String,
    has_example: bool,
}

/// Returns the public types exported by a crate root, and the methods that need an example.
fn items(package: &str, sources: &[(String, String)]) -> Result<Vec<Item>, String> {
    let mut files = Vec::new();
    for (path, text) in sources {
        files.push((path, syn::parse_file(text).map_err(|error| format!("{path}: {error}"))?));
    }
    let root = files.iter().find(|(path, _)| *path == "lib.rs").map(|(_, file)| file);
    let mut names = BTreeSet::new();
    for item in root.into_iter().flat_map(|file| &file.items) {
        match item {
            syn::Item::Use(item) if matches!(item.vis, syn::Visibility::Public(_)) && !is_hidden(&item.attrs) => {
                exported(&item.tree, &mut names);
            }
            _ => {}
        }
    }
    let whole = WHOLE.iter().filter(|(of, _)| *of == package).map(|(_, name)| *name).collect();
    let mut finder = Finder { names: &names, whole, items: Vec::new() };
    files.iter().for_each(|(_, file)| finder.visit_file(file));
    finder.items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(finder.items)
}

fn exported(tree: &syn::UseTree, names: &mut BTreeSet<String>) {
    match tree {
        syn::UseTree::Path(path) => exported(&path.tree, names),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| exported(item, names)),
        syn::UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        _ => {}
    }
}

struct Finder<'a> {
    names: &'a BTreeSet<String>,
    whole: Vec<&'static str>,
    items: Vec<Item>,
}

impl Finder<'_> {
    fn item(&mut self, name: &syn::Ident, attributes: &[syn::Attribute]) {
        let name = name.to_string();
        if self.names.contains(&name) {
            self.items.push(Item { path: name, has_example: has_example(attributes) });
        }
    }

    fn method(&mut self, of: &str, name: &syn::Ident, attributes: &[syn::Attribute]) {
        if !is_hidden(attributes) {
            self.items.push(Item { path: format!("{of}::{name}"), has_example: has_example(attributes) });
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !modules::is_of_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if matches!(item.vis, syn::Visibility::Public(_)) {
            self.item(&item.ident, &item.attrs);
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        if matches!(item.vis, syn::Visibility::Public(_)) {
            self.item(&item.ident, &item.attrs);
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.item(&item.ident, &item.attrs);
        let name = item.ident.to_string();
        if self.whole.contains(&name.as_str()) {
            for part in &item.items {
                if let syn::TraitItem::Fn(method) = part {
                    self.method(&name, &method.sig.ident, &method.attrs);
                }
            }
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let syn::Type::Path(of) = &*item.self_ty else { return };
        let Some(name) = of.path.segments.last().map(|segment| segment.ident.to_string()) else { return };
        if item.trait_.is_some() || !self.whole.contains(&name.as_str()) {
            return;
        }
        for part in &item.items {
            if let syn::ImplItem::Fn(method) = part
                && matches!(method.vis, syn::Visibility::Public(_))
            {
                self.method(&name, &method.sig.ident, &method.attrs);
            }
        }
    }
}

/// Returns the lines of a documentation comment.
fn documentation(attributes: &[syn::Attribute]) -> impl Iterator<Item = String> + '_ {
    attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    })
}

/// Returns whether there is a code block that the documentation tests compile.
fn has_example(attributes: &[syn::Attribute]) -> bool {
    let mut is_open = false;
    documentation(attributes).any(|line| {
        let Some(language) = line.trim().strip_prefix("```") else { return false };
        is_open = !is_open;
        is_open && matches!(language.trim(), "" | "rust" | "no_run" | "compile_fail" | "should_panic")
    })
}

fn is_hidden(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("doc") && list.tokens.to_string() == "hidden",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "
        mod engine;
        pub use engine::{Engine, Plain, Shown};
        #[doc(hidden)] pub use engine::Hidden;
    ";
    const ENGINE: &str = "
        /// What it is.
        ///
        /// ```
        /// let x = 1;
        /// ```
        pub struct Engine;
        impl Engine {
            /// ```text
            /// no code
            /// ```
            pub fn none(&self) {}
            /// ```no_run
            /// run();
            /// ```
            pub fn some(&self) {}
            fn private(&self) {}
            #[doc(hidden)]
            pub fn hidden(&self) {}
        }
        impl Clone for Engine { fn clone(&self) -> Self { Self } }
        pub enum Plain { A }
        impl Plain { pub fn any(&self) {} }
        /// ```
        /// ```
        pub trait Shown { fn method(&self); }
        pub struct Hidden;
        struct Internal;
        #[cfg(test)] mod tests { pub struct Shown; }
    ";

    #[test]
    fn types_and_methods_without_an_example_are_found() {
        let sources = [("lib.rs", LIB), ("engine.rs", ENGINE)].map(|(path, text)| (path.to_owned(), text.to_owned()));
        let found = items("cim-ipld-persistence", &sources).expect("they parse");
        let found: Vec<(&str, bool)> = found.iter().map(|item| (item.path.as_str(), item.has_example)).collect();
        let expected =
            [("Engine", true), ("Engine::none", false), ("Engine::some", true), ("Plain", false), ("Shown", true)];
        assert_eq!(found, expected);
    }
}
