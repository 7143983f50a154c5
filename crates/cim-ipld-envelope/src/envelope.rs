#[cfg(test)]
mod forgeries;

use bytes::{Buf, Bytes, BytesMut};
use subtle::ConstantTimeEq;

use crate::keyset::{Root, decode_root, encode_plaintext_root};
use crate::object::{Body, Decoded, Fields, HEADER_PREFIX_BYTES, ParsedObject, check_stored, decode_body, plan_body};
use crate::primitives::aead::TAG_BYTES;
use crate::primitives::hash::{Hash, sha256};
use crate::seal_buffer::Growing;
use crate::sealing::{Commitment, Mismatch, Place, SALT_BYTES};
use crate::{
    DataKeyId, Error, ErrorKind, HEADER_BYTES, IndexId, KeySource, Keyset, MAX_OBJECT_BYTES, ObjectContext,
    ObjectHeader, Padding, Result, SealBuffer, SealOptions, random,
};

/// Seals and opens the objects of one store, encrypted or plaintext.
///
/// A plaintext store uses the same objects with a digest instead of encryption, so that damage,
/// swapped objects and newer formats are detected as well. The digest protects against accidents,
/// not against manipulation. Neither kind of store accepts objects of the other.
///
/// Clones are cheap. All methods take `&self` and may be called from many threads.
///
/// ```
/// use cim_ipld_envelope::{
///     EncryptionAlgorithm, EncryptionKey, Envelope, ErrorKind, IndexId, KeySource, Keyset, ObjectContext, ObjectKind,
///     SealOptions,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let source = KeySource::from(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM));
/// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
/// let envelope = Envelope::encrypted(keyset);
///
/// let here = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "a1", 0);
/// let object = envelope.seal(&here, b"page", &SealOptions::default())?;
/// assert_eq!(envelope.open(&here, &object)?, "page");
///
/// let there = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "b2", 0);
/// assert_eq!(envelope.open(&there, &object).unwrap_err().kind(), ErrorKind::Damaged);
///
/// let again = Envelope::open_root(&envelope.root_record(), Some(&source)).await?;
/// assert_eq!(again.open(&here, &object)?, "page");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Envelope {
    mode: Mode,
    content_limit: usize,
}

#[derive(Clone, Debug)]
enum Mode {
    Plaintext(IndexId),
    Encrypted(Keyset),
}

impl Envelope {
    /// Returns the envelope of a plaintext store.
    #[must_use]
    pub fn plaintext(index: IndexId) -> Self {
        Self { mode: Mode::Plaintext(index), content_limit: MAX_OBJECT_BYTES }
    }

    /// Returns the envelope of an encrypted store.
    #[must_use]
    pub fn encrypted(keyset: Keyset) -> Self {
        Self { mode: Mode::Encrypted(keyset), content_limit: MAX_OBJECT_BYTES }
    }

    /// Opens the root record of a store, with the key if the store is encrypted.
    ///
    /// # Errors
    ///
    /// * [`NotEncrypted`](ErrorKind::NotEncrypted) if a key is given, but the store is plaintext.
    /// * [`MissingKey`](ErrorKind::MissingKey) if the store is encrypted, but no key is given.
    /// * Otherwise as for [`Keyset::open`].
    pub async fn open_root(record: &[u8], source: Option<&KeySource>) -> Result<Self> {
        match (decode_root(record)?, source) {
            (Root::Plaintext(index), None) => Ok(Self::plaintext(index)),
            (Root::Plaintext(_), Some(_)) => {
                Err(Error::new(ErrorKind::NotEncrypted, "a key was given, but the store is not encrypted"))
            }
            (Root::Encrypted(_), None) => {
                Err(Error::new(ErrorKind::MissingKey, "the store is encrypted and no key was given"))
            }
            (Root::Encrypted(sealed), Some(source)) => {
                let record = Bytes::copy_from_slice(record);
                Keyset::open_sealed(sealed, record, source).await.map(Self::encrypted)
            }
        }
    }

    /// Returns the root record. It declares that the store is plaintext, or contains the keyset of
    /// an encrypted store.
    #[must_use]
    pub fn root_record(&self) -> Bytes {
        match &self.mode {
            Mode::Plaintext(index) => encode_plaintext_root(index).into(),
            Mode::Encrypted(keyset) => keyset.record().clone(),
        }
    }

