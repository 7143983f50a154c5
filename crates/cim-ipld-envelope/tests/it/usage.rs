//! The usage of data keys, and when a new one is due.

use cim_ipld_envelope::{ContentEncryption, EncryptedCidWrapper, EncryptionAlgorithm, Usage, UsageLimits};

use crate::fixture::keyset;

fn usage(seals: u64, blocks: u64) -> Usage {
    let mut usage = Usage::default();
    (usage.seals, usage.blocks) = (seals, blocks);
    usage
}

/// Rotation is due at three quarters of the nearer limit, and not before.
#[test]
fn encryption_rotation_is_due_before_the_published_limits() {
    let aes = UsageLimits::of(EncryptionAlgorithm::AES256GCM);
    assert_eq!(aes.seals, 1 << 32, "NIST SP 800-38D, section 8.3");
    // draft-irtf-cfrg-aead-limits, section 5.1.1, at p = 2^-50: sqrt(p) * 2^(129/2) - 1 = 2^39.5 -
    // 1.
    assert_eq!(aes.blocks, (39.5f64.exp2() - 1.0) as u64);
    let near = |limit: u64| limit / 4 * 3;
    assert!(!aes.nearly_reached_by(&usage(0, 0)));
    assert!(!aes.nearly_reached_by(&usage(near(aes.seals) - 1, 0)));
    assert!(aes.nearly_reached_by(&usage(near(aes.seals), 0)));
    assert!(!aes.nearly_reached_by(&usage(1, near(aes.blocks) - 2)));
    assert!(aes.nearly_reached_by(&usage(1, near(aes.blocks) - 1)), "objects count as blocks too");
    assert!(aes.nearly_reached_by(&usage(u64::MAX, u64::MAX)));

    for algorithm in [EncryptionAlgorithm::ChaCha20Poly1305, EncryptionAlgorithm::XChaCha20Poly1305] {
        let limits = UsageLimits::of(algorithm);
        assert!(!limits.nearly_reached_by(&usage(near(limits.seals) - 1, 1 << 62)));
        assert!(limits.nearly_reached_by(&usage(near(limits.seals), 0)));
    }
}

/// Values and wrappers count towards the usage of the data key too.
#[tokio::test]
async fn encryption_usage_counts_values_and_wrappers() {
    let keyset = keyset(EncryptionAlgorithm::AES256GCM).await;
    let cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().unwrap();
    ContentEncryption::encrypt(&keyset, &[0; 33], b"").unwrap();
    EncryptedCidWrapper::seal(&keyset, cid, &[0; 16], b"").unwrap();
    EncryptedCidWrapper::seal_batch(&keyset, [(cid, [0; 16]), (cid, [0; 16])], b"").unwrap();
    assert_eq!(keyset.keys()[0].usage, usage(4, 6));
    assert!(!keyset.keys()[0].rotation_due());
}
