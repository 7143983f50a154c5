//! Freezes the format: the crate must reproduce `tests/vectors/v1.json` byte for byte.
//!
//! The file is read by the integration tests of this crate, through the public interface, and by an
//! independent reader in Python. With `CIM_WRITE_VECTORS=1`, the test overwrites the file, which is
//! how vectors are added to it. A new format version needs a file of its own. A changed line of an
//! existing version breaks the format.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::object::{MAX_OBJECT_BYTES, Padding, SealOptions};
use crate::primitives::hash::sha256;
use crate::random::seeded::{self, now};
use crate::{
    Argon2Profile, CidNames, Compression, ContentEncryption, EncryptedCidWrapper, EncryptionAlgorithm, EncryptionKey,
    Envelope, HiddenCidWrapper, IndexId, KeyProvider, KeySource, Keyset, ObjectContext, ObjectKind, ObjectNames,
    Passphrase, ProviderError, Zeroizing, hex,
};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/v1.json");

#[test]
fn encryption_writes_the_frozen_format() {
    let mut written = serde_json::to_string_pretty(&vectors()).expect("vectors are JSON");
    written.push('\n');
    if std::env::var_os("CIM_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(Path::new(PATH).parent().expect("a folder")).expect("the vectors' folder");
        std::fs::write(PATH, &written).expect("the vectors' file");
    }
    let frozen = std::fs::read_to_string(PATH).expect("the vectors' file");
    for (number, (written, frozen)) in written.lines().zip(frozen.lines()).enumerate() {
        assert_eq!(written, frozen, "line {}", number + 1);
    }
    assert_eq!(written.len(), frozen.len());
}

fn vectors() -> Value {
    let mut roots = Vec::new();
    let mut objects = Vec::new();
    let mut values = Vec::new();
    plaintext_store(&mut roots, &mut objects);
    for algorithm in EncryptionAlgorithm::ALL {
        encrypted_store(algorithm, &mut roots, &mut objects);
        single_values(algorithm, &mut values);
    }
    every_slot(&mut roots);
    rotated_store(&mut roots, &mut objects, &mut values);
    json!({
        "format": "cim-ipld-envelope",
        "version": 1,
        "roots": roots,
        "objects": objects,
        "values": values,
        "wrappers": wrappers(),
        "names": names(),
        "text_names": text_names(),
        "derived_keys": derived_keys(),
        "key_files": key_files(),
    })
}

const INDEX: IndexId = IndexId::from_bytes(*b"sixteen id bytes");

fn plaintext_store(roots: &mut Vec<Value>, objects: &mut Vec<Value>) {
    let envelope = Envelope::plaintext(INDEX);
    roots.push(json!({
        "name": "plaintext",
        "record": hex::encode(&envelope.root_record()),
        "index_id": INDEX.to_string(),
        "sources": [],
    }));
    every_object("plaintext", &envelope, objects);
}

fn encrypted_store(algorithm: EncryptionAlgorithm, roots: &mut Vec<Value>, objects: &mut Vec<Value>) {
    let name = algorithm.as_str();
    let key = key_of(name, algorithm);
    let source = json!({"kind": "key", "algorithm": algorithm, "key": hex::encode(key.secret().as_bytes())});
    let keyset = seeded::with(name, || now(Keyset::create(INDEX, algorithm, &key.into()))).expect("a keyset");
    roots.push(root(name, &keyset, &[source]));
    every_object(name, &Envelope::encrypted(keyset), objects);
}

/// A keyset with a key, a passphrase and a provider slot.
fn every_slot(roots: &mut Vec<Value>) {
    let key = key_of("every slot", EncryptionAlgorithm::ChaCha20Poly1305);
    let profile = Argon2Profile::new(128, 2, 3).expect("a defined profile");
    let passphrase = KeySource::Passphrase(Passphrase::new("correct horse battery staple").expect("one"), profile);
    let provider: Arc<dyn KeyProvider> = Arc::new(ClearProvider);
    let sources = json!([
        {"kind": "key", "algorithm": key.algorithm(), "key": hex::encode(key.secret().as_bytes())},
        {"kind": "passphrase", "passphrase": "correct horse battery staple"},
        {"kind": "provider", "name": "clear"},
    ]);
    let keyset = seeded::with("every slot", || {
        let keyset = now(Keyset::create(INDEX, EncryptionAlgorithm::AES256GCM, &key.into()))?;
        let keyset = now(keyset.with_slot_added(&passphrase))?;
        now(keyset.with_slot_added(&provider.into()))
    });
    let sources = sources.as_array().expect("a list").clone();
    roots.push(root("every slot", &keyset.expect("a keyset"), &sources));
}

