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

/// The most data keys of one keyset, destroyed ones included.
pub const MAX_DATA_KEYS: usize = 1024;

/// The opened data keys of one store.
///
/// A keyset is a value: [`create`](Self::create) and [`open`](Self::open) make one, each change
/// makes a new one with the next [`generation`](Self::generation). Storing [`record`](Self::record)
/// by compare-and-set *before* the new keyset seals anything is the caller's part; then no object
/// can ever name a key that no record holds.
///
/// Clones share the keys and are cheap. Keys are wiped when the last keyset that holds them is
/// dropped.
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
    /// The slot that was opened, or made first.
    unlocked_by: SlotId,
    record: Bytes,
}

/// The content of a keyset.
#[derive(Clone)]
pub(crate) struct Opened {
    index: IndexId,
    generation: u64,
    /// What seals the body, and the slots of sources that have no algorithm of their own.
    algorithm: EncryptionAlgorithm,
    slots: Vec<Slot>,
    keys: Vec<KeyEntry>,
    keyset_key: Arc<Secret>,
}

impl Keyset {
    /// Creates the keyset of a new store, with one data key for `algorithm` and one slot for
    /// `source`.
    ///
    /// A passphrase costs one Argon2id derivation on the calling thread, about a quarter of a
    /// second by default.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) when a passphrase's profile cannot be used,
    /// [`ProviderUnavailable`](ErrorKind::ProviderUnavailable) or [`WrongKey`](ErrorKind::WrongKey)
    /// when a provider gave no answer or refused.
    pub async fn create(index: IndexId, algorithm: EncryptionAlgorithm, source: &KeySource) -> Result<Self> {
        let keyset_key = Arc::new(Secret::random());
        let slot = Slot::seal(&index, algorithm, source, &keyset_key).await?;
        let unlocked_by = slot.id;
        let keys = vec![KeyEntry::generate(algorithm, 1)];
        Ok(Self::seal(Opened { index, generation: 1, algorithm, slots: vec![slot], keys, keyset_key }, unlocked_by))
    }

    /// Opens a keyset from its record.
    ///
    /// A passphrase costs one Argon2id derivation per passphrase slot tried, on the calling thread.
    ///
    /// # Errors
    ///
    /// [`WrongKey`](ErrorKind::WrongKey) when `source` opens no slot,
    /// [`NotEncrypted`](ErrorKind::NotEncrypted) when the record names a plaintext store,
    /// [`Damaged`](ErrorKind::Damaged), [`UnsupportedVersion`](ErrorKind::UnsupportedVersion),
    /// [`Limit`](ErrorKind::Limit) when a slot asks for more of Argon2id than is accepted,
    /// [`ProviderUnavailable`](ErrorKind::ProviderUnavailable).
    pub async fn open(record: &[u8], source: &KeySource) -> Result<Self> {
        match decode_root(record)? {
            Root::Plaintext(_) => {
                Err(Error::new(ErrorKind::NotEncrypted, "a key was given, but the store is not encrypted"))
            }
            Root::Encrypted(sealed) => Self::open_sealed(sealed, Bytes::copy_from_slice(record), source).await,
        }
    }

