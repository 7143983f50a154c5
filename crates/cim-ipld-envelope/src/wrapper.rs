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

/// A CID in clear with metadata that only key holders read.
///
/// Content can be fetched by [`cid`](Self::cid) without a key; the metadata is bound to the CID and
/// to [`aad`](Self::aad), so a wrapper with any field changed does not open. Anyone who sees the
/// wrapper can confirm a guess of the content by hashing it; where that matters, use
/// [`HiddenCidWrapper`].
///
/// As DAG-CBOR the wrapper is an IPLD block with a [CID of its own](Self::wrapper_cid), in which
/// `cid` is a link.
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
    /// The unencrypted CID for content retrieval.
    pub cid: Cid,
    /// The encrypted metadata.
    pub encrypted_metadata: EncryptedData,
    /// Additional authenticated data, in clear.
    #[serde(with = "serde_bytes")]
    pub aad: Vec<u8>,
}

impl EncryptedCidWrapper {
    /// Encrypts `metadata`, bound to `cid` and `aad`.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) when the metadata is over
    /// [`MAX_OBJECT_BYTES`](crate::MAX_OBJECT_BYTES).
    pub fn seal(key: &impl ContentKey, cid: Cid, metadata: &[u8], aad: impl Into<Vec<u8>>) -> Result<Self> {
        Self::seal_under(&key.sealing_root(), cid, metadata, aad.into())
    }

    /// Seals many wrappers that share their `aad`, deriving what the key gives only once.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), for the first that fails.
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
    /// As [`ContentEncryption::decrypt`](crate::ContentEncryption::decrypt): any field changed, or
    /// another key.
    pub fn open(&self, key: &impl ContentKey) -> Result<Vec<u8>> {
        self.encrypted_metadata.open(key, Domain::WRAPPER, &[&self.cid.to_bytes(), &self.aad])
    }

    /// Encrypts a value as DAG-CBOR, as [`seal`](Self::seal) does bytes.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), and [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when the
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

    /// Decrypts a value that [`seal_value`](Self::seal_value) encrypted.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when the
    /// metadata is not such a value.
    pub fn open_value<T: DeserializeOwned>(&self, key: &impl ContentKey) -> Result<T> {
        // The decoder's error may quote the metadata, so it is not passed on.
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
    /// [`Damaged`](crate::ErrorKind::Damaged) when the bytes are not exactly the encoding of one
    /// wrapper, [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) when a newer format
    /// wrote it.
    pub fn from_dag_cbor(block: &[u8]) -> Result<Self> {
        dag_cbor::decode(block)
    }

    /// Returns the wrapper's own CID: version 1, dag-cbor, sha2-256 of
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

/// Where a wrapper names its version.
#[derive(Deserialize)]
pub(crate) struct WrapperVersion {
    encrypted_metadata: ValueVersion,
}

impl From<WrapperVersion> for u8 {
    fn from(version: WrapperVersion) -> Self {
        version.encrypted_metadata.into()
    }
}

/// A wrapper whose CID only key holders read: it stands under a [name](CidNames::name) made by a
/// keyed MAC.
///
/// Who sees the wrapper cannot confirm a guess of the content; who holds the [`CidNames`] finds it
/// by CID.
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
    /// The name that key holders compute from the CID.
    #[serde(with = "serde_bytes")]
    pub name: [u8; 32],
    /// The encrypted CID and metadata.
    pub encrypted: EncryptedData,
    /// Additional authenticated data, in clear.
    #[serde(with = "serde_bytes")]
    pub aad: Vec<u8>,
}

impl HiddenCidWrapper {
    /// Encrypts `cid` and `metadata`, bound to the CID's name and `aad`.
    ///
    /// # Errors
    ///
    /// As [`EncryptedCidWrapper::seal`].
    pub fn seal(
        key: &impl ContentKey,
        names: &CidNames,
        cid: Cid,
        metadata: &[u8],
        aad: impl Into<Vec<u8>>,
    ) -> Result<Self> {
        Self::seal_under(&key.sealing_root(), names, cid, metadata, aad.into())
    }

    /// Seals many wrappers that share their `aad`, deriving what the key gives only once.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), for the first that fails.
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
        let cid_bytes = u16::try_from(cid.len()).map_err(|_| Error::limit("the CID is over 65535 bytes"))?;
        let plaintext = [&cid_bytes.to_le_bytes(), cid.as_slice(), metadata].concat();
        let encrypted = EncryptedData::seal_under(root, Domain::HIDDEN_WRAPPER, &[&name, &aad], &plaintext)?;
        Ok(Self { name, encrypted, aad })
    }

    /// Decrypts the CID and the metadata. Storage may answer with another wrapper than the one
    /// asked for: compare the CID with the one that was sought.
    ///
    /// # Errors
    ///
    /// As [`EncryptedCidWrapper::open`].
    pub fn open(&self, key: &impl ContentKey) -> Result<(Cid, Vec<u8>)> {
        let plaintext = self.encrypted.open(key, Domain::HIDDEN_WRAPPER, &[&self.name, &self.aad])?;
        let split = || {
            let (cid_bytes, rest) = plaintext.split_first_chunk::<2>()?;
            let (bytes, metadata) = rest.split_at_checked(u16::from_le_bytes(*cid_bytes).into())?;
            // The parser stops at the CID's end and takes longer varints: one CID has one encoding
            // here.
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
    /// [`Damaged`](crate::ErrorKind::Damaged) when the bytes are not exactly the encoding of one
    /// wrapper, [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) when a newer format
    /// wrote it.
    pub fn from_dag_cbor(block: &[u8]) -> Result<Self> {
        dag_cbor::decode(block)
    }

    /// Returns the wrapper's own CID: version 1, dag-cbor, sha2-256 of
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

/// Where a hidden wrapper names its version.
#[derive(Deserialize)]
pub(crate) struct HiddenWrapperVersion {
    encrypted: ValueVersion,
}

impl From<HiddenWrapperVersion> for u8 {
    fn from(version: HiddenWrapperVersion) -> Self {
        version.encrypted.into()
    }
}

/// Names for CIDs that tell nothing without the secret: HMAC-SHA-256 of the CID's bytes.
///
/// The names outlive data keys: keep the secret inside a sealed object, or derive it from a key
/// that stays.
#[derive(Debug)]
pub struct CidNames(Secret);

impl CidNames {
    /// Draws a new secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::random())
    }

    /// Computes names from a secret that [`generate`](Self::generate) drew.
    #[must_use]
    pub fn from_secret(mut secret: [u8; 32]) -> Self {
        Self(Secret::take(&mut secret))
    }

    /// Derives the secret from a key.
    #[must_use]
    pub fn from_key(key: &EncryptionKey) -> Self {
        Self(hkdf::derive_secret(b"cim/v1/cid-names", key.secret().as_bytes(), &[&[key.algorithm().suite()]]))
    }

    /// Returns the secret, to be stored inside a sealed object.
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
