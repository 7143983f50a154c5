//! Fuzz targets: one function per decoder, shared by the tests here and by the fuzz targets in
//! `fuzz/`.
//!
//! Each function takes any bytes, returns whether they were accepted, and panics if an invariant is
//! violated. If a digest or a seal would reject random bytes, the function computes it from
//! docs/format.md, without the crate, so that the decoder behind it is reached.

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use cim_ipld_envelope::{
    Argon2Profile, ContentEncryption, EncryptedCidWrapper, EncryptedData, EncryptionAlgorithm, EncryptionKey, Envelope,
    ErrorKind, HiddenCidWrapper, IndexId, KeySource, Keyset, MAX_DATA_KEYS, ObjectContext, ObjectHeader, ObjectKind,
    Passphrase, SealOptions,
};
use ring::{aead, digest, hkdf};

const INDEX: IndexId = IndexId::from_bytes([7; 16]);
const PLACE: ObjectContext<'static> = ObjectContext::new("bucket", ObjectKind::PAGE, "name", 1);
const KEY: [u8; 32] = [1; 32];
const CONTENT_LIMIT: usize = 1 << 20;

static ENCRYPTED: LazyLock<Envelope> = LazyLock::new(|| {
    let keyset = now(Keyset::create(INDEX, EncryptionAlgorithm::AES256GCM, &key_source()));
    Envelope::encrypted(keyset.expect("a keyset")).with_content_limit(CONTENT_LIMIT)
});

/// A header that parses agrees with the bytes.
pub(crate) fn header(data: &[u8]) -> bool {
    match ObjectHeader::parse(data) {
        Ok(header) => {
            assert_eq!(data[..5], *b"CIMO\x01");
            assert_eq!(header.kind().0, data[7]);
            assert_eq!(header.algorithm().is_none(), data[5] == 0);
            assert_eq!(Envelope::key_of(data).expect("the header parsed"), header.key_id());
            assert!(header.key_id().is_none_or(|id| id.as_bytes()[..] == data[8..16]));
            true
        }
        Err(error) => {
            match error.kind() {
                ErrorKind::Damaged => {}
                ErrorKind::UnsupportedVersion { found, supported } => assert!(found == data[4] && found > supported),
                kind => panic!("{kind:?}"),
            }
            false
        }
    }
}

/// An object opens to content within the limit that can be sealed and opened again, or is an error;
/// bytes that no key sealed are always an error.
pub(crate) fn object(data: &[u8]) -> bool {
    let plaintext = Envelope::plaintext(INDEX).with_content_limit(CONTENT_LIMIT);
    assert!(ENCRYPTED.open(&PLACE, data).is_err());
    let _ = plaintext.open(&PLACE, data);
    let Some((flags, body)) = data.split_first() else { return false };
    let object = plaintext_object(flags % 4, body);
    match plaintext.open(&PLACE, &object) {
        Ok(content) => {
            assert!(content.len() <= CONTENT_LIMIT);
            let again = plaintext.seal(&PLACE, &content, &SealOptions::default()).expect("sealed");
            assert_eq!(plaintext.open(&PLACE, &again).expect("opened"), content);
            true
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Limit), "{error:?}");
            false
        }
    }
}

/// Opening a root record fails, or returns an envelope whose keyset can reopen its own next record.
/// The input is used as a whole record, as the slots of a record, and as the plaintext of the body
/// of one.
pub(crate) fn keyset(data: &[u8]) -> bool {
    let head = record_head(9);
    let records = [
        data.to_vec(),
        with_digest(data),
        with_digest(&[b"CIMR\x01\x01\0\0".as_slice(), data].concat()),
        with_digest(&[&head, data].concat()),
        sealed_record(head, data),
    ];
    records.map(|record| opens_root(&record)).contains(&true)
}