    /// Opens a newer record of this keyset with the keyset key in memory, so that a running process
    /// follows the changes of others without asking for the key again.
    ///
    /// The [usage](DataKeyInfo::usage) of a data key never falls below what this value knows,
    /// whatever the record says: what this process sealed stays counted. Reopen from the value
    /// whose record was stored last; from one of before
    /// [`with_usage_recorded`](Self::with_usage_recorded), its seals are counted twice, which is
    /// safe. An older record of the keyset opens as well: the caller compares generations, and
    /// knows whether going back is meant.
    ///
    /// # Errors
    ///
    /// [`WrongKey`](ErrorKind::WrongKey) when the record was sealed under a new keyset key, as
    /// [`with_slots_replaced`](Self::with_slots_replaced) does, or was changed by somebody without
    /// any key: only [`open`](Self::open) with a key of it tells the two apart. Else as
    /// [`open`](Self::open), and [`Damaged`](ErrorKind::Damaged) when the record is of another
    /// store or of a plaintext one, or gives a known data key other bytes: the store was replaced
    /// or mixed up.
    pub fn reopen(&self, record: &[u8]) -> Result<Self> {
        let Root::Encrypted(sealed) = decode_root(record)? else {
            return Err(Error::new(
                ErrorKind::Damaged,
                "a plaintext root record stands in the place of this keyset: the store was replaced or mixed up, and \
                 nothing should be written to it",
            ));
        };
        if sealed.index != self.index_id() {
            return Err(Error::damaged("the store's root record"));
        }
        let mut opened = sealed.open(Arc::clone(&self.0.opened.keyset_key), || {
            Error::new(ErrorKind::WrongKey, "the record is under another keyset key, or was changed")
        })?;
        for entry in &mut opened.keys {
            if let Some(known) = self.entry(entry.id) {
                entry.adopt(known).ok_or_else(|| Error::damaged("the keyset"))?;
            }
        }
        Ok(Self(Arc::new(Inner { opened, unlocked_by: self.0.unlocked_by, record: Bytes::copy_from_slice(record) })))
    }

    /// Returns the record to store: it holds the data keys, sealed, and everything needed to open
    /// them but the key.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        &self.0.record
    }

    /// Returns the SHA-256 of the record, by which a manifest can name this very keyset.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&[self.record()])
    }

    /// Returns the id of the store.
    #[must_use]
    pub fn index_id(&self) -> IndexId {
        self.0.opened.index
    }

    /// Returns how many changes made this keyset: 1 when created, one more with each change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.opened.generation
    }

    /// Returns the id of the data key that seals new objects.
    #[must_use]
    pub fn active_key(&self) -> DataKeyId {
        self.active_entry().id
    }

    /// Returns the generation of this keyset that introduced the data key `id`, or `None` when it
    /// holds no such key. It orders data keys in time: what is sealed under one is no older than
    /// its generation.
    #[must_use]
    pub fn introduced(&self, id: DataKeyId) -> Option<u64> {
        self.entry(id).map(|entry| entry.since_generation)
    }

    /// Returns the algorithm that seals new objects.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.active_entry().algorithm
    }

    /// Lists the data keys in the order they came.
    #[must_use]
    pub fn keys(&self) -> Vec<DataKeyInfo> {
        self.0.opened.keys.iter().map(KeyEntry::info).collect()
    }

    /// Lists the key slots.
    #[must_use]
    pub fn slots(&self) -> Vec<KeySlotInfo> {
        self.0.opened.slots.iter().map(Slot::info).collect()
    }

    /// Returns the slot that the keyset was opened by, or created with; after that slot was
    /// [removed](Self::with_slot_removed), the first that was left. A newer record that was
    /// [reopened](Self::reopen) may no longer have it.
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
                    // The slot has proven the key, and the body is bound to every slot: no other
                    // one could do better.
                    let opened = sealed.open(Arc::new(keyset_key), || Error::damaged("the store's root record"))?;
                    return Ok(Self(Arc::new(Inner { opened, unlocked_by, record })));
                }
                Ok(None) => {}
                // The slot is this source's and was changed.
                Err(error) if error.kind() == ErrorKind::Damaged => return Err(error),
                // Another slot may still open; if none does, this says more than "wrong key".
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(Error::wrong_key))
    }

    /// The key that seals, with its id.
    pub(crate) fn sealing_key(&self) -> (DataKeyId, &Arc<DataKey>) {
        let entry = self.active_entry();
        (entry.id, entry.key.as_ref().expect("the active key is never destroyed"))
    }

    /// The key that opens objects which name `id` and `algorithm`.
    pub(crate) fn opening_key(&self, id: DataKeyId, algorithm: EncryptionAlgorithm) -> Result<&Arc<DataKey>> {
        let entry = self
            .entry(id)
            .ok_or_else(|| Error::new(ErrorKind::UnknownDataKey, format!("the keyset holds no data key {id}")))?;
        if entry.algorithm != algorithm {
            return Err(Error::damaged("the algorithm in the object's header"));
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
