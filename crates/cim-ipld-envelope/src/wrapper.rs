use cid::Cid;
use cid::multihash::Multihash;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::content::{DATA_VERSION, Domain, SealingRoot, ValueVersion};
use crate::dag_cbor::{self, DagCbor};
use crate::primitives::hash::{hmac_sha256, sha256};
use crate::primitives::hkdf;
use crate::secret::Secret;
use crate::{ContentKey, EncryptedData, EncryptionKey, Error, Result};

/// An unencrypted CID with encrypted metadata.
///
/// Content can be fetched by [`cid`](Self::cid) without a key. The metadata is bound to the CID and
/// to [`aad`](Self::aad), so a wrapper with any changed field cannot be decrypted. Anyone who sees
/// the wrapper can confirm a guess of the content by hashing it; to prevent this, use
/// [`HiddenCidWrapper`].
///
/// Encoded as DAG-CBOR, the wrapper is an IPLD block that contains `cid` as a link and has its [own
/// CID](Self::wrapper_cid).
///
/// ```
/// use cim_ipld_envelope::{EncryptedCidWrapper, EncryptionAlgorithm, EncryptionKey};
///
/// let key = EncryptionKey::generate(EncryptionAlgorithm::XChaCha20Poly1305);
/// let cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().unwrap();
/// let wrapper = EncryptedCidWrapper::seal(&key, cid, b"title: secret", b"collection 1")?;
///
/// let block = wrapper.to_dag_cbor();
/// let again = EncryptedCidWrapper::from_dag_cbor(&block)?;
/// assert_eq!(again.wrapper_cid(), wrapper.wrapper_cid());
/// assert_eq!(again.open(&key)?, b"title: secret");
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptedCidWrapper {
    /// The unencrypted CID, for content retrieval.
    pub cid: Cid,
    /// The encrypted metadata.
    pub encrypted_metadata: EncryptedData,
    /// Additional authenticated data, unencrypted.
    #[serde(with = "serde_bytes")]
    pub aad: Vec<u8>,
}

impl EncryptedCidWrapper {
    /// Encrypts `metadata` and binds it to `cid` and `aad`.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if the metadata is larger than
    /// [`MAX_OBJECT_BYTES`](crate::MAX_OBJECT_BYTES).
    pub fn seal(key: &impl ContentKey, cid: Cid, metadata: &[u8], aad: impl Into<Vec<u8>>) -> Result<Self> {
        Self::seal_under(&key.sealing_root(), cid, metadata, aad.into())
    }

    /// Seals many wrappers with the same `aad`. The intermediate key from which their subkeys are
    /// derived is computed from `key` only once.
    ///
    /// # Errors
    ///
    /// As for [`seal`](Self::seal), for the first wrapper that fails.
    pub fn seal_batch<M: AsRef<[u8]>>(
        key: &impl ContentKey,
        items: impl IntoIterator<Item = (Cid, M)>,
        aad: &[u8],
    ) -> Result<Vec<Self>> {
        let root = key.sealing_root();
        let seal = |(cid, metadata): (Cid, M)| Self::seal_under(&root, cid, metadata.as_ref(), aad.to_vec());
        items.into_iter().map(seal).collect()
    }

    fn seal_under(root: &SealingRoot, cid: Cid, metadata: &[u8], aad: Vec<u8>) -> Result<Self> {
        let bound: [&[u8]; 2] = [&cid.to_bytes(), &aad];
        let encrypted_metadata = EncryptedData::seal_under(root, Domain::WRAPPER, &bound, metadata)?;
        Ok(Self { cid, encrypted_metadata, aad })
    }

    /// Decrypts the metadata.
    ///
    /// # Errors
    ///
    /// As for [`ContentEncryption::decrypt`](crate::ContentEncryption::decrypt), with `cid` and
    /// `aad` as the associated data.
    pub fn open(&self, key: &impl ContentKey) -> Result<Vec<u8>> {
        self.encrypted_metadata.open(key, Domain::WRAPPER, &[&self.cid.to_bytes(), &self.aad])
    }

    /// Encodes a value as DAG-CBOR and encrypts the encoding as [`seal`](Self::seal) does.
    ///
    /// # Errors
    ///
    /// As for [`seal`](Self::seal), and [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if the
    /// value has no DAG-CBOR encoding.
    pub fn seal_value<T: Serialize>(
        key: &impl ContentKey,
        cid: Cid,
        metadata: &T,
        aad: impl Into<Vec<u8>>,
    ) -> Result<Self> {
        let bytes = serde_ipld_dagcbor::to_vec(metadata)
            .map_err(|error| Error::invalid_request("the metadata has no DAG-CBOR encoding").with_source(error))?;
        Self::seal(key, cid, &bytes, aad)
    }

