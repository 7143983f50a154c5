use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::dag_cbor::{self, DagCbor};
use crate::keyset::DataKey;
use crate::primitives::aead::TAG_BYTES;
use crate::primitives::hash::{Hash, sha256};
use crate::primitives::hkdf;
use crate::sealing::{COMMITMENT_BYTES, Commitment, Place, SALT_BYTES, Salt};
use crate::secret::Secret;
use crate::{
    DataKeyId, EncryptionAlgorithm, EncryptionKey, Error, ErrorKind, Keyset, MAX_OBJECT_BYTES, Result, random,
};

/// Encrypts and decrypts single values with associated data.
///
/// ```
/// use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm};
///
/// let key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
/// let sealed = ContentEncryption::encrypt(&key, b"secret", b"invoice 7")?;
/// assert_eq!(ContentEncryption::decrypt(&key, &sealed, b"invoice 7")?, b"secret");
/// assert!(ContentEncryption::decrypt(&key, &sealed, b"invoice 8").is_err());
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ContentEncryption;

impl ContentEncryption {
    /// Generates a key for `algorithm` from the randomness of the operating system.
    ///
    /// ```
    /// use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm};
    ///
    /// let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    /// assert_eq!(key.algorithm(), EncryptionAlgorithm::AES256GCM);
    /// ```
    ///
    /// # Panics
    ///
    /// If the operating system cannot supply randomness, as for [`random`](crate::random).
    #[must_use]
    pub fn generate_key(algorithm: EncryptionAlgorithm) -> EncryptionKey {
        EncryptionKey::generate(algorithm)
    }

    /// Encrypts `plaintext` and authenticates `associated` with it. The associated data is not
    /// stored; decryption requires the same bytes.
    ///
    /// ```
    /// use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm};
    ///
    /// let key = ContentEncryption::generate_key(EncryptionAlgorithm::XChaCha20Poly1305);
    /// let sealed = ContentEncryption::encrypt(&key, b"secret", b"invoice 7")?;
    /// assert_eq!(sealed.plaintext_bytes(), 6);
    /// # Ok::<(), cim_ipld_envelope::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if the plaintext is larger than [`MAX_OBJECT_BYTES`].
    pub fn encrypt(key: &impl ContentKey, plaintext: &[u8], associated: &[u8]) -> Result<EncryptedData> {
        EncryptedData::seal_under(&key.sealing_root(), Domain::CONTENT, &[associated], plaintext)
    }

    /// Decrypts a value from [`encrypt`](Self::encrypt), given the same `associated` bytes. The
    /// plaintext is not zeroized; if it is a key, wrap it in [`Zeroizing`](crate::Zeroizing).
    ///
    /// ```
    /// use cim_ipld_envelope::{ContentEncryption, EncryptedData, EncryptionAlgorithm, ErrorKind};
    ///
    /// let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    /// let stored = ContentEncryption::encrypt(&key, b"secret", b"invoice 7")?.to_bytes();
    ///
    /// let sealed = EncryptedData::from_bytes(&stored)?;
    /// assert_eq!(ContentEncryption::decrypt(&key, &sealed, b"invoice 7")?, b"secret");
    /// let refused = ContentEncryption::decrypt(&key, &sealed, b"invoice 8").unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::WrongKey);
    /// # Ok::<(), cim_ipld_envelope::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`WrongKey`](crate::ErrorKind::WrongKey) if the key or the associated data differs, or if
    ///   the salt or commitment was changed; these cases are indistinguishable.
    /// * [`Damaged`](crate::ErrorKind::Damaged) if only the ciphertext or its tag was changed.
    /// * With a keyset, also [`UnknownDataKey`](crate::ErrorKind::UnknownDataKey) and
    ///   [`DestroyedDataKey`](crate::ErrorKind::DestroyedDataKey).
    pub fn decrypt(key: &impl ContentKey, data: &EncryptedData, associated: &[u8]) -> Result<Vec<u8>> {
        data.open(key, Domain::CONTENT, &[associated])
    }
}

/// A key for single values: an [`EncryptionKey`], or a [`Keyset`], whose data keys can be rotated.
///
/// ```
/// use cim_ipld_envelope::{ContentEncryption, ContentKey, EncryptionAlgorithm, Result};
///
/// fn round_trip(key: &impl ContentKey) -> Result<Vec<u8>> {
///     ContentEncryption::decrypt(key, &ContentEncryption::encrypt(key, b"secret", b"")?, b"")
/// }
/// let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
/// assert_eq!(round_trip(&key)?, b"secret");
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
///
/// This trait is sealed and has no other implementations.
pub trait ContentKey: sealed::ContentRoots {}

impl ContentKey for EncryptionKey {}
impl ContentKey for Keyset {}

