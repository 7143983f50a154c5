use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use subtle::ConstantTimeEq;

use super::usage::{Usage, UsageLimits};
use crate::primitives::hkdf;
use crate::secret::Secret;
use crate::{DataKeyId, EncryptionAlgorithm, IndexId, ObjectKind};

/// What a data key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKeyState {
    /// It seals new objects and opens old ones; one key of a keyset is in this state.
    Active,
    /// It opens objects that were sealed with it.
    DecryptOnly,
    /// Its bytes are gone, and with them what was sealed with it; the id stays to say so.
    Destroyed,
}

/// What is known of a data key without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataKeyInfo {
    /// The id that objects name.
    pub id: DataKeyId,
    /// The algorithm that it seals with.
    pub algorithm: EncryptionAlgorithm,
    /// What it may be used for.
    pub state: DataKeyState,
    /// The keyset generation that it came with.
    pub since_generation: u64,
    /// How much it sealed: what the record says, and what this process added.
    pub usage: Usage,
}

impl DataKeyInfo {
    /// Tells whether the key's use nears its published limits, so that a new data key is due.
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
    /// The usage that the record holds.
    pub(crate) recorded: Usage,
    /// How much of the live counters `recorded` contains.
    pub(crate) included: Usage,
    /// `None` once destroyed. Shared by every keyset of this process that holds the key.
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

    /// Moves the live counters into the recorded usage.
    pub(crate) fn record_usage(&mut self) {
        if let Some(key) = &self.key {
            let live = key.counters.load();
            self.recorded = self.recorded.plus(live.since(self.included));
            self.included = live;
        }
    }

    /// Shares the key material and the counters of `known`, the entry with this id in an older
    /// keyset of this process. Gives `None` when the two are not the same key, as no honest writer
    /// makes them.
    pub(crate) fn adopt(&mut self, known: &Self) -> Option<()> {
        if let (Some(key), Some(known_key)) = (&self.key, &known.key) {
            let same = key.secret.as_bytes().ct_eq(known_key.secret.as_bytes());
            if key.algorithm != known_key.algorithm || !bool::from(same) {
                return None;
            }
            self.key.clone_from(&known.key);
            self.included = known.included;
        }
        // A record that went back, or that won against one with this usage, does not undo what was
        // sealed.
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

/// The material of a data key, with the roots derived from it so far.
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

/// Roots beyond these are derived each time: a program with more purposes than this is still
/// correct.
const MAX_CACHED_ROOTS: usize = 64;

impl DataKey {
    pub(crate) fn new(algorithm: EncryptionAlgorithm, secret: Secret) -> Self {
        Self { algorithm, secret, roots: RwLock::default(), counters: Counters::default() }
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the root of all objects of one kind in one bucket.
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

    /// Returns the root of content encrypted with the keyset outside of any stored object.
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