    /// Decrypts a value from [`seal_value`](Self::seal_value).
    ///
    /// ```
    /// use cim_ipld_envelope::{EncryptedCidWrapper, EncryptionAlgorithm, EncryptionKey};
    ///
    /// let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
    /// let cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().unwrap();
    /// let wrapper = EncryptedCidWrapper::seal_value(&key, cid, &("title", 1987), b"")?;
    /// assert_eq!(wrapper.open_value::<(String, u16)>(&key)?, ("title".to_owned(), 1987));
    /// # Ok::<(), cim_ipld_envelope::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if the
    /// metadata is not a value of type `T`.
    pub fn open_value<T: DeserializeOwned>(&self, key: &impl ContentKey) -> Result<T> {
        // The decoder's error may quote the metadata, so it is dropped.
        serde_ipld_dagcbor::from_slice(&self.open(key)?)
            .map_err(|_| Error::invalid_request("the decrypted metadata is not a value of this type"))
    }

    /// Encodes the wrapper as a DAG-CBOR block.
    #[must_use]
    pub fn to_dag_cbor(&self) -> Vec<u8> {
        dag_cbor::encode(self)
    }

    /// Decodes a DAG-CBOR block.
    ///
    /// # Errors
    ///
    /// * [`Damaged`](crate::ErrorKind::Damaged) if the bytes are not exactly the encoding of one
    ///   wrapper.
    /// * [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) if they were written in a
    ///   newer format.
    pub fn from_dag_cbor(block: &[u8]) -> Result<Self> {
        dag_cbor::decode(block)
    }

    /// Returns the CID of the wrapper itself: version 1, dag-cbor, sha2-256 of
    /// [`to_dag_cbor`](Self::to_dag_cbor).
    #[must_use]
    pub fn wrapper_cid(&self) -> Cid {
        dag_cbor_cid(&self.to_dag_cbor())
    }
}

impl DagCbor for EncryptedCidWrapper {
    const NAME: &'static str = "the wrapper";
    const VERSION: u8 = DATA_VERSION;
    type Version = WrapperVersion;
}

/// The part of a wrapper that contains its version.
#[derive(Deserialize)]
pub(crate) struct WrapperVersion {
    encrypted_metadata: ValueVersion,
}

impl From<WrapperVersion> for u8 {
    fn from(version: WrapperVersion) -> Self {
        version.encrypted_metadata.into()
    }
}

/// A wrapper with an encrypted CID. It is stored under a [name](CidNames::name) computed from the
/// CID with a keyed MAC.
///
/// Without a key, a guess of the content cannot be confirmed. Holders of the [`CidNames`] can find
/// the wrapper by CID.
///
/// ```
/// use cim_ipld_envelope::{CidNames, EncryptionAlgorithm, EncryptionKey, HiddenCidWrapper};
///
/// let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
/// let names = CidNames::from_key(&key);
/// let cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().unwrap();
/// let wrapper = HiddenCidWrapper::seal(&key, &names, cid, b"title: secret", b"")?;
/// assert_eq!(wrapper.name, names.name(&cid));
/// assert_eq!(wrapper.open(&key)?, (cid, b"title: secret".to_vec()));
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenCidWrapper {
    /// The name that holders of the [`CidNames`] compute from the CID.
    #[serde(with = "serde_bytes")]
    pub name: [u8; 32],
    /// The encrypted CID and metadata.
    pub encrypted: EncryptedData,
    /// Additional authenticated data, unencrypted.
    #[serde(with = "serde_bytes")]
    pub aad: Vec<u8>,
}

impl HiddenCidWrapper {
    /// Encrypts `cid` and `metadata`, and binds them to the name of the CID and to `aad`.
    ///
    /// # Errors
    ///
    /// As for [`EncryptedCidWrapper::seal`].
    pub fn seal(
        key: &impl ContentKey,
        names: &CidNames,
        cid: Cid,
        metadata: &[u8],
        aad: impl Into<Vec<u8>>,
    ) -> Result<Self> {
        Self::seal_under(&key.sealing_root(), names, cid, metadata, aad.into())
    }

    /// Seals many wrappers with the same `aad`. The intermediate key from which their subkeys are
    /// derived is computed from `key` only once.
    ///
    /// # Errors
    ///
    /// As for [`seal`](Self::seal), for the first wrapper that fails.
    pub fn seal_batch<M: AsRef<[u8]>>(
        key: &impl ContentKey,
        names: &CidNames,
        items: impl IntoIterator<Item = (Cid, M)>,
        aad: &[u8],
    ) -> Result<Vec<Self>> {
        let root = key.sealing_root();
        let seal = |(cid, metadata): (Cid, M)| Self::seal_under(&root, names, cid, metadata.as_ref(), aad.to_vec());
        items.into_iter().map(seal).collect()
    }

