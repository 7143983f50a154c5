//! Fuzzes `targets::analyzer`.
#![no_main]

#[allow(dead_code, reason = "each fuzz target runs one of the functions")]
#[path = "../../crates/cim-ipld-index/tests/it/hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::analyzer(data);
});
