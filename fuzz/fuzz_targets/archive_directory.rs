//! Fuzzes `fuzzing::archive_directory`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    cim_ipld_persistence::fuzzing::archive_directory(data);
});
