//! Kills runs of `cim index --sync` over a changing folder (SIGKILL) at random moments. At no time
//! may a file be missing that was indexed and has not changed, and the next run must bring the
//! index to exactly the state of the folder.
//!
//! `CIM_KILLS` sets the number of kills for each store, and `CIM_SEED` repeats a sequence of
//! changes and kills.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::kill::kills;
use crate::program::{done, state_home};
use crate::store::{Store, files_below};
use crate::tree::{Paths, Tree, indexed};

const KILLS: usize = 4;
const FILES: usize = 200;
const CHANGES: usize = 60;
/// Few enough contents that files often share one, and often get an earlier one back.
const CONTENTS: usize = 80;

#[test]
fn killed_while_following_into_a_folder() {
    check(&Store::folder());
}

#[test]
fn killed_while_following_into_nats() {
    check(&Store::nats());
}

fn check(store: &Store) {
    let (kills, mut random) = kills(KILLS);
    let key = store.init_with_key();
    let options = ["--key-file", key.as_str()];
    let tree = Tree::beside(store, "tree");
    for number in 0..FILES {
        tree.write(format!("{}/{number}.txt", number % 7), content(&mut random));
    }
    let started = Instant::now();
    run(store, &tree, &key, None);
    let lifetime = started.elapsed();
    assert_eq!(indexed(store, &options), tree.expected());
    for round in 0..kills {
        let before = tree.expected();
        change(&tree, &mut random);
        let unchanged = common(&before, &tree.expected());
        let moment = lifetime.mul_f64(random.random_range(0.0..1.1));
        run(store, &tree, &key, Some(moment));
        let killed = format!("round {round}, killed after {moment:?}");
        let there = pairs(&indexed(store, &options));
        let missing: Vec<_> = unchanged.difference(&there).collect();
        assert!(missing.is_empty(), "{killed}: unchanged files are missing: {missing:?}");
        run(store, &tree, &key, None);
        assert_eq!(indexed(store, &options), tree.expected(), "{killed}");
        done(["verify", &store.name(), "--key-file", &key]);
    }
}

fn run(store: &Store, tree: &Tree, key: &str, moment: Option<Duration>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cim"))
        .env("XDG_STATE_HOME", state_home())
        .args(["index", &store.name(), &tree.root(), "--sync", "--batch", "7", "--key-file", key])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    match moment {
        Some(moment) => {
            std::thread::sleep(moment);
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
        None => assert!(child.wait().expect("it ends").success()),
    }
}

/// Edits, swaps, renames, copies, creates and removes files.
fn change(tree: &Tree, random: &mut StdRng) {
    for number in 0..CHANGES {
        let files: Vec<String> = files_below(&tree.path("")).into_iter().map(|(path, _)| name(tree, &path)).collect();
        let one = files.choose(random).expect("there are files");
        let other = files.choose(random).expect("there are files");
        let new = format!("{}/new-{}-{number}.txt", random.random_range(0..7), random.random::<u32>());
        match random.random_range(0..6) {
            0 => tree.write(one, content(random)),
            1 => tree.rename(one, &new),
            2 => {
                let [content, others] = [one, other].map(|name| std::fs::read(tree.path(name)).expect("it is there"));
                tree.write(one, others);
                tree.write(other, content);
            }
            3 => tree.write(&new, std::fs::read(tree.path(one)).expect("it is there")),
            4 => tree.write(&new, content(random)),
            _ => tree.remove(one),
        }
    }
}

fn name(tree: &Tree, path: &std::path::Path) -> String {
    path.strip_prefix(tree.path("")).expect("below the root").display().to_string()
}

fn content(random: &mut StdRng) -> String {
    match random.random_range(0..CONTENTS) {
        0 => String::new(),
        number => format!("content {number} {}", "word ".repeat(number)),
    }
}

fn pairs(paths: &Paths) -> BTreeSet<(String, String)> {
    paths.iter().flat_map(|(cid, paths)| paths.iter().map(|path| (cid.clone(), path.clone()))).collect()
}

fn common(before: &Paths, after: &Paths) -> BTreeSet<(String, String)> {
    pairs(before).intersection(&pairs(after)).cloned().collect()
}
