//! Fuzzes `targets::embedded_record`.
#![no_main]

#[path = "../../crates/cim-ipld-embedded/tests/it/hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::embedded_record(data);
});