    /// Returns this envelope with a smaller limit on the content of objects that it opens.
    ///
    /// An uncompressed and unpadded object over the limit is refused before it is copied, and
    /// compressed content that declares a length over the limit is refused before it is
    /// decompressed. A body with the compressed or padded flag is copied at its own size, at most
    /// twice [`MAX_OBJECT_BYTES`], before its content size is known.
    #[must_use]
    pub fn with_content_limit(mut self, bytes: usize) -> Self {
        self.content_limit = bytes.min(MAX_OBJECT_BYTES);
        self
    }

    /// Returns the id of the store.
    #[must_use]
    pub fn index_id(&self) -> IndexId {
        match &self.mode {
            Mode::Plaintext(index) => *index,
            Mode::Encrypted(keyset) => keyset.index_id(),
        }
    }

    /// Returns the keyset of an encrypted store, or `None` for a plaintext store.
    #[must_use]
    pub fn keyset(&self) -> Option<&Keyset> {
        match &self.mode {
            Mode::Plaintext(_) => None,
            Mode::Encrypted(keyset) => Some(keyset),
        }
    }

    /// Seals `content` for the location `context`.
    ///
    /// Sealing the same content twice gives different bytes, because every sealing uses a fresh
    /// salt.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if content, padding or names are too large, or the compression
    /// level is not supported.
    pub fn seal(&self, context: &ObjectContext<'_>, content: &[u8], options: &SealOptions) -> Result<Bytes> {
        let (body, padded_bytes) = plan_body(content, options)?;
        let mut object = Vec::with_capacity(HEADER_BYTES + padded_bytes + TAG_BYTES);
        object.resize(HEADER_BYTES, 0);
        body.write(&mut object, padded_bytes);
        let fields = self.fields(context, matches!(body, Body::Compressed(_)), options.padding != Padding::None);
        self.finish(context, fields, &mut object)?;
        Ok(object.into())
    }

    /// Seals the content of `buffer` in place, without a copy.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if content or names are too large.
    pub fn seal_in_place(&self, context: &ObjectContext<'_>, buffer: SealBuffer) -> Result<Bytes> {
        let mut object = buffer.into_object();
        let content_bytes = object.len() - HEADER_BYTES;
        if content_bytes > MAX_OBJECT_BYTES {
            return Err(Error::limit(format!(
                "the content of {content_bytes} bytes exceeds the limit of {MAX_OBJECT_BYTES} for an object"
            )));
        }
        self.finish(context, self.fields(context, false, false), &mut object)?;
        Ok(object.freeze())
    }

    /// Seals a body that is already compressed and padded, or declared to be.
    #[cfg(test)]
    pub(crate) fn seal_body(
        &self,
        context: &ObjectContext<'_>,
        body: &[u8],
        compressed: bool,
        padded: bool,
    ) -> Result<Bytes> {
        let mut object = vec![0; HEADER_BYTES];
        object.extend_from_slice(body);
        self.finish(context, self.fields(context, compressed, padded), &mut object)?;
        Ok(object.into())
    }

    /// Opens an object from the location `context`.
    ///
    /// # Errors
    ///
    /// * [`Damaged`](ErrorKind::Damaged) if the object was changed or sealed for another location,
    ///   or is a plaintext object in an encrypted store.
    /// * [`UnknownDataKey`](ErrorKind::UnknownDataKey) and
    ///   [`DestroyedDataKey`](ErrorKind::DestroyedDataKey) if the data key of the object is not
    ///   available.
    /// * [`Encrypted`](ErrorKind::Encrypted) if it is an encrypted object in a plaintext store.
    /// * [`UnsupportedVersion`](ErrorKind::UnsupportedVersion), [`Limit`](ErrorKind::Limit).
    pub fn open(&self, context: &ObjectContext<'_>, object: &[u8]) -> Result<Bytes> {
        let parsed = ParsedObject::read(object)?;
        check_stored(&parsed.fields, parsed.body_bytes, self.content_limit)?;
        let mut body = object[HEADER_BYTES..HEADER_BYTES + parsed.body_bytes].to_vec();
        self.open_body(context, &parsed, &mut body)?;
        match decode_body(&parsed.fields, &body, self.content_limit)? {
            Decoded::Stored(bytes) => body.truncate(bytes),
            Decoded::Decompressed(content) => body = content,
        }
        Ok(body.into())
    }