/// Decoding a block fails, or returns a wrapper that encodes to the same block. The input is used
/// as a block, and as the plaintext of a hidden wrapper.
pub(crate) fn wrapper(data: &[u8]) -> bool {
    let key = EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, KEY);
    let mut accepted = false;
    if let Ok(wrapper) = EncryptedCidWrapper::from_dag_cbor(data) {
        assert_eq!(wrapper.to_dag_cbor(), data);
        let _ = wrapper.open(&key);
        accepted = true;
    }
    if let Ok(wrapper) = HiddenCidWrapper::from_dag_cbor(data) {
        assert_eq!(wrapper.to_dag_cbor(), data);
        let _ = wrapper.open(&key);
        accepted = true;
    }
    if let Ok(value) = EncryptedData::from_bytes(data) {
        assert_eq!(value.to_bytes(), data);
        let _ = ContentEncryption::decrypt(&key, &value, b"");
        accepted = true;
    }
    match hidden_wrapper(data).open(&key) {
        Ok((cid, metadata)) => {
            let (length, rest) = data.split_at(2);
            assert_eq!(usize::from(u16::from_le_bytes([length[0], length[1]])), cid.encoded_len());
            assert_eq!(rest, [cid.to_bytes(), metadata].concat());
            accepted = true;
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged),
    }
    accepted
}

/// The parameters of a passphrase slot are refused as damage, refused as too costly, or accepted;
/// `data` is any parameters.
pub(crate) fn passphrase(data: &[u8]) -> bool {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let parameters = &data[..usize::from(length)];
    let mut record = b"CIMR\x01\x01\0\0".to_vec();
    record.extend_from_slice(INDEX.as_bytes());
    record.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    record.extend_from_slice(b"slot id.\x02\x01");
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(parameters);
    record.extend_from_slice(&[0; 104 + 4]);
    let record = with_digest(&record);
    let cheap = Argon2Profile::new(8, 1, 1).expect("a defined profile");
    let source = KeySource::Passphrase(Passphrase::new("passphrase").expect("not empty"), cheap);
    let opened = |source| now(Keyset::open(&record, source)).expect_err("nothing was sealed here").kind();

    let number = |at: usize| u32::from_le_bytes(parameters[at..at + 4].try_into().expect("4 bytes"));
    let defined = parameters.len() == 28 && {
        let (memory_kib, passes, lanes) = (number(0), number(4), number(8));
        passes > 0 && (1..1 << 24).contains(&lanes) && memory_kib / 8 >= lanes
    };
    if !defined {
        assert_eq!(opened(&source), ErrorKind::Damaged);
        return false;
    }
    let (memory_kib, passes, lanes) = (number(0), number(4), number(8));
    if memory_kib > 256 * 1024 || passes > 8 || lanes > 16 {
        assert_eq!(opened(&source), ErrorKind::Limit);
        return false;
    }
    if memory_kib <= 256 && passes <= 2 {
        assert_eq!(opened(&source), ErrorKind::WrongKey);
    } else {
        // Accepted, but too costly to derive each time: parsing it is enough.
        assert_eq!(opened(&key_source()), ErrorKind::WrongKey);
    }
    true
}

