//! MemoryProtection reports what the kernel reports.
#![cfg(target_os = "linux")]

use std::fs;

use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm, MemoryProtection, ProtectionStatus};

#[test]
fn encryption_memory_protection_tells_the_truth() {
    let before = MemoryProtection::unlocked_keys();
    let early = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    assert!(before > 0 || MemoryProtection::unlocked_keys() > 0, "a key made before protection is not locked");

    let protection = MemoryProtection::enable();
    assert_eq!(protection.core_dumps, ProtectionStatus::Active);
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let fields: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(fields, ["0", "0"], "{core}");

    let keys: Vec<_> = (0..8).map(|_| ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM)).collect();
    assert_eq!(
        protection.key_memory == ProtectionStatus::Active,
        locked_kib() >= 8 * 4,
        "{protection:?}, {} KiB",
        locked_kib()
    );
    for key in keys.iter().chain([&early]) {
        let sealed = ContentEncryption::encrypt(key, b"content", b"").unwrap();
        assert_eq!(ContentEncryption::decrypt(key, &sealed, b"").unwrap(), b"content");
    }
}

fn locked_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
