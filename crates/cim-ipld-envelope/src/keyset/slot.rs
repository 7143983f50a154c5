use zeroize::Zeroizing;

use crate::codec::Reader;
use crate::passphrase::PASSPHRASE_SALT_BYTES;
use crate::primitives::argon2id::Cost;
use crate::primitives::hash::{Hash, sha256};
use crate::primitives::hkdf;
use crate::provider::ProviderError;
use crate::sealing::{BLOB_OVERHEAD_BYTES, Mismatch, Place};
use crate::secret::{SECRET_BYTES, Secret};
use crate::{
    Argon2Profile, EncryptionAlgorithm, Error, ErrorKind, IndexId, KeyProvider, KeySource, Result, SlotId, random,
};

/// How a key slot is opened.
///
/// ```
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, IndexId, KeySlotKind, Keyset};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let source = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM).into();
/// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
/// assert_eq!(keyset.slots()[0].kind, KeySlotKind::Key);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySlotKind {
    /// With a key.
    Key,
    /// With a passphrase, at this cost.
    Passphrase(Argon2Profile),
    /// With the provider of this name.
    Provider(String),
}

/// The public information about a key slot.
///
/// ```
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, IndexId, Keyset};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let source = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM).into();
/// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
/// let slot = &keyset.slots()[0];
/// assert_eq!((slot.id, slot.algorithm), (keyset.unlocked_by(), EncryptionAlgorithm::AES256GCM));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySlotInfo {
    /// The id of the slot.
    pub id: SlotId,
    /// The algorithm with which the keyset key is sealed in this slot.
    pub algorithm: EncryptionAlgorithm,
    /// How it is opened.
    pub kind: KeySlotKind,
}

/// A slot: the keyset key, sealed for one key source.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) algorithm: EncryptionAlgorithm,
    method: Method,
    /// The keyset key, sealed under the key-encryption key of the slot.
    sealed: [u8; SEALED_KEY_BYTES],
}

#[derive(Clone)]
enum Method {
    Key,
    Passphrase { profile: Argon2Profile, salt: [u8; PASSPHRASE_SALT_BYTES] },
    Provider { name: String, wrapped: Vec<u8> },
}

const SEALED_KEY_BYTES: usize = SECRET_BYTES + BLOB_OVERHEAD_BYTES;
const MAX_PROVIDER_NAME_BYTES: usize = 64;
const MAX_WRAPPED_BYTES: usize = 4096;

const KIND_KEY: u8 = 1;
const KIND_PASSPHRASE: u8 = 2;
const KIND_PROVIDER: u8 = 3;

impl Slot {
    /// Seals the keyset key for `source`. `algorithm` is used for sources without an algorithm of
    /// their own.
    pub(crate) async fn seal(
        index: &IndexId,
        algorithm: EncryptionAlgorithm,
        source: &KeySource,
        keyset_key: &Secret,
    ) -> Result<Self> {
        let id = SlotId::random();
        let (algorithm, method, key) = match source {
            KeySource::Key(key) => (key.algorithm(), Method::Key, key.secret().duplicate()),
            KeySource::Passphrase(passphrase, profile) => {
                let salt = random();
                let key = passphrase.derive(profile, &salt)?;
                (algorithm, Method::Passphrase { profile: *profile, salt }, key)
            }
            KeySource::Provider(provider) => {
                let key = Secret::random();
                let method = wrap_by_provider(provider.as_ref(), &key, index, id).await?;
                (algorithm, method, key)
            }
        };
        let mut slot = Self { id, algorithm, method, sealed: [0; SEALED_KEY_BYTES] };
        let mut sealed = Vec::with_capacity(SEALED_KEY_BYTES);
        let root = slot_root(&key);
        slot.place(&root, &slot.context(index)).seal_blob(keyset_key.as_bytes(), &mut sealed);
        slot.sealed.copy_from_slice(&sealed);
        Ok(slot)
    }

