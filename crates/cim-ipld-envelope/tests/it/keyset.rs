//! Keysets: what opens them, what rotation changes, and what it must not change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cim_ipld_envelope::{
    Argon2Profile, DataKeyId, DataKeyState, EncryptionAlgorithm, EncryptionKey, Envelope, ErrorKind, IndexId,
    KeyProvider, KeySlotKind, KeySource, Keyset, MAX_SLOTS, ProviderError, SealOptions, Zeroizing,
};

use crate::fixture::{INDEX, PAGE, key_source, keyset, passphrase_source};

pub(crate) const AES: EncryptionAlgorithm = EncryptionAlgorithm::AES256GCM;

pub(crate) async fn kind_of_opening(record: &[u8], source: &KeySource) -> Option<ErrorKind> {
    Keyset::open(record, source).await.err().map(|error| error.kind())
}

#[tokio::test]
async fn encryption_keyset_opens_with_its_own_source_only() {
    let provider: Arc<dyn KeyProvider> = Arc::new(XorProvider::new("hsm", 3));
    let other_provider: Arc<dyn KeyProvider> = Arc::new(XorProvider::new("hsm", 4));
    let chacha = EncryptionKey::from_bytes(EncryptionAlgorithm::ChaCha20Poly1305, [1; 32]);
    let sources = [
        key_source(1),
        key_source(2),
        chacha.into(),
        passphrase_source("one"),
        passphrase_source("two"),
        provider.into(),
        other_provider.into(),
    ];
    for algorithm in EncryptionAlgorithm::ALL {
        for (at, source) in sources.iter().enumerate() {
            let keyset = Keyset::create(INDEX, algorithm, source).await.unwrap();
            for (other_at, other) in sources.iter().enumerate() {
                let expected = (at != other_at).then_some(ErrorKind::WrongKey);
                assert_eq!(kind_of_opening(keyset.record(), other).await, expected, "{source:?} opened by {other:?}");
            }
        }
    }
}

/// A wrong key, a wrong passphrase and a provider without a slot produce the same error.
#[tokio::test]
async fn encryption_wrong_key_says_nothing_else() {
    let provider: Arc<dyn KeyProvider> = Arc::new(XorProvider::new("other", 9));
    let keyset = keyset(AES).await.with_slot_added(&passphrase_source("right")).await.unwrap();
    for source in [key_source(2), passphrase_source("wrong"), provider.into()] {
        let error = Keyset::open(keyset.record(), &source).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::WrongKey, "wrong key"));
    }
}

#[tokio::test]
async fn encryption_keyset_finds_every_flipped_bit() {
    let keyset = keyset(AES).await;
    for bit in 0..keyset.record().len() * 8 {
        let mut flipped = keyset.record().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let kind = kind_of_opening(&flipped, &key_source(1)).await.expect("a flipped bit");
        let expected = match (bit / 8, flipped[4]) {
            (4, 2..) => ErrorKind::UnsupportedVersion { found: flipped[4], supported: 1 },
            _ => ErrorKind::Damaged,
        };
        assert_eq!(kind, expected, "bit {bit}");
    }
    for bytes in 0..keyset.record().len() {
        let truncated = &keyset.record()[..bytes];
        assert_eq!(kind_of_opening(truncated, &key_source(1)).await, Some(ErrorKind::Damaged), "{bytes} bytes");
    }
}

/// An attacker who recomputes the digest cannot change a keyset: the sealing authenticates every
/// byte.
#[tokio::test]
async fn encryption_keyset_resists_forged_digests() {
    let keyset = keyset(AES).await;
    let content_bytes = keyset.record().len() - 32;
    for at in 8..content_bytes {
        let mut forged = keyset.record()[..content_bytes].to_vec();
        forged[at] ^= 1;
        let digest = ring::digest::digest(&ring::digest::SHA256, &forged);
        forged.extend_from_slice(digest.as_ref());
        let kind = kind_of_opening(&forged, &key_source(1)).await.expect("a forged byte");
        // If the bytes that the commitment of the slot covers were changed, nothing shows that the
        // key was right. The ciphertext and tag of the slot are checked after the commitment has
        // shown that the key is right.
        let slot_opens_nothing = (8..24).contains(&at) || (34..46 + 24 + 32).contains(&at);
        let expected: &[ErrorKind] =
            if slot_opens_nothing { &[ErrorKind::Damaged, ErrorKind::WrongKey] } else { &[ErrorKind::Damaged] };
        assert!(expected.contains(&kind), "byte {at}: {kind:?}");
    }
}

