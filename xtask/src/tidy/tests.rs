//! Tests each rule on a tree with one violation.

use super::{BASELINE, Tree, check, rust::Source, size};

/// The smallest tree that passes.
const LAWFUL: &[(&str, &str)] = &[
    ("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\n"),
    ("README.md", "# Project\n\nSee [the crate](crates/one/README.md#one-crate) and [docs](docs/).\n"),
    ("crates/one/Cargo.toml", "[package]\nname = \"one\"\n\n[dependencies]\nserde.workspace = true\n"),
    ("crates/one/README.md", "# One crate\n"),
    ("crates/one/CHANGELOG.md", "# Changelog\n"),
    ("crates/one/src/lib.rs", "//! One.\n"),
    ("crates/one/tests/it/main.rs", "//! Tests.\n"),
    ("docs/decisions/0000-first.md", "# First\n"),
    ("docs/decisions/0001-second.md", "# Second\n"),
    ("docs/dependencies.md", "| crate | for |\n|---|---|\n| `serde` | data |\n"),
];

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        tree.add(path, Some((*text).to_owned()));
    }
    tree
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let mut all = LAWFUL.to_vec();
    all.extend_from_slice(files);
    check(&tree(&all)).iter().map(ToString::to_string).collect()
}

/// Adds or replaces one file, and asserts that exactly the expected finding results.
fn assert_found(path: &str, text: &str, says: &str) {
    let found = found(&[(path, text)]);
    assert!(found.len() == 1 && found[0].contains(says), "{path} with {text:?} should say {says:?}, says {found:?}");
}

#[test]
fn the_lawful_tree_passes() {
    assert_eq!(found(&[]), Vec::<String>::new());
}

#[test]
fn violations_in_any_text_are_found() {
    let paths = [concat!("/ho", "me/me"), concat!("\"/tm", "p/x\""), concat!("see /wo", "rk/main")];
    for path in paths {
        assert_found("docs/a.md", &format!("{path}\n"), "machine-specific path");
    }
    assert_found("docs/a.md", "a\tb\n", "docs/a.md:1: a tab");
    assert_found("docs/a.md", "a\nb \n", "docs/a.md:2: whitespace at the end");
    assert_found("docs/a.md", "a", "newline");
    assert_eq!(found(&[("docs/a.md", concat!("target/tm", "p/x and $DIR/tm", "p/x\n"))]).len(), 0);
}

#[test]
fn violations_in_rust_are_found() {
    let cases = [
        ("fn a() { dbg!(1); }\n", "dbg!"),
        ("fn a() { todo!() }\n", "todo!"),
        ("fn a() { unimplemented!(\"x\") }\n", "unimplemented!"),
        ("// FIXME later\n", "FIXME"),
        ("/* a\n   TODO: b */\n", ":2: TODO"),
        ("#[test]\n#[ignore = \"slow\"]\nfn a() {}\n", ":2: #[ignore]"),
        ("/// ```ignore\n/// ```\nfn a() {}\n", "not compiled"),
        ("/// ```rust,ignore\n/// ```\nfn a() {}\n", "not compiled"),
        ("fn a() { b().unwrap(); }\n", ".unwrap() in a library"),
        ("#[cfg(test)]\nmod tests { fn a() { b().unwrap() } }\nfn c() { d().unwrap() }\n", ":3: .unwrap()"),
    ];
    for (text, says) in cases {
        assert_found("crates/one/src/a.rs", text, says);
    }
}

#[test]
fn long_comments_are_found_outside_of_examples() {
    let (fits, long) = ("x".repeat(96), "x".repeat(97));
    let cases = [
        (format!("/// {fits}\nfn a() {{}}\n"), None),
        (format!("/// {long}\nfn a() {{}}\n"), Some(":1: a comment")),
        (format!("fn a() {{}}\n//   {fits}\n"), Some(":2: a comment")),
        (format!("/// ```\n/// {long}\n/// ```\n/// {fits}\nfn a() {{}}\n"), None),
        (format!("/// ```\n/// a();\n/// ```\n/// {long}\nfn a() {{}}\n"), Some(":4: a comment")),
        (format!("const A: &str = \"{long}\";\n"), None),
    ];
    for (text, says) in cases {
        match says {
            Some(says) => assert_found("crates/one/src/a.rs", &text, says),
            None => assert_eq!(found(&[("crates/one/src/a.rs", &text)]), Vec::<String>::new(), "{text}"),
        }
    }
}

