//! Fuzzes `targets::nats_delivery`.
#![no_main]

#[path = "../../crates/cim-ipld-nats/tests/it/hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::nats_delivery(data);
});