/// A slot of an older record, or of another store, cannot be inserted into a newer record.
#[tokio::test]
async fn encryption_keyset_slots_cannot_be_swapped() {
    let first = keyset(AES).await;
    let removed = first.with_slot_replaced(first.unlocked_by(), &key_source(2)).await.unwrap();
    // Both records have one key slot of the same size at the same offset.
    let slot = 34..34 + 12 + 104;
    let mut grafted = removed.record()[..removed.record().len() - 32].to_vec();
    grafted[slot.clone()].copy_from_slice(&first.record()[slot]);
    let digest = ring::digest::digest(&ring::digest::SHA256, &grafted);
    grafted.extend_from_slice(digest.as_ref());
    assert!(kind_of_opening(&grafted, &key_source(1)).await.is_some());
}

#[tokio::test]
async fn encryption_several_slots_open_one_keyset() {
    let keyset = keyset(AES).await;
    let provider: Arc<dyn KeyProvider> = Arc::new(XorProvider::new("hsm", 3));
    let provider = KeySource::from(provider);
    let passphrase = passphrase_source("correct horse");
    let more = keyset.with_slot_added(&passphrase).await.unwrap().with_slot_added(&provider).await.unwrap();
    assert_eq!(more.generation(), 3);
    let kinds: Vec<_> = more.slots().into_iter().map(|slot| slot.kind).collect();
    let expected = [
        KeySlotKind::Key,
        KeySlotKind::Passphrase(Argon2Profile::new(64, 1, 2).unwrap()),
        KeySlotKind::Provider("hsm".into()),
    ];
    assert_eq!(kinds, expected);
    for (slot, source) in more.slots().iter().zip([key_source(1), passphrase, provider]) {
        let opened = Keyset::open(more.record(), &source).await.unwrap();
        assert_eq!(opened.unlocked_by(), slot.id);
        assert_eq!(opened.active_key(), keyset.active_key());
    }

    let fewer = more.with_slot_removed(more.slots()[0].id).unwrap();
    assert_eq!(kind_of_opening(fewer.record(), &key_source(1)).await, Some(ErrorKind::WrongKey));
    assert_eq!(kind_of_opening(fewer.record(), &passphrase_source("correct horse")).await, None);
    let gone = fewer.with_slot_removed(more.slots()[0].id).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::InvalidRequest);
    let fewer = fewer.with_slot_removed(more.slots()[1].id).unwrap();
    let last = fewer.with_slot_removed(more.slots()[2].id).unwrap_err();
    assert_eq!(last.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn encryption_slots_are_bounded() {
    let mut keyset = keyset(AES).await;
    for number in 1..MAX_SLOTS {
        keyset = keyset.with_slot_added(&key_source(number as u8 + 1)).await.unwrap();
    }
    assert_eq!(keyset.with_slot_added(&key_source(99)).await.unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(kind_of_opening(keyset.record(), &key_source(MAX_SLOTS as u8)).await, None);
}

#[tokio::test]
async fn encryption_replacing_a_slot_lets_running_processes_follow() {
    let here = keyset(AES).await;
    let there = Keyset::open(here.record(), &key_source(1)).await.unwrap();
    let rotated = here.with_slot_replaced(here.unlocked_by(), &key_source(2)).await.unwrap();
    assert_eq!(kind_of_opening(rotated.record(), &key_source(1)).await, Some(ErrorKind::WrongKey));
    assert_eq!(kind_of_opening(rotated.record(), &key_source(2)).await, None);
    let followed = there.reopen(rotated.record()).unwrap();
    assert_eq!((followed.generation(), followed.active_key()), (2, here.active_key()));
}

#[tokio::test]
async fn encryption_replacing_all_slots_cuts_off_the_old_keyset_key() {
    let here = keyset(AES).await;
    let there = Keyset::open(here.record(), &key_source(1)).await.unwrap();
    let rotated = here.with_slots_replaced(&[key_source(2), passphrase_source("new")]).await.unwrap();
    for source in [key_source(2), passphrase_source("new")] {
        assert_eq!(kind_of_opening(rotated.record(), &source).await, None);
    }
    assert_eq!(kind_of_opening(rotated.record(), &key_source(1)).await, Some(ErrorKind::WrongKey));
    assert_eq!(there.reopen(rotated.record()).unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(here.with_slots_replaced(&[]).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn encryption_reopening_refuses_other_stores() {
    let here = keyset(AES).await;
    let other = Keyset::create(IndexId::random(), AES, &key_source(1)).await.unwrap();
    assert_eq!(here.reopen(other.record()).unwrap_err().kind(), ErrorKind::Damaged);
    let plaintext = Envelope::plaintext(INDEX).root_record();
    let replaced = here.reopen(&plaintext).unwrap_err();
    assert_eq!(replaced.kind(), ErrorKind::Damaged);
    assert!(replaced.to_string().contains("was replaced or mixed up"), "{replaced}");
    assert_eq!(kind_of_opening(&plaintext, &key_source(1)).await, Some(ErrorKind::NotEncrypted));
}

/// A new data key seals at once. The old one opens objects until it is destroyed; then they are
/// reported as lost, with the key id.
#[tokio::test]
async fn encryption_data_keys_rotate() {
    let first = keyset(AES).await;
    let old = Envelope::encrypted(first.clone());
    let object = old.seal(&PAGE, b"content", &SealOptions::default()).unwrap();

    let second = first.with_new_data_key(EncryptionAlgorithm::ChaCha20Poly1305).unwrap();
    let second = Keyset::open(second.record(), &key_source(1)).await.unwrap();
    let states: Vec<_> = second.keys().iter().map(|key| (key.algorithm, key.state, key.since_generation)).collect();
    let expected =
        [(AES, DataKeyState::DecryptOnly, 1), (EncryptionAlgorithm::ChaCha20Poly1305, DataKeyState::Active, 2)];
    assert_eq!(states, expected);
    assert_eq!(first.keys().len(), 1, "the older value is as it was");

    let new = Envelope::encrypted(second.clone());
    assert_eq!(new.open(&PAGE, &object).unwrap(), "content");
    let newer_object = new.seal(&PAGE, b"newer", &SealOptions::default()).unwrap();
    assert_eq!(old.open(&PAGE, &newer_object).unwrap_err().kind(), ErrorKind::UnknownDataKey);

    assert_eq!(second.with_data_key_destroyed(second.active_key()).unwrap_err().kind(), ErrorKind::InvalidRequest);
    let unknown = second.with_data_key_destroyed(DataKeyId::random()).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownDataKey);

    let third = second.with_data_key_destroyed(first.active_key()).unwrap();
    for third in [third.clone(), Keyset::open(third.record(), &key_source(1)).await.unwrap()] {
        assert_eq!(third.keys()[0].state, DataKeyState::Destroyed);
        let last = Envelope::encrypted(third);
        assert_eq!(last.open(&PAGE, &object).unwrap_err().kind(), ErrorKind::DestroyedDataKey);
        assert_eq!(last.open(&PAGE, &newer_object).unwrap(), "newer");
    }
}

/// What a removed data key sealed names an unknown key, in this keyset and in its record.
#[tokio::test]
async fn encryption_removed_data_keys_are_unknown() {
    let first = keyset(AES).await;
    let sealed = Envelope::encrypted(first.clone()).seal(&PAGE, b"page", &SealOptions::default()).unwrap();
    let second = first.with_new_data_key(AES).unwrap();
    let third = second.with_new_data_key(AES).unwrap();
    let active = third.with_data_keys_removed(&[first.active_key(), third.active_key()]).unwrap_err();
    assert_eq!(active.kind(), ErrorKind::InvalidRequest);

    let smaller = third.with_data_keys_removed(&[first.active_key(), DataKeyId::random()]).unwrap();
    assert_eq!(smaller.generation(), third.generation() + 1);
    let reopened = Keyset::open(smaller.record(), &key_source(1)).await.unwrap();
    let followed = third.reopen(smaller.record()).unwrap();
    for keyset in [smaller, reopened, followed] {
        let ids: Vec<DataKeyId> = keyset.keys().iter().map(|key| key.id).collect();
        assert_eq!(ids, [second.active_key(), third.active_key()]);
        let error = Envelope::encrypted(keyset).open(&PAGE, &sealed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownDataKey);
    }
}

/// The usage of a process is neither lost nor counted twice when the process follows the record of
/// another process.
#[tokio::test]
async fn encryption_usage_is_counted_over_processes() {
    let here = keyset(AES).await;
    let there = Keyset::open(here.record(), &key_source(1)).await.unwrap();
    let seal = |keyset: &Keyset, times: usize| {
        let envelope = Envelope::encrypted(keyset.clone());
        for _ in 0..times {
            envelope.seal(&PAGE, &[0; 33], &SealOptions::default()).unwrap();
        }
    };
    let usage = |keyset: &Keyset| (keyset.keys()[0].usage.seals, keyset.keys()[0].usage.blocks);
    seal(&here, 5);
    seal(&there, 7);
    assert_eq!((usage(&here), usage(&there)), ((5, 15), (7, 21)));

    let recorded = here.with_usage_recorded();
    assert_eq!(usage(&Keyset::open(recorded.record(), &key_source(1)).await.unwrap()), (5, 15));
    let there = there.reopen(recorded.record()).unwrap();
    assert_eq!(usage(&there), (12, 36));
    let recorded = there.with_usage_recorded();
    assert_eq!(usage(&recorded), (12, 36), "not counted twice");
    seal(&recorded, 1);
    assert_eq!(usage(&recorded), (13, 39));
    assert_eq!(usage(&there), (13, 39), "the counters of one process are shared");
    assert!(!recorded.keys()[0].rotation_due());
}

/// A key added twice has two slots, and replacing one leaves the other, as documented.
#[tokio::test]
async fn encryption_a_key_with_two_slots_keeps_the_second() {
    let twice = keyset(AES).await.with_slot_added(&key_source(1)).await.unwrap();
    let replaced = twice.with_slot_replaced(twice.unlocked_by(), &key_source(2)).await.unwrap();
    let opened = Keyset::open(replaced.record(), &key_source(1)).await.unwrap();
    assert_eq!(opened.unlocked_by(), twice.slots()[1].id);
    let removed = opened.with_slot_removed(opened.unlocked_by()).unwrap();
    assert_eq!(kind_of_opening(removed.record(), &key_source(1)).await, Some(ErrorKind::WrongKey));
    assert_eq!(removed.unlocked_by(), removed.slots()[0].id);
}

/// Two slots with the same id would hide each other in lists and removals.
#[tokio::test]
async fn encryption_keyset_refuses_slots_of_one_id() {
    let keyset = keyset(AES).await.with_slot_added(&key_source(2)).await.unwrap();
    let mut forged = keyset.record()[..keyset.record().len() - 32].to_vec();
    forged.copy_within(34..42, 34 + 116);
    let digest = ring::digest::digest(&ring::digest::SHA256, &forged);
    forged.extend_from_slice(digest.as_ref());
    // The damage is reported before any slot is tried, so it is reported even for a key that opens
    // no slot.
    assert_eq!(kind_of_opening(&forged, &key_source(3)).await, Some(ErrorKind::Damaged));
}

/// After a store has moved to another suite, replacing the slots moves the record and the slots to
/// that suite too.
#[tokio::test]
async fn encryption_replacing_all_slots_moves_the_record_to_the_active_suite() {
    let moved = keyset(AES).await.with_new_data_key(EncryptionAlgorithm::XChaCha20Poly1305).unwrap();
    let replaced = moved.with_slots_replaced(&[passphrase_source("new")]).await.unwrap();
    assert_eq!((replaced.record()[32], replaced.slots()[0].algorithm), (3, EncryptionAlgorithm::XChaCha20Poly1305));
    assert_eq!(kind_of_opening(replaced.record(), &passphrase_source("new")).await, None);
}

/// Reopening never reduces the usage that this process knows: not with a rolled-back record, and
/// not with the record of another process that was stored first, so that this process could not
/// store its own.
#[tokio::test]
async fn encryption_usage_never_goes_back() {
    let first = keyset(AES).await;
    let envelope = Envelope::encrypted(first.clone());
    for _ in 0..5 {
        envelope.seal(&PAGE, b"content", &SealOptions::default()).unwrap();
    }
    let recorded = first.with_usage_recorded();
    let rolled_back = recorded.reopen(first.record()).unwrap();
    assert_eq!(rolled_back.keys()[0].usage.seals, 5);
    let winner = Keyset::open(first.record(), &key_source(1)).await.unwrap().with_new_data_key(AES).unwrap();
    let lost = recorded.reopen(winner.record()).unwrap();
    assert_eq!(lost.keys()[0].usage.seals, 5);
    let again = Keyset::open(lost.with_usage_recorded().record(), &key_source(1)).await.unwrap();
    assert_eq!(again.keys()[0].usage.seals, 5, "and the next record holds it");
}

/// The provider receives associated data that binds a wrapped key to its store and slot. The
/// provider in this test stores the associated data in the wrapped key.
#[tokio::test]
async fn encryption_provider_binds_store_and_slot() {
    let provider: Arc<dyn KeyProvider> = Arc::new(XorProvider::new("hsm", 3));
    let keyset = Keyset::create(INDEX, AES, &provider.into()).await.unwrap();
    let bound = [b"cim/v1/provider".as_slice(), INDEX.as_bytes(), keyset.slots()[0].id.as_bytes()].concat();
    assert!(keyset.record().windows(bound.len()).any(|window| window == bound));
}

#[tokio::test]
async fn encryption_provider_outage_is_told_apart() {
    let provider = Arc::new(XorProvider::new("hsm", 3));
    let source = KeySource::Provider(provider.clone());
    let keyset = Keyset::create(INDEX, AES, &source).await.unwrap();
    provider.down.store(true, Ordering::Relaxed);
    assert_eq!(kind_of_opening(keyset.record(), &source).await, Some(ErrorKind::ProviderUnavailable));
    let created = Keyset::create(INDEX, AES, &source).await;
    assert_eq!(created.unwrap_err().kind(), ErrorKind::ProviderUnavailable);
    provider.down.store(false, Ordering::Relaxed);
    assert_eq!(kind_of_opening(keyset.record(), &source).await, None);

    let nameless: Arc<dyn KeyProvider> = Arc::new(XorProvider::new("", 3));
    let created = Keyset::create(INDEX, AES, &nameless.into()).await;
    assert_eq!(created.unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn encryption_keyset_debug_shows_no_secret() {
    let keyset = keyset(AES).await;
    let shown = format!("{keyset:?} {:?}", Envelope::encrypted(keyset.clone()));
    assert!(shown.contains(&keyset.active_key().to_string()));
    assert!(!shown.contains("1, 1, 1, 1"), "{shown}");
}

/// A provider whose "wrapping" only distinguishes keys and associated data.
struct XorProvider {
    name: &'static str,
    pad: u8,
    down: AtomicBool,
}

impl XorProvider {
    fn new(name: &'static str, pad: u8) -> Self {
        Self { name, pad, down: AtomicBool::new(false) }
    }

    fn check_up(&self) -> Result<(), ProviderError> {
        if self.down.load(Ordering::Relaxed) { Err(ProviderError::unavailable("no answer")) } else { Ok(()) }
    }
}

#[async_trait]
impl KeyProvider for XorProvider {
    fn name(&self) -> &str {
        self.name
    }

    async fn wrap(&self, key: &[u8; 32], associated: &[u8]) -> Result<Vec<u8>, ProviderError> {
        self.check_up()?;
        let masked = key.iter().map(|byte| byte ^ self.pad);
        Ok([self.pad].into_iter().chain(masked).chain(associated.iter().copied()).collect())
    }

    async fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<Zeroizing<[u8; 32]>, ProviderError> {
        self.check_up()?;
        if wrapped.len() != 33 + associated.len() || wrapped[0] != self.pad || &wrapped[33..] != associated {
            return Err(ProviderError::refused("not wrapped here"));
        }
        Ok(Zeroizing::new(std::array::from_fn(|at| wrapped[at + 1] ^ self.pad)))
    }
}
