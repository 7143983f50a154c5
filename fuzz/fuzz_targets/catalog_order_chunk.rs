//! Fuzzes `fuzzing::order_chunk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    cim_ipld_persistence::fuzzing::order_chunk(data);
});