mod sealed {
    use super::{DataKeyId, EncryptionAlgorithm, Result, SealingRoot, Secret};

    pub trait ContentRoots {
        #[expect(private_interfaces, reason = "the trait is sealed and its methods are this crate's own")]
        fn sealing_root(&self) -> SealingRoot;

        #[expect(private_interfaces, reason = "the trait is sealed and its methods are this crate's own")]
        fn opening_root(&self, key: Option<DataKeyId>, algorithm: EncryptionAlgorithm) -> Result<Secret>;
    }
}

pub(crate) use sealed::ContentRoots;

/// The root for sealing content, and the id of its data key.
pub(crate) struct SealingRoot {
    key: Option<DataKeyId>,
    algorithm: EncryptionAlgorithm,
    root: Secret,
    /// The data key whose usage is counted.
    counted: Option<Arc<DataKey>>,
}

#[expect(private_interfaces, reason = "the trait is sealed and its methods are this crate's own")]
impl ContentRoots for EncryptionKey {
    fn sealing_root(&self) -> SealingRoot {
        let root = hkdf::derive_secret(b"cim/v1/content", self.secret().as_bytes(), &[&[self.algorithm().suite()]]);
        SealingRoot { key: None, algorithm: self.algorithm(), root, counted: None }
    }

    fn opening_root(&self, key: Option<DataKeyId>, algorithm: EncryptionAlgorithm) -> Result<Secret> {
        if key.is_some() || algorithm != self.algorithm() {
            return Err(Error::wrong_key());
        }
        Ok(self.sealing_root().root)
    }
}

#[expect(private_interfaces, reason = "the trait is sealed and its methods are this crate's own")]
impl ContentRoots for Keyset {
    fn sealing_root(&self) -> SealingRoot {
        let (id, key) = self.sealing_key();
        let root = key.content_root(&self.index_id());
        SealingRoot { key: Some(id), algorithm: self.algorithm(), root, counted: Some(Arc::clone(key)) }
    }

    fn opening_root(&self, key: Option<DataKeyId>, algorithm: EncryptionAlgorithm) -> Result<Secret> {
        let id = key.ok_or_else(Error::wrong_key)?;
        Ok(self.opening_key(id, algorithm)?.content_root(&self.index_id()))
    }
}

/// The purpose of an encryption: a value of one domain cannot be decrypted as a value of another
/// domain.
#[derive(Clone, Copy)]
pub(crate) struct Domain(&'static [u8]);

impl Domain {
    pub(crate) const CONTENT: Self = Self(b"cim/v1/content");
    pub(crate) const WRAPPER: Self = Self(b"cim/v1/wrapper");
    pub(crate) const HIDDEN_WRAPPER: Self = Self(b"cim/v1/hidden-wrapper");
}

/// The version of the format of encrypted values.
pub(crate) const DATA_VERSION: u8 = 1;

/// An encrypted value: algorithm, key id (if encrypted by a keyset), salt, commitment, and
/// ciphertext with tag.
///
/// It is serialized through serde (compactly in binary formats such as DAG-CBOR) or by
/// [`to_bytes`](Self::to_bytes).
///
/// ```
/// use cim_ipld_envelope::{ContentEncryption, EncryptedData, EncryptionAlgorithm};
///
/// let key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
/// let sealed = ContentEncryption::encrypt(&key, b"secret", b"")?;
/// assert_eq!((sealed.algorithm(), sealed.key_id()), (EncryptionAlgorithm::ChaCha20Poly1305, None));
/// assert_eq!(EncryptedData::from_bytes(&sealed.to_bytes())?, sealed);
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct EncryptedData {
    algorithm: EncryptionAlgorithm,
    key: Option<DataKeyId>,
    salt: Salt,
    commitment: Commitment,
    /// Including the tag at its end.
    ciphertext: Vec<u8>,
}

impl EncryptedData {
    /// Returns the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.algorithm
    }

    /// Returns the id of the data key if a keyset encrypted the value.
    #[must_use]
    pub fn key_id(&self) -> Option<DataKeyId> {
        self.key
    }

    /// Returns the size of the plaintext.
    #[must_use]
    pub fn plaintext_bytes(&self) -> usize {
        self.ciphertext.len() - TAG_BYTES
    }

    /// Encodes the value as DAG-CBOR.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        dag_cbor::encode(self)
    }

    /// Decodes bytes from [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    ///
    /// * [`Damaged`](crate::ErrorKind::Damaged) if the bytes are not exactly the encoding of one
    ///   value.
    /// * [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) if they were written in a
    ///   newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        dag_cbor::decode(bytes)
    }

    /// Seals under a root that may serve many values.
    pub(crate) fn seal_under(root: &SealingRoot, domain: Domain, bound: &[&[u8]], plaintext: &[u8]) -> Result<Self> {
        if plaintext.len() > MAX_OBJECT_BYTES {
            return Err(Error::limit(format!(
                "the value of {} bytes exceeds the limit of {MAX_OBJECT_BYTES}",
                plaintext.len()
            )));
        }
        let SealingRoot { key, algorithm, root, counted } = root;
        let context = context(domain, *algorithm, *key, bound);
        let salt = random();
        let mut ciphertext = Vec::with_capacity(plaintext.len() + TAG_BYTES);
        ciphertext.extend_from_slice(plaintext);
        let place = Place { root, algorithm: *algorithm, context: &context };
        let (commitment, tag) = place.seal_in_place(&salt, &mut ciphertext);
        ciphertext.extend_from_slice(&tag);
        if let Some(key) = counted {
            key.count_seal(plaintext.len());
        }
        Ok(Self { algorithm: *algorithm, key: *key, salt, commitment, ciphertext })
    }

    pub(crate) fn open(&self, key: &impl ContentRoots, domain: Domain, bound: &[&[u8]]) -> Result<Vec<u8>> {
        let root = key.opening_root(self.key, self.algorithm)?;
        let context = context(domain, self.algorithm, self.key, bound);
        let (body, tag) = self.ciphertext.split_last_chunk().ok_or_else(|| Error::damaged("the encrypted value"))?;
        let mut plaintext = body.to_vec();
        let place = Place { root: &root, algorithm: self.algorithm, context: &context };
        match place.open_in_place(&self.salt, &self.commitment, &mut plaintext, tag) {
            Ok(()) => Ok(plaintext),
            Err(crate::sealing::Mismatch::Commitment) => Err(Error::wrong_key()),
            Err(crate::sealing::Mismatch::Tag) => Err(Error::damaged("the encrypted value")),
        }
    }
}

