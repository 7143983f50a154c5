//! Passphrase slots: their default cost, and the demands of hostile records.

use cim_ipld_envelope::{Argon2Profile, ErrorKind, KeySource, Keyset, MAX_SLOTS, Passphrase};

use crate::fixture::{INDEX, passphrase_source};
use crate::keyset::{AES, kind_of_opening};

/// The Argon2id cost demanded by a hostile record is bounded before any work.
#[tokio::test]
async fn encryption_passphrase_cost_is_bounded() {
    let keyset = Keyset::create(INDEX, AES, &passphrase_source("secret")).await.unwrap();
    let with_cost = |memory_kib: u32, passes: u32, lanes: u32| {
        let mut forged = keyset.record()[..keyset.record().len() - 32].to_vec();
        for (at, value) in [memory_kib, passes, lanes].into_iter().enumerate() {
            forged[46 + at * 4..50 + at * 4].copy_from_slice(&value.to_le_bytes());
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, &forged);
        forged.extend_from_slice(digest.as_ref());
        forged
    };
    let cases = [
        ((64, 1, 2), None),
        ((u32::MAX, 1, 1), Some(ErrorKind::Limit)),
        ((Argon2Profile::MAX_MEMORY_KIB + 1, 1, 1), Some(ErrorKind::Limit)),
        ((64, Argon2Profile::MAX_PASSES + 1, 1), Some(ErrorKind::Limit)),
        ((64, u32::MAX, 1), Some(ErrorKind::Limit)),
        ((1024, 1, Argon2Profile::MAX_LANES + 1), Some(ErrorKind::Limit)),
        ((64, 0, 1), Some(ErrorKind::Damaged)),
        ((64, 1, 0), Some(ErrorKind::Damaged)),
        ((7, 1, 1), Some(ErrorKind::Damaged)),
        ((64, 2, 2), Some(ErrorKind::WrongKey)),
    ];
    for ((memory_kib, passes, lanes), expected) in cases {
        let record = with_cost(memory_kib, passes, lanes);
        let kind = kind_of_opening(&record, &passphrase_source("secret")).await;
        assert_eq!(kind, expected, "{memory_kib} KiB, {passes} passes, {lanes} lanes");
    }
}

/// The default profile is the second of RFC 9106, and a keyset created with it opens.
#[tokio::test]
async fn encryption_default_passphrase_profile() {
    let profile = Argon2Profile::default();
    assert_eq!((profile.memory_kib(), profile.passes(), profile.lanes()), (65_536, 3, 4));
    let source = KeySource::from(Passphrase::new("correct horse battery staple").unwrap());
    let keyset = Keyset::create(INDEX, AES, &source).await.unwrap();
    assert_eq!(kind_of_opening(keyset.record(), &source).await, None);
}

/// Slots that are acceptable one by one are refused, before any derivation, if together they cost
/// more than two slots at the bounds and also more than `MAX_SLOTS` slots with the profile passed
/// when opening.
#[test]
fn encryption_passphrase_cost_is_bounded_over_all_slots() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let opened = |slots: &[(u32, u32, u32)]| {
        let (record, source) = (record_of(slots), passphrase_source("any"));
        let mut kind = None;
        let paid = allocation_counter::measure(|| kind = runtime.block_on(kind_of_opening(&record, &source)));
        (kind.expect("nothing was sealed here"), paid.bytes_max)
    };
    let dearest = (Argon2Profile::MAX_MEMORY_KIB, Argon2Profile::MAX_PASSES, 1);
    let beyond = (Argon2Profile::MAX_MEMORY_KIB + 1, Argon2Profile::MAX_PASSES, 1);
    let cheap = (64, 1, 1);

    let (kind, bytes) = opened(&[dearest, dearest, cheap]);
    assert_eq!(kind, ErrorKind::Limit);
    assert!(bytes < 10_000, "{bytes} bytes for what is refused");
    let (kind, bytes) = opened(&[cheap; MAX_SLOTS]);
    assert_eq!(kind, ErrorKind::WrongKey);
    assert!(bytes > 64 << 10, "{bytes} bytes for what is tried");
    // Slots that are refused individually cost nothing, so they do not count; the others are tried.
    let (kind, bytes) = opened(&[beyond, beyond, beyond, cheap]);
    assert_eq!(kind, ErrorKind::Limit);
    assert!((64 << 10..1 << 20).contains(&bytes), "{bytes} bytes for the cheap slot alone");
}

/// Returns an intact record with these passphrase slots, sealed by no key.
fn record_of(slots: &[(u32, u32, u32)]) -> Vec<u8> {
    let mut record = b"CIMR\x01\x01\0\0".to_vec();
    record.extend_from_slice(INDEX.as_bytes());
    record.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 1, slots.len() as u8]);
    for (number, (memory_kib, passes, lanes)) in slots.iter().enumerate() {
        record.extend_from_slice(b"slot id");
        record.extend_from_slice(&[number as u8, 2, 1, 28, 0]);
        for number in [memory_kib, passes, lanes] {
            record.extend_from_slice(&number.to_le_bytes());
        }
        record.extend_from_slice(&[0; 16 + 104]);
    }
    record.extend_from_slice(&[0; 4]);
    let digest = ring::digest::digest(&ring::digest::SHA256, &record);
    [&record, digest.as_ref()].concat()
}