    /// Opens an object in place, without a copy unless it is compressed.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_in_place(&self, context: &ObjectContext<'_>, mut object: BytesMut) -> Result<Bytes> {
        let parsed = ParsedObject::read(&object)?;
        object.advance(HEADER_BYTES);
        object.truncate(parsed.body_bytes);
        self.open_body(context, &parsed, &mut object)?;
        match decode_body(&parsed.fields, &object, self.content_limit)? {
            Decoded::Stored(bytes) => object.truncate(bytes),
            Decoded::Decompressed(content) => return Ok(content.into()),
        }
        Ok(object.freeze())
    }

    /// Opens an object in place if no other handle shares its memory, for example bytes just read
    /// from storage; otherwise copies it first.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_bytes(&self, context: &ObjectContext<'_>, object: Bytes) -> Result<Bytes> {
        match object.try_into_mut() {
            Ok(object) => self.open_in_place(context, object),
            Err(object) => self.open(context, &object),
        }
    }

    /// Opens an object of `source` and seals it with this envelope for the location `to`, under the
    /// active data key. This also converts plaintext objects to encrypted ones, or the reverse.
    /// Compressed content is not decompressed.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open) of `source`.
    pub fn reseal(
        &self,
        to: &ObjectContext<'_>,
        source: &Self,
        from: &ObjectContext<'_>,
        object: &[u8],
    ) -> Result<Bytes> {
        let parsed = ParsedObject::read(object)?;
        let mut resealed = Vec::with_capacity(HEADER_BYTES + parsed.body_bytes + TAG_BYTES);
        resealed.extend_from_slice(&object[..HEADER_BYTES + parsed.body_bytes]);
        source.open_body(from, &parsed, &mut resealed[HEADER_BYTES..])?;
        let fields = self.fields(to, parsed.fields.compressed, parsed.fields.padded);
        self.finish(to, fields, &mut resealed)?;
        Ok(resealed.into())
    }

    /// Returns whether the header names a data key other than the active one, so that a rotation
    /// must [`reseal`](Self::reseal) the object.
    ///
    /// This reads only the header, which is not authenticated: an attacker who controls the storage
    /// can make an old object look new. Before destroying an old data key, [`open`](Self::open) the
    /// objects that seem fresh, or reseal all objects.
    ///
    /// # Errors
    ///
    /// As for [`ObjectHeader::parse`].
    pub fn is_stale(&self, object: &[u8]) -> Result<bool> {
        Ok(ObjectHeader::parse(object)?.key_id() != self.keyset().map(Keyset::active_key))
    }

    /// Returns the id of the data key in the header, or `None` for an object of a plaintext store.
    /// As with [`is_stale`](Self::is_stale), the header is not authenticated.
    ///
    /// # Errors
    ///
    /// As for [`ObjectHeader::parse`].
    pub fn key_of(object: &[u8]) -> Result<Option<DataKeyId>> {
        Ok(ObjectHeader::parse(object)?.key_id())
    }

    /// Returns the epoch of a sealed object: the keyset generation that introduced its data key. It
    /// is 0 in a plaintext store.
    ///
    /// Call this only after [`open`](Self::open) has succeeded for the same bytes, because this
    /// method does not authenticate the header.
    ///
    /// # Errors
    ///
    /// [`UnknownDataKey`](ErrorKind::UnknownDataKey) if the keyset does not contain the key;
    /// otherwise as for [`ObjectHeader::parse`].
    pub fn epoch_of(&self, object: &[u8]) -> Result<u64> {
        let (Some(keyset), Some(id)) = (self.keyset(), Self::key_of(object)?) else { return Ok(0) };
        let unknown =
            || Error::new(ErrorKind::UnknownDataKey, format!("the keyset does not contain the data key {id}"));
        keyset.introduced(id).ok_or_else(unknown)
    }

    /// Returns the epoch in which this envelope seals: the keyset generation that introduced its
    /// active data key, 0 in a plaintext store.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.keyset().map_or(0, |keyset| keyset.introduced(keyset.active_key()).unwrap_or(0))
    }

    /// Returns the header fields of an object that this envelope seals now.
    fn fields(&self, context: &ObjectContext<'_>, compressed: bool, padded: bool) -> Fields {
        let (algorithm, key_id) = match &self.mode {
            Mode::Plaintext(_) => (None, DataKeyId::from_bytes([0; 8])),
            Mode::Encrypted(keyset) => (Some(keyset.algorithm()), keyset.active_key()),
        };
        Fields { algorithm, compressed, padded, kind: context.kind, key_id }
    }

    /// Seals the body that follows the space for the header in `object`, writes the header and
    /// appends the tag.
    fn finish(&self, context: &ObjectContext<'_>, fields: Fields, object: &mut impl Growing) -> Result<()> {
        let hash = context.hash(&self.index_id(), &fields)?;
        let (header, body) = object.bytes().split_at_mut(HEADER_BYTES);
        match &self.mode {
            Mode::Plaintext(_) => {
                header[..HEADER_PREFIX_BYTES].copy_from_slice(&fields.encode(&[0; SALT_BYTES]));
                header[HEADER_PREFIX_BYTES..].copy_from_slice(&plaintext_digest(&hash, body));
            }
            Mode::Encrypted(keyset) => {
                let (_, key) = keyset.sealing_key();
                let root = key.object_root(&keyset.index_id(), context.kind, context.bucket);
                let salt = random();
                let place = Place { root: &root, algorithm: keyset.algorithm(), context: &hash };
                let (commitment, tag) = place.seal_in_place(&salt, body);
                key.count_seal(body.len());
                header[..HEADER_PREFIX_BYTES].copy_from_slice(&fields.encode(&salt));
                header[HEADER_PREFIX_BYTES..].copy_from_slice(&commitment);
                object.append(&tag);
            }
        }
        Ok(())
    }

    /// Authenticates an object and decrypts `body`, its ciphertext, in place. Zeroizes `body` if
    /// the tag does not match; after any other failure it is unchanged.
    fn open_body(&self, context: &ObjectContext<'_>, parsed: &ParsedObject, body: &mut [u8]) -> Result<()> {
        if parsed.fields.kind != context.kind {
            return Err(damaged_at(context));
        }
        let hash = context.hash(&self.index_id(), &parsed.fields)?;
        match (&self.mode, parsed.fields.algorithm) {
            (Mode::Plaintext(_), None) => {
                let digest = plaintext_digest(&hash, body);
                if bool::from(digest.ct_eq(&parsed.commitment)) { Ok(()) } else { Err(damaged_at(context)) }
            }
            (Mode::Encrypted(keyset), Some(algorithm)) => {
                let key = keyset.opening_key(parsed.fields.key_id, algorithm)?;
                let root = key.object_root(&keyset.index_id(), context.kind, context.bucket);
                let place = Place { root: &root, algorithm, context: &hash };
                place
                    .open_in_place(&parsed.salt, &parsed.commitment, body, &parsed.tag)
                    .map_err(|(Mismatch::Commitment | Mismatch::Tag)| damaged_at(context))
            }
            (Mode::Plaintext(_), Some(_)) => {
                Err(Error::new(ErrorKind::Encrypted, "an encrypted object was found in a store that is not encrypted"))
            }
            (Mode::Encrypted(_), None) => {
                // Not `NotEncrypted`, because the keyset proves that this store is encrypted.
                Err(Error::new(
                    ErrorKind::Damaged,
                    "a plaintext object was found in an encrypted store: the store was replaced or mixed up, and nothing \
                     should be written to it",
                ))
            }
        }
    }
}

fn plaintext_digest(context: &Hash, body: &[u8]) -> Commitment {
    sha256(&[b"cim/v1/plaintext", context, body])
}

fn damaged_at(context: &ObjectContext<'_>) -> Error {
    Error::damaged(format_args!("the object {} in {}", context.name, context.bucket))
}
