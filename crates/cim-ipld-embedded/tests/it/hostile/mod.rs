//! Runs the fuzz target on its seeds and on repeatable mutations of them.

mod targets;

use std::path::Path;

use cim_ipld_backend_testkit::seeds;

#[test]
fn records_may_be_anything() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/embedded_record");
    seeds::run(Path::new(folder), targets::embedded_record, 4000);
}
