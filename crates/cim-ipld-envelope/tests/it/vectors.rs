//! The frozen vectors: every later build opens them, and so does a reader that shares no code with
//! it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use cim_ipld_envelope::{
    Argon2Profile, CidNames, ContentEncryption, EncryptedCidWrapper, EncryptedData, EncryptionAlgorithm, EncryptionKey,
    Envelope, ErrorKind, HiddenCidWrapper, KeyProvider, KeySource, ObjectContext, ObjectKind, ObjectNames, Passphrase,
    ProviderError, Zeroizing,
};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

fn vectors() -> Value {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("vectors/v1.json")).expect("the vectors' file");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

fn list<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    vectors[name].as_array().expect("a list of vectors")
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("{field} of {vector}"))
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    let digits = text(vector, field);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn algorithm(vector: &Value) -> EncryptionAlgorithm {
    text(vector, "algorithm").parse().expect("an algorithm")
}

fn key(vector: &Value) -> EncryptionKey {
    EncryptionKey::from_bytes(algorithm(vector), bytes(vector, "key").try_into().expect("32 bytes"))
}

fn source(vector: &Value) -> KeySource {
    match text(vector, "kind") {
        "key" => key(vector).into(),
        "passphrase" => {
            let cheap = Argon2Profile::new(8, 1, 1).expect("a defined profile");
            KeySource::Passphrase(Passphrase::new(text(vector, "passphrase")).expect("not empty"), cheap)
        }
        "provider" => KeySource::Provider(Arc::new(ClearProvider)),
        other => panic!("no such source: {other}"),
    }
}

/// Opens the store with this name with its first source.
async fn store(vectors: &Value, name: &str) -> Envelope {
    let root = list(vectors, "roots").iter().find(|root| root["name"] == name).expect("the vector's store");
    let source = list(root, "sources").first().map(source);
    Envelope::open_root(&bytes(root, "record"), source.as_ref()).await.expect(name)
}

#[tokio::test]
async fn encryption_opens_frozen_roots() {
    for root in list(&vectors(), "roots") {
        let record = bytes(root, "record");
        for source in list(root, "sources").iter().map(source) {
            let envelope = Envelope::open_root(&record, Some(&source)).await.unwrap();
            let keyset = envelope.keyset().unwrap();
            assert_eq!(keyset.index_id().to_string(), text(root, "index_id"));
            assert_eq!(keyset.generation(), root["generation"]);
            assert_eq!(keyset.active_key().to_string(), text(root, "active_key"));
            assert_eq!(keyset.keys().len(), root["data_keys"]);
            assert_eq!(keyset.slots().len(), list(root, "sources").len());
        }
        let opened = Envelope::open_root(&record, None).await.map(|envelope| envelope.index_id().to_string());
        match root["sources"] == Value::Array(Vec::new()) {
            true => assert_eq!(opened.unwrap(), text(root, "index_id")),
            false => assert_eq!(opened.unwrap_err().kind(), ErrorKind::MissingKey),
        }
    }
}

/// Changing any byte of a frozen object is an error, so the vectors cover every byte.
#[tokio::test]
async fn encryption_opens_frozen_objects() {
    let vectors = vectors();
    for vector in list(&vectors, "objects") {
        let envelope = store(&vectors, text(vector, "root")).await;
        let place = ObjectContext {
            bucket: text(vector, "bucket"),
            kind: ObjectKind(vector["kind"].as_u64().unwrap() as u8),
            name: text(vector, "object_name"),
            generation: vector["generation"].as_u64().unwrap(),
        };
        let mut object = bytes(vector, "object");
        assert_eq!(envelope.open(&place, &object).unwrap(), bytes(vector, "content"), "{vector}");
        for at in 0..object.len() {
            object[at] ^= 0x10;
            assert!(envelope.open(&place, &object).is_err(), "byte {at} of {vector}");
            object[at] ^= 0x10;
        }
    }
}

#[tokio::test]
async fn encryption_opens_frozen_values() {
    let vectors = vectors();
    for vector in list(&vectors, "values") {
        let value = EncryptedData::from_bytes(&bytes(vector, "value")).unwrap();
        let associated = bytes(vector, "associated");
        let plaintext = match vector.get("root") {
            Some(root) => {
                let envelope = store(&vectors, root.as_str().unwrap()).await;
                ContentEncryption::decrypt(envelope.keyset().unwrap(), &value, &associated)
            }
            None => ContentEncryption::decrypt(&key(vector), &value, &associated),
        };
        assert_eq!(plaintext.unwrap(), bytes(vector, "plaintext"), "{vector}");
    }
}

