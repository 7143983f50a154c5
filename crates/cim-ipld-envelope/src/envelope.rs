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
/// A plaintext store uses the same objects with a digest in place of the encryption, so that
/// damage, swapped objects and newer formats are found there as well; it protects against
/// accidents, not against people. Neither kind of store accepts the other's objects.
///
/// Clones are cheap; all methods take `&self` and may run on many threads at once.
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
    /// Makes the envelope of a plaintext store.
    #[must_use]
    pub fn plaintext(index: IndexId) -> Self {
        Self { mode: Mode::Plaintext(index), content_limit: MAX_OBJECT_BYTES }
    }

    /// Makes the envelope of an encrypted store.
    #[must_use]
    pub fn encrypted(keyset: Keyset) -> Self {
        Self { mode: Mode::Encrypted(keyset), content_limit: MAX_OBJECT_BYTES }
    }

    /// Opens a store's root record, with the key if one is at hand.
    ///
    /// # Errors
    ///
    /// [`NotEncrypted`](ErrorKind::NotEncrypted) when a key is given and the store is plaintext,
    /// [`MissingKey`](ErrorKind::MissingKey) when it is encrypted and none is given, else as
    /// [`Keyset::open`].
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

    /// Returns the record that names the store plaintext, or encrypted with its keyset.
    #[must_use]
    pub fn root_record(&self) -> Bytes {
        match &self.mode {
            Mode::Plaintext(index) => encode_plaintext_root(index).into(),
            Mode::Encrypted(keyset) => keyset.record().clone(),
        }
    }

    /// Returns this envelope with a smaller bound on the content of the objects it opens.
    ///
    /// An object that is neither compressed nor padded is refused before it is copied when it is
    /// over the bound, and nothing is decompressed beyond it. A body that says it is compressed or
    /// padded is copied, at its own size and at most at twice [`MAX_OBJECT_BYTES`], before what is
    /// inside can be known.
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

    /// Returns the keyset of an encrypted store.
    #[must_use]
    pub fn keyset(&self) -> Option<&Keyset> {
        match &self.mode {
            Mode::Plaintext(_) => None,
            Mode::Encrypted(keyset) => Some(keyset),
        }
    }

    /// Seals `content` for the place that `context` names.
    ///
    /// Sealing the same content again gives different bytes: every sealing draws a fresh salt.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) when content, padding or names are too large, or Zstandard lacks
    /// the compression level.
    pub fn seal(&self, context: &ObjectContext<'_>, content: &[u8], options: &SealOptions) -> Result<Bytes> {
        let (body, padded_bytes) = plan_body(content, options)?;
        let mut object = Vec::with_capacity(HEADER_BYTES + padded_bytes + TAG_BYTES);
        object.resize(HEADER_BYTES, 0);
        body.write(&mut object, padded_bytes);
        let fields = self.fields(context, matches!(body, Body::Compressed(_)), options.padding != Padding::None);
        self.finish(context, fields, &mut object)?;
        Ok(object.into())
    }

    /// Seals the content of `buffer` where it stands, without a copy.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) when content or names are too large.
    pub fn seal_in_place(&self, context: &ObjectContext<'_>, buffer: SealBuffer) -> Result<Bytes> {
        let mut object = buffer.into_object();
        let content_bytes = object.len() - HEADER_BYTES;
        if content_bytes > MAX_OBJECT_BYTES {
            return Err(Error::limit(format!("an object's content of {content_bytes} bytes is over the limit")));
        }
        self.finish(context, self.fields(context, false, false), &mut object)?;
        Ok(object.freeze())
    }

    /// Seals a body that is compressed and padded already, or claims to be.
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

    /// Opens an object that stands at the place which `context` names.
    ///
    /// # Errors
    ///
    /// [`Damaged`](ErrorKind::Damaged) when the object was changed, or sealed for another place,
    /// [`UnknownDataKey`](ErrorKind::UnknownDataKey) and
    /// [`DestroyedDataKey`](ErrorKind::DestroyedDataKey) when its key is not at hand,
    /// [`Encrypted`](ErrorKind::Encrypted) when it is encrypted and this store is not (a plaintext
    /// object in an encrypted store is `Damaged`),
    /// [`UnsupportedVersion`](ErrorKind::UnsupportedVersion), [`Limit`](ErrorKind::Limit).
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

    /// Opens an object where it stands, without a copy unless it was compressed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
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

    /// Opens an object in place when nothing else holds its memory, as with bytes fresh from
    /// storage; copies it otherwise.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_bytes(&self, context: &ObjectContext<'_>, object: Bytes) -> Result<Bytes> {
        match object.try_into_mut() {
            Ok(object) => self.open_in_place(context, object),
            Err(object) => self.open(context, &object),
        }
    }

    /// Opens an object of `source` and seals it with this envelope for the place `to`: under the
    /// active data key, as encrypted where it was plaintext, or the reverse. Compressed content is
    /// not decompressed for it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) of `source`.
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

    /// Tells whether the object is sealed otherwise than this envelope seals now, so that a
    /// rotation has to [`reseal`](Self::reseal) it.
    ///
    /// It reads the header, which nothing authenticates: whoever holds the storage can make an old
    /// object look new. Before an old data key is destroyed, [`open`](Self::open) the objects that
    /// seem fresh, or reseal all.
    ///
    /// # Errors
    ///
    /// As [`ObjectHeader::parse`].
    pub fn is_stale(&self, object: &[u8]) -> Result<bool> {
        Ok(ObjectHeader::parse(object)?.key_id() != self.keyset().map(Keyset::active_key))
    }

    /// Returns the id of the data key that the object says it needs, or `None` for an object of a
    /// plaintext store. Nothing authenticates it, as in [`is_stale`](Self::is_stale).
    ///
    /// # Errors
    ///
    /// As [`ObjectHeader::parse`].
    pub fn key_of(object: &[u8]) -> Result<Option<DataKeyId>> {
        Ok(ObjectHeader::parse(object)?.key_id())
    }

    /// Returns the keyset generation that introduced the data key of an *opened* object: its epoch,
    /// which [`open`](Self::open) has authenticated. 0 in a plaintext store.
    ///
    /// # Errors
    ///
    /// [`UnknownDataKey`](ErrorKind::UnknownDataKey) when the keyset does not hold the key, else as
    /// [`ObjectHeader::parse`].
    pub fn epoch_of(&self, object: &[u8]) -> Result<u64> {
        let (Some(keyset), Some(id)) = (self.keyset(), Self::key_of(object)?) else { return Ok(0) };
        let unknown = || Error::new(ErrorKind::UnknownDataKey, format!("the keyset holds no data key {id}"));
        keyset.introduced(id).ok_or_else(unknown)
    }

    /// Returns the epoch that this envelope seals in: the keyset generation of its active data key,
    /// 0 in a plaintext store.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.keyset().map_or(0, |keyset| keyset.introduced(keyset.active_key()).unwrap_or(0))
    }

    /// The header fields of an object that this envelope seals now.
    fn fields(&self, context: &ObjectContext<'_>, compressed: bool, padded: bool) -> Fields {
        let (algorithm, key_id) = match &self.mode {
            Mode::Plaintext(_) => (None, DataKeyId::from_bytes([0; 8])),
            Mode::Encrypted(keyset) => (Some(keyset.algorithm()), keyset.active_key()),
        };
        Fields { algorithm, compressed, padded, kind: context.kind, key_id }
    }

    /// Seals the body after the header's room in `object`, fills the header in and appends the tag.
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

    /// Authenticates an object and leaves its plaintext body in `body`; wipes it otherwise.
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
                Err(Error::new(ErrorKind::Encrypted, "an encrypted object stands in a store that is not encrypted"))
            }
            (Mode::Encrypted(_), None) => {
                // Not `NotEncrypted`: the keyset has proven that this store is encrypted.
                Err(Error::new(
                    ErrorKind::Damaged,
                    "a plaintext object stands in an encrypted store: the store was replaced or mixed up, and nothing \
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
