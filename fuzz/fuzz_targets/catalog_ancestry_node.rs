//! Fuzzes `fuzzing::ancestry_node`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    cim_ipld_persistence::fuzzing::ancestry_node(data);
});
