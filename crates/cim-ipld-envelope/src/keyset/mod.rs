//! The keyset: data keys, sealed under a keyset key that one or more slots open.

mod data_key;
mod record;
mod rotation;
mod slot;
mod usage;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::data_key::DataKey;
use self::data_key::KeyEntry;
pub use self::data_key::{DataKeyInfo, DataKeyState};
pub use self::record::ROOT_VERSION;
use self::record::SealedKeyset;
pub(crate) use self::record::{Root, decode as decode_root, encode_plaintext as encode_plaintext_root};
use self::slot::Slot;
pub use self::slot::{KeySlotInfo, KeySlotKind};
pub use self::usage::{Usage, UsageLimits};
use crate::primitives::hash::sha256;
use crate::secret::Secret;
use crate::{DataKeyId, EncryptionAlgorithm, Error, ErrorKind, IndexId, KeySource, Result, SlotId};

/// The maximum number of data keys of a keyset, including destroyed ones.
pub const MAX_DATA_KEYS: usize = 1024;

/// The opened data keys of one store. In the record they are sealed under a random *keyset key*,
/// and each *key slot* contains the keyset key, sealed for one key, passphrase or provider.
///
/// A keyset is immutable: each change returns a new keyset with the next
/// [`generation`](Self::generation). The caller must store the [`record`](Self::record) of the new
/// keyset by compare-and-set *before* the new keyset seals anything, so that no object refers to a
/// key that is not in a stored record.
///
/// Clones share the keys and are cheap. Keys are zeroized when the last keyset that contains them
/// is dropped.
///
/// ```
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, IndexId, KeySource, Keyset};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
/// let source = KeySource::from(key);
/// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
///
/// let again = Keyset::open(keyset.record(), &source).await?;
/// assert_eq!(again.active_key(), keyset.active_key());
///
/// let rotated = again.with_new_data_key(EncryptionAlgorithm::ChaCha20Poly1305)?;
/// assert_eq!(rotated.generation(), 2);
/// assert_eq!(rotated.keys().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keyset(Arc<Inner>);

struct Inner {
    opened: Opened,
    /// The slot that was opened, or created first.
    unlocked_by: SlotId,
    record: Bytes,
}

/// The content of a keyset.
#[derive(Clone)]
pub(crate) struct Opened {
    index: IndexId,
    generation: u64,
    /// The algorithm that seals the body, and the slots of key sources without an algorithm of
    /// their own, such as passphrases.
    algorithm: EncryptionAlgorithm,
    slots: Vec<Slot>,
    keys: Vec<KeyEntry>,
    keyset_key: Arc<Secret>,
}

impl Keyset {
    /// Creates the keyset of a new store, with one data key for `algorithm` and one slot for
    /// `source`.
    ///
    /// A passphrase requires one Argon2id derivation on the calling thread, by default about a
    /// quarter of a second.
    ///
    /// # Errors
    ///
    /// * [`Limit`](ErrorKind::Limit) if the profile of a passphrase cannot be used.
    /// * [`ProviderUnavailable`](ErrorKind::ProviderUnavailable) if a provider did not respond.
    /// * [`WrongKey`](ErrorKind::WrongKey) if a provider refused.
    pub async fn create(index: IndexId, algorithm: EncryptionAlgorithm, source: &KeySource) -> Result<Self> {
        let keyset_key = Arc::new(Secret::random());
        let slot = Slot::seal(&index, algorithm, source, &keyset_key).await?;
        let unlocked_by = slot.id;
        let keys = vec![KeyEntry::generate(algorithm, 1)];
        Ok(Self::seal(Opened { index, generation: 1, algorithm, slots: vec![slot], keys, keyset_key }, unlocked_by))
    }