impl fmt::Debug for EncryptedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedData({}, {} bytes)", self.algorithm, self.ciphertext.len())
    }
}

/// Hashes the data to which a value is bound; docs/format.md specifies the encoding.
fn context(domain: Domain, algorithm: EncryptionAlgorithm, key: Option<DataKeyId>, bound: &[&[u8]]) -> Hash {
    let key = key.map_or([0; 8], |key| *key.as_bytes());
    let lengths: Vec<[u8; 8]> = bound.iter().map(|part| (part.len() as u64).to_le_bytes()).collect();
    let domain_bytes = [u8::try_from(domain.0.len()).expect("domains are short")];
    let fixed = [DATA_VERSION, algorithm.suite()];
    let mut parts: Vec<&[u8]> = vec![&domain_bytes, domain.0, &fixed, &key];
    for (length, part) in lengths.iter().zip(bound) {
        parts.extend([length.as_slice(), *part]);
    }
    sha256(&parts)
}

/// The serialized form of a value; the field names are part of the format.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    alg: EncryptionAlgorithm,
    key: Option<DataKeyId>,
    salt: ByteArray<SALT_BYTES>,
    commitment: ByteArray<COMMITMENT_BYTES>,
    ciphertext: ByteBuf,
}

impl DagCbor for EncryptedData {
    const NAME: &'static str = "the encrypted value";
    const VERSION: u8 = DATA_VERSION;
    type Version = ValueVersion;
}

/// The part of an encrypted value that is common to all versions.
#[derive(Deserialize)]
pub(crate) struct ValueVersion {
    v: u64,
}

impl From<ValueVersion> for u8 {
    fn from(version: ValueVersion) -> Self {
        // Errors report one byte; a larger version is newer in any case.
        u8::try_from(version.v).unwrap_or(u8::MAX)
    }
}

impl From<EncryptedData> for Wire {
    fn from(data: EncryptedData) -> Self {
        Self {
            v: DATA_VERSION,
            alg: data.algorithm,
            key: data.key,
            salt: ByteArray::new(data.salt),
            commitment: ByteArray::new(data.commitment),
            ciphertext: ByteBuf::from(data.ciphertext),
        }
    }
}

impl TryFrom<Wire> for EncryptedData {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self> {
        if wire.v > DATA_VERSION {
            return Err(Error::unsupported(EncryptedData::NAME, wire.v, DATA_VERSION));
        }
        if wire.ciphertext.len() > MAX_OBJECT_BYTES + TAG_BYTES {
            let bytes = wire.ciphertext.len();
            let message = format!("the encrypted value is damaged: its ciphertext of {bytes} bytes exceeds the limit");
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        if wire.v != DATA_VERSION || wire.ciphertext.len() < TAG_BYTES {
            return Err(Error::damaged("the encrypted value"));
        }
        Ok(Self {
            algorithm: wire.alg,
            key: wire.key,
            salt: wire.salt.into_array(),
            commitment: wire.commitment.into_array(),
            ciphertext: wire.ciphertext.into_vec(),
        })
    }
}