/// A keyset with a destroyed, a decrypt-only and an active data key, and usage.
fn rotated_store(roots: &mut Vec<Value>, objects: &mut Vec<Value>, values: &mut Vec<Value>) {
    let key = key_of("rotated", EncryptionAlgorithm::AES256GCM);
    let source = json!({"kind": "key", "algorithm": key.algorithm(), "key": hex::encode(key.secret().as_bytes())});
    let keyset = seeded::with("rotated", || {
        let first = now(Keyset::create(INDEX, EncryptionAlgorithm::AES256GCM, &key.into())).expect("a keyset");
        let second = first.with_new_data_key(EncryptionAlgorithm::ChaCha20Poly1305).expect("a data key");
        let old = Envelope::encrypted(second.clone());
        let options = SealOptions::default();
        objects.push(object("rotated", "under the decrypt-only key", &old, PLACE, b"old content", options));
        let third = second.with_new_data_key(EncryptionAlgorithm::XChaCha20Poly1305).expect("a data key");
        third.with_data_key_destroyed(first.active_key()).expect("a destroyed key")
    });
    roots.push(root("rotated", &keyset, &[source]));
    seeded::with("rotated value", || {
        let value = ContentEncryption::encrypt(&keyset, b"content", b"associated").expect("encrypted");
        values.push(json!({
            "name": "by a keyset",
            "root": "rotated",
            "associated": hex::encode(b"associated"),
            "plaintext": hex::encode(b"content"),
            "value": hex::encode(&value.to_bytes()),
        }));
    });
}

const PLACE: ObjectContext<'static> = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "page-1", 0);

fn every_object(root: &str, envelope: &Envelope, objects: &mut Vec<Value>) {
    let wide = ObjectContext::new("büro_catalog_v1", ObjectKind(200), "名前", u64::MAX);
    let options = SealOptions::default();
    let long = [b"0123456789".as_slice(); 30].concat();
    let multiple = Padding::Multiple(64.try_into().expect("not zero"));
    let cases: [(&str, ObjectContext<'_>, &[u8], SealOptions); 6] = [
        ("empty", PLACE, b"", options),
        ("short", ObjectContext { kind: ObjectKind::MANIFEST, generation: 5, ..PLACE }, b"short content", options),
        ("unusual place", wide, b"short content", options),
        ("padmé", PLACE, &long, options.padded(Padding::Padme)),
        ("padded to a multiple", PLACE, b"short content", options.padded(multiple)),
        ("incompressible", PLACE, b"short content", options.compressed(Compression { level: 1, min_bytes: 0 })),
    ];
    for (name, place, content, options) in cases {
        seeded::with(&format!("{root}/{name}"), || {
            objects.push(object(root, name, envelope, place, content, options));
        });
    }
    for kind in 1..=7 {
        let place = ObjectContext { bucket: "catalog_v1", kind: ObjectKind(kind), ..PLACE };
        seeded::with(&format!("{root}/kind {kind}"), || {
            objects.push(object(root, &format!("kind {kind}"), envelope, place, b"content", options));
        });
    }
    for (name, padded) in [("compressed", false), ("compressed and padded", true)] {
        seeded::with(&format!("{root}/{name}"), || {
            let sealed = envelope.seal_body(&PLACE, &compressed_body(padded), true, padded).expect("sealed");
            objects.push(object_vector(root, name, PLACE, &[0x61; 1000], &sealed));
        });
    }
}

/// 1000 times "a" as a handwritten frame, so that no version of the compressor can change it: RFC
/// 8878, section 3.1.1, with one run-length block.
fn compressed_body(padded: bool) -> Vec<u8> {
    let mut body = 1000u32.to_le_bytes().to_vec();
    body.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0xe8, 0x02, 0x43, 0x1f, 0x00, 0x61]);
    if padded {
        body.extend_from_slice(&[0x80, 0, 0]);
    }
    body
}

fn object(
    root: &str,
    name: &str,
    envelope: &Envelope,
    place: ObjectContext<'_>,
    content: &[u8],
    options: SealOptions,
) -> Value {
    assert!(content.len() <= MAX_OBJECT_BYTES);
    let object = envelope.seal(&place, content, &options).expect("sealed");
    object_vector(root, name, place, content, &object)
}

fn object_vector(root: &str, name: &str, place: ObjectContext<'_>, content: &[u8], object: &[u8]) -> Value {
    json!({
        "name": name,
        "root": root,
        "bucket": place.bucket,
        "kind": place.kind.0,
        "object_name": place.name,
        "generation": place.generation,
        "content": hex::encode(content),
        "object": hex::encode(object),
    })
}

