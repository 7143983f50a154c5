//! Runs the fuzz target on its seeds and on repeatable mutations of them.

mod targets;

use std::path::Path;

use cim_ipld_backend_testkit::seeds;

#[test]
fn deliveries_may_be_anything() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/nats_delivery");
    seeds::run(Path::new(folder), targets::nats_delivery, 4000);
}