fn opens_root(record: &[u8]) -> bool {
    let without_key = now(Envelope::open_root(record, None));
    let error = match now(Envelope::open_root(record, Some(&key_source()))) {
        Ok(envelope) => {
            assert_eq!(without_key.expect_err("a key was needed").kind(), ErrorKind::MissingKey);
            let keyset = envelope.keyset().expect("a key opened it");
            assert!(keyset.keys().len() <= MAX_DATA_KEYS);
            let next = keyset.with_usage_recorded();
            let again = keyset.reopen(next.record()).expect("its own record");
            assert_eq!(again.keys(), keyset.keys());
            let object = envelope.seal(&PLACE, b"content", &SealOptions::default()).expect("sealed");
            assert_eq!(envelope.open(&PLACE, &object).expect("opened"), "content");
            return true;
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::Damaged | ErrorKind::WrongKey | ErrorKind::UnsupportedVersion { .. } => false,
        ErrorKind::NotEncrypted => without_key.is_ok(),
        kind => panic!("{kind:?}"),
    }
}

/// Returns a record up to its slots, of which there is one.
pub(crate) fn record_head(generation: u64) -> Vec<u8> {
    [b"CIMR\x01\x01\0\0".as_slice(), INDEX.as_bytes(), &generation.to_le_bytes(), &[1, 1]].concat()
}

/// Returns a record with a properly sealed slot and body, the body around `keys`.
pub(crate) fn sealed_record(mut head: Vec<u8>, keys: &[u8]) -> Vec<u8> {
    head.extend_from_slice(&sealed_slot(b"slot id."));
    with_sealed_body(head, keys)
}

/// Returns a properly sealed slot that the key opens.
pub(crate) fn sealed_slot(id: &[u8; 8]) -> Vec<u8> {
    let slot = [id.as_slice(), b"\x01\x01\0\0"].concat();
    let context = [b"cim/v1/slot".as_slice(), INDEX.as_bytes(), &slot].concat();
    [slot, blob(&derive(b"cim/v1/slot", &KEY, b""), &context, &[2; 32])].concat()
}

/// Completes a record after its slots with a body properly sealed around `keys`.
pub(crate) fn with_sealed_body(mut head: Vec<u8>, keys: &[u8]) -> Vec<u8> {
    let context = [b"cim/v1/keyset".as_slice(), &head].concat();
    let body = blob(&derive(b"cim/v1/keyset", &[2; 32], b""), &context, keys);
    head.extend_from_slice(&u32::try_from(body.len()).expect("short").to_le_bytes());
    head.extend_from_slice(&body);
    with_digest(&head)
}

/// Returns a hidden wrapper properly sealed around `plaintext`.
pub(crate) fn hidden_wrapper(plaintext: &[u8]) -> HiddenCidWrapper {
    let name = [3; 32];
    let mut context = b"\x15cim/v1/hidden-wrapper\x01\x01".to_vec();
    context.extend_from_slice(&[0; 8]);
    context.extend_from_slice(&32u64.to_le_bytes());
    context.extend_from_slice(&name);
    context.extend_from_slice(&0u64.to_le_bytes());
    let sealed = blob(&derive(b"cim/v1/content", &KEY, &[1]), &context, plaintext);
    let json = serde_json::json!({
        "v": 1, "alg": "aes-256-gcm", "key": null,
        "salt": &sealed[..24], "commitment": &sealed[24..56], "ciphertext": &sealed[56..],
    });
    let encrypted = serde_json::from_value(json).expect("an encrypted value");
    HiddenCidWrapper { name, encrypted, aad: Vec::new() }
}

/// Returns a plaintext object with any body.
fn plaintext_object(flags: u8, body: &[u8]) -> Vec<u8> {
    let header = [b"CIMO\x01\x00".as_slice(), &[flags, PLACE.kind.0], &[0; 8]].concat();
    let mut context = b"cim/v1/object".to_vec();
    context.extend_from_slice(&header[4..]);
    context.extend_from_slice(INDEX.as_bytes());
    context.extend_from_slice(&PLACE.generation.to_le_bytes());
    for text in [PLACE.bucket, PLACE.name] {
        context.extend_from_slice(&u16::try_from(text.len()).expect("short").to_le_bytes());
        context.extend_from_slice(text.as_bytes());
    }
    let digest = sha256(&[b"cim/v1/plaintext".as_slice(), &sha256(&context), body].concat());
    [&header, [0; 24].as_slice(), &digest, body].concat()
}

/// The sealing of docs/format.md with AES-256-GCM, as a blob with a fixed salt.
fn blob(root: &[u8; 32], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (salt, hash) = ([5; 24], sha256(context));
    let mut okm = [0; 64];
    let info = [b"cim/v1\x01".as_slice(), &salt, &hash].concat();
    expand(&hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, root), &info, &mut okm);
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &okm[..32]).expect("32 bytes"));
    let nonce = aead::Nonce::try_assume_unique_for_key(&salt[..12]).expect("12 bytes");
    let mut ciphertext = plaintext.to_vec();
    key.seal_in_place_append_tag(nonce, aead::Aad::from(hash), &mut ciphertext).expect("sealed");
    [&salt, &okm[32..], &ciphertext].concat()
}

fn derive(label: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut derived = [0; 32];
    expand(&hkdf::Salt::new(hkdf::HKDF_SHA256, label).extract(secret), info, &mut derived);
    derived
}

fn expand(prk: &hkdf::Prk, info: &[u8], out: &mut [u8]) {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    prk.expand(&[info], Length(out.len())).and_then(|okm| okm.fill(out)).expect("short");
}

pub(crate) fn with_digest(record: &[u8]) -> Vec<u8> {
    [record, &sha256(record)].concat()
}

fn sha256(data: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, data).as_ref().try_into().expect("32 bytes")
}

pub(crate) fn key_source() -> KeySource {
    EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, KEY).into()
}

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