    /// Returns the keyset key, or `None` if `source` does not open this slot.
    pub(crate) async fn open(&self, index: &IndexId, source: &KeySource) -> Result<Option<Secret>> {
        let key = match (source, &self.method) {
            (KeySource::Key(key), Method::Key) if key.algorithm() == self.algorithm => key.secret().duplicate(),
            (KeySource::Passphrase(passphrase, own), Method::Passphrase { profile, salt }) => {
                own.accept(profile)?;
                passphrase.derive(profile, salt)?
            }
            (KeySource::Provider(provider), Method::Provider { name, wrapped }) if provider.name() == name => {
                match unwrap_by_provider(provider.as_ref(), wrapped, index, self.id).await? {
                    Some(key) => key,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let root = slot_root(&key);
        match self.place(&root, &self.context(index)).open_blob(&self.sealed) {
            Ok(opened) => {
                let mut bytes: Zeroizing<[u8; SECRET_BYTES]> = Zeroizing::new([0; SECRET_BYTES]);
                bytes.copy_from_slice(&opened);
                Ok(Some(Secret::take(&mut bytes)))
            }
            Err(Mismatch::Commitment) => Ok(None),
            Err(Mismatch::Tag) => Err(Error::damaged("a key slot")),
        }
    }

    /// Returns a passphrase slot of this cost, without deriving a key; it cannot be opened.
    #[cfg(test)]
    pub(crate) fn of_profile(profile: Argon2Profile) -> Self {
        let method = Method::Passphrase { profile, salt: random() };
        let sealed = [0; SEALED_KEY_BYTES];
        Self { id: SlotId::random(), algorithm: EncryptionAlgorithm::AES256GCM, method, sealed }
    }

    /// Returns the cost of a passphrase slot.
    pub(crate) fn argon2_profile(&self) -> Option<&Argon2Profile> {
        match &self.method {
            Method::Passphrase { profile, .. } => Some(profile),
            _ => None,
        }
    }

    pub(crate) fn info(&self) -> KeySlotInfo {
        let kind = match &self.method {
            Method::Key => KeySlotKind::Key,
            Method::Passphrase { profile, .. } => KeySlotKind::Passphrase(*profile),
            Method::Provider { name, .. } => KeySlotKind::Provider(name.clone()),
        };
        KeySlotInfo { id: self.id, algorithm: self.algorithm, kind }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encode_method());
        out.extend_from_slice(&self.sealed);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let id = SlotId::from_bytes(reader.array()?);
        let kind = reader.u8()?;
        let algorithm = EncryptionAlgorithm::from_suite(reader.u8()?)?;
        let parameter_bytes = reader.u16()?;
        let mut parameters = Reader::new(reader.take(parameter_bytes.into())?);
        let method = Method::decode(kind, &mut parameters)?;
        parameters.finished()?;
        Some(Self { id, algorithm, method, sealed: reader.array()? })
    }

    /// Encodes everything except the sealed key.
    fn encode_method(&self) -> Vec<u8> {
        let (kind, parameters) = self.method.encode();
        let mut out = Vec::with_capacity(12 + parameters.len());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&[kind, self.algorithm.suite()]);
        let parameter_bytes = u16::try_from(parameters.len()).expect("names and wrapped keys are bounded when made");
        out.extend_from_slice(&parameter_bytes.to_le_bytes());
        out.extend_from_slice(&parameters);
        out
    }

    fn context(&self, index: &IndexId) -> Hash {
        sha256(&[b"cim/v1/slot", index.as_bytes(), &self.encode_method()])
    }

    fn place<'a>(&self, root: &'a Secret, context: &'a Hash) -> Place<'a> {
        Place { root, algorithm: self.algorithm, context }
    }
}

impl Method {
    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Key => (KIND_KEY, Vec::new()),
            Self::Passphrase { profile, salt } => {
                let mut out = Vec::with_capacity(12 + PASSPHRASE_SALT_BYTES);
                for parameter in [profile.memory_kib(), profile.passes(), profile.lanes()] {
                    out.extend_from_slice(&parameter.to_le_bytes());
                }
                out.extend_from_slice(salt);
                (KIND_PASSPHRASE, out)
            }
            Self::Provider { name, wrapped } => {
                let mut out = vec![u8::try_from(name.len()).expect("the name is bounded when made")];
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(wrapped);
                (KIND_PROVIDER, out)
            }
        }
    }

    fn decode(kind: u8, parameters: &mut Reader<'_>) -> Option<Self> {
        match kind {
            KIND_KEY => Some(Self::Key),
            KIND_PASSPHRASE => {
                let Cost { memory_kib, passes, lanes } =
                    Cost { memory_kib: parameters.u32()?, passes: parameters.u32()?, lanes: parameters.u32()? };
                let profile = Argon2Profile::new(memory_kib, passes, lanes).ok()?;
                Some(Self::Passphrase { profile, salt: parameters.array()? })
            }
            KIND_PROVIDER => {
                let name_bytes = usize::from(parameters.u8()?);
                let name = std::str::from_utf8(parameters.take(name_bytes)?).ok()?.to_owned();
                let wrapped = parameters.take(parameters.remaining())?.to_vec();
                let bounded = (1..=MAX_PROVIDER_NAME_BYTES).contains(&name.len()) && wrapped.len() <= MAX_WRAPPED_BYTES;
                bounded.then_some(Self::Provider { name, wrapped })
            }
            _ => None,
        }
    }
}

/// Derives the root of a slot. The key-encryption key is used for nothing else.
fn slot_root(key: &Secret) -> Secret {
    hkdf::derive_secret(b"cim/v1/slot", key.as_bytes(), &[])
}

async fn wrap_by_provider(provider: &dyn KeyProvider, key: &Secret, index: &IndexId, id: SlotId) -> Result<Method> {
    let name = provider.name().to_owned();
    if !(1..=MAX_PROVIDER_NAME_BYTES).contains(&name.len()) {
        return Err(Error::invalid_request("the name of a key provider must have 1 to 64 bytes"));
    }
    let wrapped = provider.wrap(key.as_bytes(), &provider_context(index, id)).await.map_err(|error| match error {
        ProviderError::Unavailable(_) => unavailable(error),
        ProviderError::Refused(_) => Error::wrong_key().with_source(error),
    })?;
    if wrapped.len() > MAX_WRAPPED_BYTES {
        return Err(Error::limit("the key provider returned a wrapped key of more than 4096 bytes"));
    }
    Ok(Method::Provider { name, wrapped })
}

async fn unwrap_by_provider(
    provider: &dyn KeyProvider,
    wrapped: &[u8],
    index: &IndexId,
    id: SlotId,
) -> Result<Option<Secret>> {
    match provider.unwrap(wrapped, &provider_context(index, id)).await {
        Ok(mut key) => Ok(Some(Secret::take(&mut key))),
        Err(ProviderError::Refused(_)) => Ok(None),
        Err(error @ ProviderError::Unavailable(_)) => Err(unavailable(error)),
    }
}

/// Returns the associated data of a slot's wrapped key.
fn provider_context(index: &IndexId, id: SlotId) -> Vec<u8> {
    [b"cim/v1/provider".as_slice(), index.as_bytes(), id.as_bytes()].concat()
}

fn unavailable(error: ProviderError) -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "the key provider did not respond").with_source(error)
}