#[test]
fn what_only_looks_like_an_offence_is_not_found() {
    let cases = [
        "const A: &str = \"todo!() .unwrap() /* FIXME\";\n",
        "const A: &str = r#\"dbg!(\"x\") // TODO\"#;\n",
        "/// Call `.unwrap()` on it.\nfn a() {}\n",
        "const A: char = '\"'; const B: &str = \"dbg!\";\n",
        "fn a<'a>(b: &'a str) -> &'a str { b.c().unwrap_or(\"d\") }\n",
        "#[cfg(test)]\nmod tests {\n    fn a() { b().unwrap() }\n}\n",
        "fn mytodo() {}\n",
    ];
    for text in cases {
        assert_eq!(found(&[("crates/one/src/a.rs", text)]), Vec::<String>::new(), "{text}");
    }
    for path in ["crates/one/tests/it/a.rs", "xtask/src/a.rs", "crates/cim-ipld-backend-testkit/src/a.rs"] {
        let found = found(&[(path, "fn a() { b().unwrap() }\n")]);
        assert!(!found.iter().any(|line| line.contains(".unwrap()")), "{path}: {found:?}");
    }
}

#[test]
fn files_of_a_test_module_are_tests() {
    let declared = ("crates/one/src/a.rs", "#[cfg(test)]\nmod checks;\n");
    let test_file = ("crates/one/src/a/checks.rs", "fn a() { b().unwrap() }\n");
    assert_eq!(found(&[declared, test_file]), Vec::<String>::new());
    assert_eq!(found(&[test_file]).len(), 1);
}

#[test]
fn sizes_are_held_to_the_baseline() {
    let path = "crates/one/src/a.rs";
    let file = |lines: usize| "// x\n".repeat(lines);
    let baseline = |line: &str| (BASELINE, format!("# head\n{line}\n"));
    let check = |text: &str, baseline: (&str, String)| found(&[(path, text), (baseline.0, &baseline.1)]);

    assert_eq!(check(&file(400), baseline("")), Vec::<String>::new());
    assert!(check(&file(401), baseline(""))[0].contains("lines 401 crates/one/src/a.rs"));
    assert_eq!(check(&file(401), baseline("lines 401 crates/one/src/a.rs")), Vec::<String>::new());
    assert!(check(&file(402), baseline("lines 401 crates/one/src/a.rs"))[0].contains("lines 402"));
    assert!(check(&file(801), baseline("lines 801 crates/one/src/a.rs"))[0].contains("the limit is 800"));
    for stale in ["lines 500 crates/one/src/a.rs", "lines 500 crates/one/src/gone.rs"] {
        assert!(
            check(&file(450), baseline(stale)).iter().any(|line| line.contains("is larger than necessary")),
            "{stale}"
        );
    }
    assert!(check(&file(1), baseline("rows 5 a"))[0].contains("neither"));
    assert!(check(&file(1), baseline("lines many a"))[0].contains("not a number"));
}

#[test]
fn functions_are_measured_from_signature_to_closing_brace() {
    let path = "crates/one/src/a.rs";
    let function = |lines: usize| format!("fn long(a: [u8; 2])\n{{\n{}}}\n", "    b();\n".repeat(lines - 3));
    assert_eq!(found(&[(path, &function(70))]), Vec::<String>::new());
    assert!(found(&[(path, &function(71))])[0].contains("function 71 crates/one/src/a.rs long"));
    let allowed = (BASELINE, "function 71 crates/one/src/a.rs long\n");
    assert_eq!(found(&[(path, &function(71)), allowed]), Vec::<String>::new());

    let bodiless = format!("trait T {{\n    fn none(&self) -> [u8; 3];\n{}}}\n", "    const A: u8;\n".repeat(80));
    assert_eq!(found(&[(path, &bodiless)]), Vec::<String>::new());
}