    fn seal_under(root: &SealingRoot, names: &CidNames, cid: Cid, metadata: &[u8], aad: Vec<u8>) -> Result<Self> {
        let name = names.name(&cid);
        let cid = cid.to_bytes();
        let cid_bytes = u16::try_from(cid.len()).map_err(|_| Error::limit("the CID is longer than 65535 bytes"))?;
        let plaintext = [&cid_bytes.to_le_bytes(), cid.as_slice(), metadata].concat();
        let encrypted = EncryptedData::seal_under(root, Domain::HIDDEN_WRAPPER, &[&name, &aad], &plaintext)?;
        Ok(Self { name, encrypted, aad })
    }

    /// Decrypts the CID and the metadata. Hostile storage may return a different wrapper from the
    /// one requested, so compare the CID with the expected CID.
    ///
    /// # Errors
    ///
    /// As for [`EncryptedCidWrapper::open`].
    pub fn open(&self, key: &impl ContentKey) -> Result<(Cid, Vec<u8>)> {
        let plaintext = self.encrypted.open(key, Domain::HIDDEN_WRAPPER, &[&self.name, &self.aad])?;
        let split = || {
            let (cid_bytes, rest) = plaintext.split_first_chunk::<2>()?;
            let (bytes, metadata) = rest.split_at_checked(u16::from_le_bytes(*cid_bytes).into())?;
            // The parser ignores trailing bytes and accepts overlong varints; only the canonical
            // encoding is accepted here.
            let cid = Cid::try_from(bytes).ok().filter(|cid| cid.to_bytes() == bytes)?;
            Some((cid, metadata.to_vec()))
        };
        split().ok_or_else(|| Error::damaged("the content of the hidden wrapper"))
    }

    /// Encodes the wrapper as a DAG-CBOR block.
    #[must_use]
    pub fn to_dag_cbor(&self) -> Vec<u8> {
        dag_cbor::encode(self)
    }

    /// Decodes a DAG-CBOR block.
    ///
    /// # Errors
    ///
    /// * [`Damaged`](crate::ErrorKind::Damaged) if the bytes are not exactly the encoding of one
    ///   wrapper.
    /// * [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) if they were written in a
    ///   newer format.
    pub fn from_dag_cbor(block: &[u8]) -> Result<Self> {
        dag_cbor::decode(block)
    }

    /// Returns the CID of the wrapper itself: version 1, dag-cbor, sha2-256 of
    /// [`to_dag_cbor`](Self::to_dag_cbor).
    #[must_use]
    pub fn wrapper_cid(&self) -> Cid {
        dag_cbor_cid(&self.to_dag_cbor())
    }
}

impl DagCbor for HiddenCidWrapper {
    const NAME: &'static str = "the hidden wrapper";
    const VERSION: u8 = DATA_VERSION;
    type Version = HiddenWrapperVersion;
}

/// The part of a hidden wrapper that contains its version.
#[derive(Deserialize)]
pub(crate) struct HiddenWrapperVersion {
    encrypted: ValueVersion,
}

impl From<HiddenWrapperVersion> for u8 {
    fn from(version: HiddenWrapperVersion) -> Self {
        version.encrypted.into()
    }
}

/// Names for CIDs: HMAC-SHA-256(secret, "cim/v1/cid-name" \| bytes of the CID). Without the secret,
/// a name reveals nothing.
///
/// The names must not change when data keys are rotated: store the secret in a sealed object, or
/// derive it from a key that is not rotated.
///
/// ```
/// use cim_ipld_envelope::CidNames;
///
/// let names = CidNames::generate();
/// let again = CidNames::from_secret(*names.secret());
/// let cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().unwrap();
/// assert_eq!(again.name(&cid), names.name(&cid));
/// assert_ne!(CidNames::generate().name(&cid), names.name(&cid));
/// ```
#[derive(Debug)]
pub struct CidNames(Secret);

impl CidNames {
    /// Generates a new secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::random())
    }

    /// Creates an instance that computes the same names as the instance with this `secret`.
    #[must_use]
    pub fn from_secret(mut secret: [u8; 32]) -> Self {
        Self(Secret::take(&mut secret))
    }

    /// Derives the secret from a key.
    #[must_use]
    pub fn from_key(key: &EncryptionKey) -> Self {
        Self(hkdf::derive_secret(b"cim/v1/cid-names", key.secret().as_bytes(), &[&[key.algorithm().suite()]]))
    }

    /// Returns the secret, for storing it in a sealed object.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Returns the name of a CID.
    #[must_use]
    pub fn name(&self, cid: &Cid) -> [u8; 32] {
        hmac_sha256(self.0.as_bytes(), &[b"cim/v1/cid-name", &cid.to_bytes()])
    }
}

const DAG_CBOR: u64 = 0x71;
const SHA2_256: u64 = 0x12;

fn dag_cbor_cid(block: &[u8]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, &sha256(&[block])).expect("a multihash takes up to 64 bytes");
    Cid::new_v1(DAG_CBOR, hash)
}
