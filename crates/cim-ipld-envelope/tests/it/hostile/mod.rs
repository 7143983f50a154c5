//! Runs the fuzz targets on their seeds and on reproducible mutations of them.

mod forged;
mod targets;

use std::path::Path;

use cim_ipld_backend_testkit::seeds;

/// Seeds are committed; inputs added by fuzzing are not.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds");

#[test]
fn encryption_header_takes_hostile_bytes() {
    run("header", targets::header, 4000);
}

#[test]
fn encryption_object_takes_hostile_bytes() {
    run("object", targets::object, 1500);
}

#[test]
fn encryption_keyset_takes_hostile_bytes() {
    run("keyset", targets::keyset, 300);
}

#[test]
fn encryption_wrapper_takes_hostile_bytes() {
    run("wrapper", targets::wrapper, 1500);
}

#[test]
fn encryption_passphrase_parameters_take_hostile_bytes() {
    run("passphrase", targets::passphrase, 1500);
}

fn run(name: &str, target: fn(&[u8]) -> bool, mutations: u64) {
    seeds::run(&Path::new(SEEDS).join(name), target, mutations);
}