    /// Opens a keyset from its record.
    ///
    /// A passphrase requires one Argon2id derivation on the calling thread for each passphrase slot
    /// tried.
    ///
    /// # Errors
    ///
    /// * [`WrongKey`](ErrorKind::WrongKey) if `source` opens no slot.
    /// * [`NotEncrypted`](ErrorKind::NotEncrypted) if the record declares a plaintext store.
    /// * [`Damaged`](ErrorKind::Damaged), [`UnsupportedVersion`](ErrorKind::UnsupportedVersion).
    /// * [`Limit`](ErrorKind::Limit) if a slot demands more Argon2id work than is accepted.
    /// * [`ProviderUnavailable`](ErrorKind::ProviderUnavailable) if a provider did not respond.
    pub async fn open(record: &[u8], source: &KeySource) -> Result<Self> {
        match decode_root(record)? {
            Root::Plaintext(_) => {
                Err(Error::new(ErrorKind::NotEncrypted, "a key was given, but the store is not encrypted"))
            }
            Root::Encrypted(sealed) => Self::open_sealed(sealed, Bytes::copy_from_slice(record), source).await,
        }
    }

    /// Opens a newer record of this keyset with the keyset key that this keyset holds in memory, so
    /// that a running process follows changes by others without asking for a key or passphrase
    /// again.
    ///
    /// Whatever the record contains, the [usage](DataKeyInfo::usage) of a data key in the returned
    /// keyset is at least the usage known to this keyset. Call this method on the keyset whose
    /// record this process stored or opened last. If it is called on an older keyset instead, and
    /// the record already includes usage that this process recorded in a newer keyset made from it
    /// (every change records the usage so far), that usage is counted twice. This is harmless:
    /// rotation only becomes due earlier. An older record of the keyset can be opened as well; the
    /// caller must compare generations and decide whether a rollback is intended.
    ///
    /// # Errors
    ///
    /// * [`WrongKey`](ErrorKind::WrongKey) if the record was sealed under a new keyset key, for
    ///   example by [`with_slots_replaced`](Self::with_slots_replaced), or was changed by someone
    ///   without a key. To distinguish the two cases, [`open`](Self::open) the record with one of
    ///   its keys.
    /// * [`Damaged`](ErrorKind::Damaged) if the record belongs to another store or to a plaintext
    ///   store, or contains different bytes for a known data key: the store was replaced or mixed
    ///   up.
    /// * Otherwise as for [`open`](Self::open).
    pub fn reopen(&self, record: &[u8]) -> Result<Self> {
        let Root::Encrypted(sealed) = decode_root(record)? else {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the root record declares a plaintext store, but this keyset is encrypted: the store was replaced or mixed \
                 up, and nothing should be written to it",
            ));
        };
        if sealed.index != self.index_id() {
            return Err(Error::damaged("the store's root record"));
        }
        let mut opened = sealed.open(Arc::clone(&self.0.opened.keyset_key), || {
            Error::new(ErrorKind::WrongKey, "the record was sealed under a different keyset key, or was changed")
        })?;
        for entry in &mut opened.keys {
            if let Some(known) = self.entry(entry.id) {
                entry.adopt(known).ok_or_else(|| Error::damaged("the keyset"))?;
            }
        }
        Ok(Self(Arc::new(Inner { opened, unlocked_by: self.0.unlocked_by, record: Bytes::copy_from_slice(record) })))
    }

    /// Returns the record to store. It contains the sealed data keys and everything needed to open
    /// them except the key.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        &self.0.record
    }

    /// Returns the SHA-256 of the record, by which a manifest can refer to exactly this keyset.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&[self.record()])
    }

    /// Returns the id of the store.
    #[must_use]
    pub fn index_id(&self) -> IndexId {
        self.0.opened.index
    }

    /// Returns the generation: 1 when created, incremented by each change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.opened.generation
    }

    /// Returns the id of the data key that seals new objects.
    #[must_use]
    pub fn active_key(&self) -> DataKeyId {
        self.active_entry().id
    }

    /// Returns the generation of this keyset that introduced the data key `id`, or `None` if the
    /// keyset does not contain that key. Generations order data keys in time: an object sealed
    /// under a key is no older than the generation of the key.
    #[must_use]
    pub fn introduced(&self, id: DataKeyId) -> Option<u64> {
        self.entry(id).map(|entry| entry.since_generation)
    }

    /// Returns the algorithm that seals new objects.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.active_entry().algorithm
    }

    /// Returns the data keys, in the order of their creation.
    #[must_use]
    pub fn keys(&self) -> Vec<DataKeyInfo> {
        self.0.opened.keys.iter().map(KeyEntry::info).collect()
    }

    /// Returns the key slots.
    #[must_use]
    pub fn slots(&self) -> Vec<KeySlotInfo> {
        self.0.opened.slots.iter().map(Slot::info).collect()
    }

    /// Returns the slot by which the keyset was opened, or with which it was created. After that
    /// slot is [removed](Self::with_slot_removed), returns the first remaining slot. A newer record
    /// that was [reopened](Self::reopen) may no longer contain the slot.
    #[must_use]
    pub fn unlocked_by(&self) -> SlotId {
        self.0.unlocked_by
    }

    pub(crate) async fn open_sealed(sealed: SealedKeyset, record: Bytes, source: &KeySource) -> Result<Self> {
        if let KeySource::Passphrase(_, own) = source {
            own.accept_all(sealed.slots.iter().filter_map(Slot::argon2_profile))?;
        }
        let mut refused = None;
        for slot in &sealed.slots {
            match slot.open(&sealed.index, source).await {
                Ok(Some(keyset_key)) => {
                    let unlocked_by = slot.id;
                    // The slot has verified the key, and the body authenticates all slots. If the
                    // body cannot be opened, no other slot can open it either.
                    let opened = sealed.open(Arc::new(keyset_key), || Error::damaged("the store's root record"))?;
                    return Ok(Self(Arc::new(Inner { opened, unlocked_by, record })));
                }
                Ok(None) => {}
                // The slot belongs to this source and was changed.
                Err(error) if error.kind() == ErrorKind::Damaged => return Err(error),
                // Another slot may still open. If none does, this error is more specific than
                // "wrong key".
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(Error::wrong_key))
    }

    /// Returns the sealing key and its id.
    pub(crate) fn sealing_key(&self) -> (DataKeyId, &Arc<DataKey>) {
        let entry = self.active_entry();
        (entry.id, entry.key.as_ref().expect("the active key is never destroyed"))
    }

    /// Returns the key for opening objects that refer to `id` and `algorithm`.
    pub(crate) fn opening_key(&self, id: DataKeyId, algorithm: EncryptionAlgorithm) -> Result<&Arc<DataKey>> {
        let entry = self.entry(id).ok_or_else(|| {
            Error::new(ErrorKind::UnknownDataKey, format!("the keyset does not contain the data key {id}"))
        })?;
        if entry.algorithm != algorithm {
            let message = format!(
                "the object is damaged: its header names {algorithm}, but its data key {id} is for {}",
                entry.algorithm
            );
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        entry
            .key
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::DestroyedDataKey, format!("the data key {id} was destroyed")))
    }

    fn seal(opened: Opened, unlocked_by: SlotId) -> Self {
        let record = Bytes::from(opened.encode());
        Self(Arc::new(Inner { opened, unlocked_by, record }))
    }

    fn entry(&self, id: DataKeyId) -> Option<&KeyEntry> {
        self.0.opened.keys.iter().find(|entry| entry.id == id)
    }

    fn active_entry(&self) -> &KeyEntry {
        let mut keys = self.0.opened.keys.iter();
        keys.find(|entry| entry.state == DataKeyState::Active).expect("one data key is always active")
    }
}

impl fmt::Debug for Keyset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyset")
            .field("index_id", &self.index_id())
            .field("generation", &self.generation())
            .field("keys", &self.keys())
            .field("slots", &self.slots())
            .finish_non_exhaustive()
    }
}