fn single_values(algorithm: EncryptionAlgorithm, values: &mut Vec<Value>) {
    let key = key_of("value", algorithm);
    for (name, associated, plaintext) in [("empty", "", ""), ("with associated data", "invoice 7", "secret")] {
        let value =
            seeded::with(name, || ContentEncryption::encrypt(&key, plaintext.as_bytes(), associated.as_bytes()));
        values.push(json!({
            "name": format!("{algorithm}, {name}"),
            "algorithm": algorithm,
            "key": hex::encode(key.secret().as_bytes()),
            "associated": hex::encode(associated.as_bytes()),
            "plaintext": hex::encode(plaintext.as_bytes()),
            "value": hex::encode(&value.expect("encrypted").to_bytes()),
        }));
    }
}

fn wrappers() -> Vec<Value> {
    let cid: cid::Cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().expect("a CID");
    let every = EncryptionAlgorithm::ALL.into_iter().flat_map(|algorithm| {
        let key = key_of("wrapper", algorithm);
        let names = CidNames::from_key(&key);
        let (clear, hidden) = seeded::with("wrapper", || {
            let clear = EncryptedCidWrapper::seal(&key, cid, b"title: secret", b"collection 1").expect("sealed");
            let hidden = HiddenCidWrapper::seal(&key, &names, cid, b"title: secret", b"collection 1").expect("sealed");
            (clear, hidden)
        });
        let vector = |mode: &str, block: &[u8], wrapper_cid: cid::Cid| {
            json!({
                "name": format!("{algorithm}, {mode}"),
                "mode": mode,
                "algorithm": algorithm,
                "key": hex::encode(key.secret().as_bytes()),
                "cid": hex::encode(&cid.to_bytes()),
                "metadata": hex::encode(b"title: secret"),
                "aad": hex::encode(b"collection 1"),
                "block": hex::encode(block),
                "wrapper_cid": wrapper_cid.to_string(),
            })
        };
        [
            vector("clear", &clear.to_dag_cbor(), clear.wrapper_cid()),
            vector("hidden", &hidden.to_dag_cbor(), hidden.wrapper_cid()),
        ]
    });
    every.collect()
}

fn names() -> Vec<Value> {
    let secret = sha256(&[b"names"]);
    let names = ObjectNames::from_secret(secret);
    let vector = |(class, ordinal): (u8, u32)| {
        let name = names.name(class, ordinal);
        json!({"secret": hex::encode(&secret), "class": class, "ordinal": ordinal, "name": name})
    };
    [(0, 0), (1, 0), (1, 1), (255, u32::MAX)].into_iter().map(vector).collect()
}

fn derived_keys() -> Vec<Value> {
    let vector = |algorithm: EncryptionAlgorithm| {
        let key = key_of("derived", algorithm);
        json!({
            "algorithm": algorithm,
            "key": hex::encode(key.secret().as_bytes()),
            "info": hex::encode(b"purpose"),
            "derived": hex::encode(key.derive(b"purpose").secret().as_bytes()),
        })
    };
    EncryptionAlgorithm::ALL.into_iter().map(vector).collect()
}

fn text_names() -> Vec<Value> {
    let secret = sha256(&[b"names"]);
    let names = ObjectNames::from_secret(secret);
    let vector = |text: &str| json!({"secret": hex::encode(&secret), "text": text, "name": names.name_of(text)});
    ["", "before the move", "büro"].into_iter().map(vector).collect()
}

fn key_files() -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let vector = |algorithm: EncryptionAlgorithm| {
        let (key, path) = (key_of("file", algorithm), folder.path().join(algorithm.as_str()));
        key.write_file(&path).expect("written");
        json!({
            "algorithm": algorithm,
            "key": hex::encode(key.secret().as_bytes()),
            "file": std::fs::read_to_string(&path).expect("a line of text"),
        })
    };
    EncryptionAlgorithm::ALL.into_iter().map(vector).collect()
}

fn root(name: &str, keyset: &Keyset, sources: &[Value]) -> Value {
    json!({
        "name": name,
        "record": hex::encode(keyset.record()),
        "index_id": keyset.index_id().to_string(),
        "generation": keyset.generation(),
        "active_key": keyset.active_key(),
        "data_keys": keyset.keys().len(),
        "sources": sources,
    })
}

fn key_of(label: &str, algorithm: EncryptionAlgorithm) -> EncryptionKey {
    EncryptionKey::from_bytes(algorithm, sha256(&[label.as_bytes(), algorithm.as_str().as_bytes()]))
}

/// A provider that does not encrypt: the wrapped key is the key itself, so a reader of the vectors
/// needs no provider.
struct ClearProvider;

#[async_trait]
impl KeyProvider for ClearProvider {
    fn name(&self) -> &str {
        "clear"
    }

    async fn wrap(&self, key: &[u8; 32], _associated: &[u8]) -> Result<Vec<u8>, ProviderError> {
        Ok(key.to_vec())
    }

    async fn unwrap(&self, wrapped: &[u8], _associated: &[u8]) -> Result<Zeroizing<[u8; 32]>, ProviderError> {
        wrapped.try_into().map(Zeroizing::new).map_err(ProviderError::refused)
    }
}
