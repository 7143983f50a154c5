use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use subtle::ConstantTimeEq;

use super::usage::{Usage, UsageLimits};
use crate::primitives::hkdf;
use crate::secret::Secret;
use crate::{DataKeyId, EncryptionAlgorithm, IndexId, ObjectKind};

/// The state of a data key.
///
/// ```
/// use cim_ipld_envelope::{DataKeyState, EncryptionAlgorithm, EncryptionKey, IndexId, Keyset};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let source = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM).into();
/// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
/// let rotated = keyset.with_new_data_key(EncryptionAlgorithm::AES256GCM)?;
/// let states: Vec<_> = rotated.keys().iter().map(|key| key.state).collect();
/// assert_eq!(states, [DataKeyState::DecryptOnly, DataKeyState::Active]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKeyState {
    /// It seals new objects and opens old ones. Exactly one key of a keyset is active.
    Active,
    /// It opens the objects that it sealed, but seals no new objects.
    DecryptOnly,
    /// Its bytes were deleted, so the objects that it sealed cannot be opened. Its id is kept to
    /// report this.
    Destroyed,
}

/// The public information about a data key.
///
/// ```
/// use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm, EncryptionKey, IndexId, Keyset};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let source = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM).into();
/// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
/// ContentEncryption::encrypt(&keyset, b"secret", b"")?;
/// let info = &keyset.keys()[0];
/// assert_eq!((info.id, info.usage.seals), (keyset.active_key(), 1));
/// assert!(!info.rotation_due());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataKeyInfo {
    /// The id by which objects refer to it.
    pub id: DataKeyId,
    /// The algorithm with which it seals.
    pub algorithm: EncryptionAlgorithm,
    /// Its state.
    pub state: DataKeyState,
    /// The keyset generation that introduced it.
    pub since_generation: u64,
    /// Its usage: the usage in the record, plus what this process has sealed since.
    pub usage: Usage,
}

impl DataKeyInfo {
    /// Returns whether the usage of the key approaches its published limits, so that a new data key
    /// is due.
    #[must_use]
    pub fn rotation_due(&self) -> bool {
        self.state == DataKeyState::Active && UsageLimits::of(self.algorithm).nearly_reached_by(&self.usage)
    }
}

/// One data key of a keyset.
#[derive(Clone)]
pub(crate) struct KeyEntry {
    pub(crate) id: DataKeyId,
    pub(crate) algorithm: EncryptionAlgorithm,
    pub(crate) state: DataKeyState,
    pub(crate) since_generation: u64,
    /// The usage in the record.
    pub(crate) recorded: Usage,
    /// The part of the live counters that is included in `recorded`.
    pub(crate) included: Usage,
    /// `None` if destroyed. Shared by all keysets of this process that contain the key.
    pub(crate) key: Option<Arc<DataKey>>,
}

impl KeyEntry {
    pub(crate) fn generate(algorithm: EncryptionAlgorithm, since_generation: u64) -> Self {
        let key = DataKey::new(algorithm, Secret::random());
        Self {
            id: DataKeyId::random(),
            algorithm,
            state: DataKeyState::Active,
            since_generation,
            recorded: Usage::default(),
            included: Usage::default(),
            key: Some(Arc::new(key)),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let live = self.key.as_ref().map_or(self.included, |key| key.counters.load());
        self.recorded.plus(live.since(self.included))
    }

    /// Adds the live counters to the recorded usage.
    pub(crate) fn record_usage(&mut self) {
        if let Some(key) = &self.key {
            let live = key.counters.load();
            self.recorded = self.recorded.plus(live.since(self.included));
            self.included = live;
        }
    }

    /// Shares the key material and the counters of `known`, the entry with this id in an older
    /// keyset of this process. Returns `None` if the two entries have the same id but different
    /// keys; no honest writer produces such a record.
    pub(crate) fn adopt(&mut self, known: &Self) -> Option<()> {
        if let (Some(key), Some(known_key)) = (&self.key, &known.key) {
            let same = key.secret.as_bytes().ct_eq(known_key.secret.as_bytes());
            if key.algorithm != known_key.algorithm || !bool::from(same) {
                return None;
            }
            self.key.clone_from(&known.key);
            self.included = known.included;
        }
        // Usage known to this process is kept even if the record was rolled back, or if another
        // process stored it before this process could store its own usage.
        self.recorded = self.recorded.plus(known.usage().since(self.usage()));
        Some(())
    }

    pub(crate) fn info(&self) -> DataKeyInfo {
        DataKeyInfo {
            id: self.id,
            algorithm: self.algorithm,
            state: self.state,
            since_generation: self.since_generation,
            usage: self.usage(),
        }
    }
}

/// The key material, with the roots derived from it so far.
pub(crate) struct DataKey {
    algorithm: EncryptionAlgorithm,
    secret: Secret,
    roots: RwLock<Vec<PurposeRoot>>,
    counters: Counters,
}

struct PurposeRoot {
    kind: ObjectKind,
    bucket: Box<str>,
    root: Arc<Secret>,
}

/// The maximum number of cached roots. Further roots are derived each time.
const MAX_CACHED_ROOTS: usize = 64;

impl DataKey {
    pub(crate) fn new(algorithm: EncryptionAlgorithm, secret: Secret) -> Self {
        Self { algorithm, secret, roots: RwLock::default(), counters: Counters::default() }
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the root for all objects of one kind in one bucket.
    pub(crate) fn object_root(&self, index: &IndexId, kind: ObjectKind, bucket: &str) -> Arc<Secret> {
        let found = |roots: &[PurposeRoot]| {
            let root = roots.iter().find(|root| root.kind == kind && *root.bucket == *bucket)?;
            Some(Arc::clone(&root.root))
        };
        if let Some(root) = found(&self.roots.read().unwrap_or_else(PoisonError::into_inner)) {
            return root;
        }
        let bucket_bytes = (bucket.len() as u64).to_le_bytes();
        let root =
            Arc::new(self.derive(b"cim/v1/objects", &[index.as_bytes(), &[kind.0], &bucket_bytes, bucket.as_bytes()]));
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        if roots.len() < MAX_CACHED_ROOTS && found(&roots).is_none() {
            roots.push(PurposeRoot { kind, bucket: bucket.into(), root: Arc::clone(&root) });
        }
        root
    }

    /// Returns the root for content that is encrypted with the keyset outside of stored objects.
    pub(crate) fn content_root(&self, index: &IndexId) -> Secret {
        self.derive(b"cim/v1/keyset-content", &[index.as_bytes()])
    }

    pub(crate) fn count_seal(&self, bytes: usize) {
        self.counters.seals.fetch_add(1, Ordering::Relaxed);
        self.counters.blocks.fetch_add(bytes.div_ceil(16) as u64, Ordering::Relaxed);
    }

    fn derive(&self, salt: &[u8], purpose: &[&[u8]]) -> Secret {
        let suite = [self.algorithm.suite()];
        let mut info: Vec<&[u8]> = vec![&suite];
        info.extend_from_slice(purpose);
        hkdf::derive_secret(salt, self.secret.as_bytes(), &info)
    }
}

#[derive(Default)]
struct Counters {
    seals: AtomicU64,
    blocks: AtomicU64,
}

impl Counters {
    fn load(&self) -> Usage {
        Usage { seals: self.seals.load(Ordering::Relaxed), blocks: self.blocks.load(Ordering::Relaxed) }
    }
}