#[test]
fn shrinking_lowers_and_drops_but_never_raises() {
    let text = "// x\n".repeat(500);
    let baseline = "lines 450 a.rs\nlines 600 b.rs\nlines 600 gone.rs\n";
    let shrunk = size::shrink(&tree(&[("a.rs", &text), ("b.rs", &text), (BASELINE, baseline)]));
    let entries: Vec<&str> = shrunk.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(entries, ["lines 450 a.rs", "lines 500 b.rs"]);
}

#[test]
fn every_part_of_a_crate_is_asked_for() {
    for (part, says) in [
        ("crates/one/README.md", "has no README.md"),
        ("crates/one/CHANGELOG.md", "has no CHANGELOG.md"),
        ("crates/one/tests/it/main.rs", "neither tests nor examples"),
    ] {
        let rest: Vec<_> = LAWFUL.iter().filter(|(path, _)| *path != part).copied().collect();
        let found = check(&tree(&rest));
        assert!(found.iter().any(|finding| finding.what.contains(says)), "{part}: {found:?}");
    }
    assert_found("crates/one/src/lib.rs", "pub struct A;\n", "must begin with its documentation");
    assert_eq!(found(&[("crates/one/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n")]).len(), 0);
}

#[test]
fn decisions_are_numbered_without_gaps() {
    assert_found("docs/decisions/0003-fourth.md", "# Fourth\n", "but 0002 is next");
    assert_found("docs/decisions/0001-twin.md", "# Twin\n", "has number 0001, but 0002 is next");
    assert_found("docs/decisions/notes.md", "# Notes\n", "NNNN-title.md");
}

#[test]
fn dependencies_are_explained_and_used() {
    let manifest = "crates/one/Cargo.toml";
    let package = "[package]\nname = \"one\"\n";
    let all = "[dependencies]\nserde = { version = \"1\" }\n";
    for section in ["dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
        assert_found(manifest, &format!("{package}{all}[{section}]\nlibc = \"0.2\"\n"), "no line for libc");
    }
    assert_found(manifest, &format!("{package}{all}[dependencies.libc]\nversion = \"1\"\n"), "no line for libc");
    assert_found(manifest, package, "serde is declared, but no package uses it");
    assert_found("docs/dependencies.md", "| `serde` | data |\n| `libc` | none |\n", "which nothing depends on");
}

#[test]
fn the_facade_keeps_few_features() {
    let features = |count: usize| {
        let names: String = (0..count).map(|number| format!("f{number} = []\n")).collect();
        format!("[package]\nname = \"cim-ipld\"\n\n[features]\ndefault = [\"f0\"]\n{names}")
    };
    let says = |count: usize| {
        let found = found(&[("crates/cim-ipld/Cargo.toml", &features(count))]);
        found.iter().any(|line| line.contains("at most 4"))
    };
    assert!(!says(4));
    assert!(says(5));
}

#[test]
fn broken_links_are_found() {
    let cases = [
        ("[a](gone.md)\n", "gone.md does not exist"),
        ("text\n[a](decisions/0000-first.md#second)\n", "docs/a.md:2: "),
        ("[a](#none)\n", "names a heading"),
        ("[a](../../out.md)\n", "leaves the project"),
        ("[a]: gone.md\n", "gone.md does not exist"),
    ];
    for (text, says) in cases {
        assert_found("docs/a.md", text, says);
    }
    let good = "# My `own` heading: here\n[a](#my-own-heading-here) [b](../README.md) [c](https://example.org/x)\n\
        [d](decisions) `[e](gone.md)`\n```\n[f](gone.md)\n```\n";
    assert_eq!(found(&[("docs/a.md", good)]), Vec::<String>::new());
}

#[test]
fn code_and_comments_keep_their_lines() {
    let source = Source::parse("a /* b\nc */ d // e\n\"f\ng\" h\n'\\'' 'i' &'j k b'l' br\"m\"\n");
    assert_eq!(source.code, ["a ", " d ", "\"", "\" h", "\"\" \"\" &'j k b\"\" \"\"", ""]);
    assert_eq!(source.comments, ["/* b", "c */// e", "", "", "", ""]);
}