#[test]
fn encryption_opens_frozen_wrappers() {
    for vector in list(&vectors(), "wrappers") {
        let (key, block) = (key(vector), bytes(vector, "block"));
        let cid = Cid::try_from(bytes(vector, "cid")).unwrap();
        let (own, opened, aad) = if vector["mode"] == "clear" {
            let wrapper = EncryptedCidWrapper::from_dag_cbor(&block).unwrap();
            (wrapper.wrapper_cid(), (wrapper.cid, wrapper.open(&key).unwrap()), wrapper.aad)
        } else {
            let wrapper = HiddenCidWrapper::from_dag_cbor(&block).unwrap();
            assert_eq!(wrapper.name, CidNames::from_key(&key).name(&cid));
            (wrapper.wrapper_cid(), wrapper.open(&key).unwrap(), wrapper.aad)
        };
        assert_eq!(opened, (cid, bytes(vector, "metadata")), "{vector}");
        assert_eq!((own.to_string().as_str(), aad), (text(vector, "wrapper_cid"), bytes(vector, "aad")));
    }
}

#[test]
fn encryption_gives_frozen_names_and_derived_keys() {
    let vectors = vectors();
    for vector in list(&vectors, "names") {
        let names = ObjectNames::from_secret(bytes(vector, "secret").try_into().unwrap());
        let class = vector["class"].as_u64().unwrap() as u8;
        let ordinal = vector["ordinal"].as_u64().unwrap() as u32;
        assert_eq!(names.name(class, ordinal), text(vector, "name"));
    }
    for vector in list(&vectors, "text_names") {
        let names = ObjectNames::from_secret(bytes(vector, "secret").try_into().unwrap());
        assert_eq!(names.name_of(text(vector, "text")), text(vector, "name"));
    }
    for vector in list(&vectors, "derived_keys") {
        let derived = key(vector).derive(&bytes(vector, "info"));
        let expected = bytes(vector, "derived").try_into().expect("32 bytes");
        let expected = EncryptionKey::from_bytes(algorithm(vector), expected);
        let sealed = ContentEncryption::encrypt(&derived, b"content", b"").unwrap();
        assert_eq!(ContentEncryption::decrypt(&expected, &sealed, b"").unwrap(), b"content");
    }
}

#[test]
fn encryption_reads_and_writes_frozen_key_files() {
    let folder = tempfile::tempdir().unwrap();
    for vector in list(&vectors(), "key_files") {
        let path = folder.path().join(text(vector, "algorithm"));
        key(vector).write_file(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(vector, "file"));
        let read = EncryptionKey::read_file(&path).unwrap();
        assert_eq!(read.algorithm(), algorithm(vector));
        let sealed = ContentEncryption::encrypt(&read, b"content", b"").unwrap();
        assert_eq!(ContentEncryption::decrypt(&key(vector), &sealed, b"").unwrap(), b"content");
    }
}

/// A second implementation, written from docs/format.md alone, opens every vector and refuses
/// changed ones. It runs with Python's `assert` statements disabled, so that none of its checks
/// depends on them.
#[test]
fn encryption_independent_reader_opens_every_vector() {
    let output = Command::new(python())
        .arg("-O")
        .arg(Path::new(FOLDER).join("reader/check_vectors.py"))
        .arg(Path::new(FOLDER).join("vectors/v1.json"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let vectors = vectors();
    let groups = vectors.as_object().expect("an object").iter().filter(|(_, group)| group.is_array());
    let counts: Vec<String> =
        groups.map(|(name, group)| format!("{} {name}", group.as_array().map_or(0, Vec::len))).collect();
    assert_eq!(counts.len(), 8);
    assert_eq!(stdout.trim(), counts.join(", "));
}

/// Finds a Python with the modules that the reader imports.
fn python() -> PathBuf {
    let workspace = Path::new(FOLDER).ancestors().nth(3).expect("the crate is in crates/");
    let candidates = [workspace.join(".tools/venv/bin/python"), "python3".into()];
    let can_import = |python: &PathBuf| {
        let imports = ["-c", "import nacl.bindings; from cryptography.hazmat.primitives.kdf.argon2 import Argon2id"];
        Command::new(python).args(imports).output().is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().find(can_import).unwrap_or_else(|| {
        panic!("no Python with `cryptography` (44 or newer) and `pynacl` was found: run `cargo xtask setup`")
    })
}

/// The provider of the vectors, which does not encrypt.
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
