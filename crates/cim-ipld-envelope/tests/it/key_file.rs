//! Keys: files, derivation, and secrets that are never shown.

use std::fs;
use std::path::Path;

use cim_ipld_envelope::{
    CidNames, ContentEncryption, EncryptionAlgorithm, EncryptionKey, Envelope, ErrorKind, FileAccess, KeySource,
    Keyset, ObjectNames, Passphrase, Result,
};

use crate::fixture::{INDEX, key};

/// Keys are equal if one opens what the other sealed.
fn same(one: &EncryptionKey, other: &EncryptionKey) -> bool {
    let sealed = ContentEncryption::encrypt(one, b"content", b"").expect("encrypted");
    ContentEncryption::decrypt(other, &sealed, b"").is_ok()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

#[test]
fn encryption_key_file_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in EncryptionAlgorithm::ALL {
        let path = folder.path().join(algorithm.as_str());
        let key = EncryptionKey::generate(algorithm);
        key.write_file(&path).unwrap();
        let read = EncryptionKey::read_file(&path).unwrap();
        assert_eq!(read.algorithm(), algorithm);
        assert!(same(&read, &key));

        let before = fs::read(&path).unwrap();
        assert_eq!(kind(key.write_file(&path)), ErrorKind::Io, "an existing file is never overwritten");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert_eq!(kind(EncryptionKey::read_file(folder.path().join("none"))), ErrorKind::Io);
}

#[test]
fn encryption_key_file_content_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let digits = "01".repeat(32);
    let line = format!("cim-key-v1:aes-256-gcm:{digits}");
    let good = [
        format!("{line}\n"),
        line.clone(),
        format!("{line}\r\n"),
        format!("{line}\r"),
        format!("{line}\n\n"),
        format!("  {line} \t\n"),
        format!("\u{feff}{line}\n"),
        format!("# of the harbour index\n\n{line}\n# made in May\n"),
        format!("cim-key-v1:aes-256-gcm:{}", "0A".repeat(32)).replace("0A", "01"),
    ];
    for good in good {
        write_private(&path, good.as_bytes());
        assert!(same(&EncryptionKey::read_file(&path).unwrap(), &key(1)), "{good:?}");
    }
    write_private(&path, format!("cim-key-v1:aes-256-gcm:{}", "AB".repeat(32)).as_bytes());
    assert!(same(&EncryptionKey::read_file(&path).unwrap(), &key(0xab)), "upper-case digits");
    let utf16 = |bytes: fn(u16) -> [u8; 2]| line.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let bad: Vec<(Vec<u8>, &str)> = [
        (String::new(), "contains no key"),
        ("# a comment\n".into(), "contains no key"),
        ("password".into(), "does not begin with a key"),
        ("cim-key-v1:".into(), "truncated"),
        (format!("cim-key-v2:aes-256-gcm:{digits}"), "unknown version"),
        (format!("cim-key-v1:aes-128-gcm:{digits}"), "algorithm"),
        (format!("cim-key-v1:aes-256-gcm:{digits}0"), "too long"),
        (format!("cim-key-v1:aes-256-gcm:{}", &digits[2..]), "truncated"),
        (format!("cim-key-v1:aes-256-gcm:{}", digits.replace('1', "G")), "hexadecimal"),
        (format!("{line}\nmore"), "more than one key"),
        ("x".repeat(100_000), "larger than"),
    ]
    .map(|(text, reason)| (text.into_bytes(), reason))
    .into_iter()
    .chain([
        ([b"\xff\xfe".to_vec(), utf16(u16::to_le_bytes)].concat(), "UTF-16"),
        ([b"\xfe\xff".to_vec(), utf16(u16::to_be_bytes)].concat(), "UTF-16"),
        (utf16(u16::to_le_bytes), "UTF-16"),
    ])
    .collect();
    for (bad, reason) in bad {
        write_private(&path, &bad);
        let error = EncryptionKey::read_file(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKeyFile, "{reason}");
        assert!(error.to_string().contains(reason), "{error}: {reason}");
        assert!(!error.to_string().contains("0101"), "an error never quotes a key");
    }
}

#[test]
fn encryption_passphrase_file_loses_one_newline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    let profile = cim_ipld_envelope::Argon2Profile::new(8, 1, 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let opens = |content: &[u8], passphrase: &str| {
        write_private(&path, content);
        let from_file = KeySource::Passphrase(Passphrase::read_file(&path).unwrap(), profile);
        let typed = KeySource::Passphrase(Passphrase::new(passphrase).unwrap(), profile);
        let keyset = runtime.block_on(Keyset::create(INDEX, EncryptionAlgorithm::AES256GCM, &from_file)).unwrap();
        runtime.block_on(Keyset::open(keyset.record(), &typed)).is_ok()
    };
    assert!(opens(b"secret", "secret"));
    assert!(opens(b"secret\n", "secret"));
    assert!(opens(b"secret\r\n", "secret"));
    assert!(opens(b" secret \n\n", " secret \n"));
    assert!(!opens(b"secret \n", "secret"));
    for empty in [&b""[..], b"\n", b"\r\n"] {
        write_private(&path, empty);
        assert_eq!(kind(Passphrase::read_file(&path)), ErrorKind::InvalidKeyFile);
    }
    write_private(&path, b"\xff\xfes\0e\0c\0r\0e\0t\0");
    let error = Passphrase::read_file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKeyFile);
    assert!(error.to_string().contains("passphrase file") && error.to_string().contains("UTF-16"), "{error}");
    assert_eq!(kind(Passphrase::new("")), ErrorKind::InvalidRequest);
}

#[cfg(unix)]
#[test]
fn encryption_key_file_must_be_private() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    key(1).write_file(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    for open in [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        assert_eq!(kind(EncryptionKey::read_file(&path)), ErrorKind::KeyFilePermissions, "{open:o}");
        assert_eq!(kind(Passphrase::read_file(&path)), ErrorKind::KeyFilePermissions, "{open:o}");
        assert_eq!(mode(&path), open, "the file is left as it is");
    }
    for (mode, is_read) in [(0o440, true), (0o640, true), (0o660, false), (0o444, false), (0o450, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = EncryptionKey::read_file_as(&path, FileAccess::GroupMayRead);
        assert_eq!(read.is_ok(), is_read, "{mode:o}");
    }
    for private in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(private)).unwrap();
        assert!(same(&EncryptionKey::read_file(&path).unwrap(), &key(1)), "{private:o}");
    }
}

#[test]
fn encryption_key_derivation_separates() {
    let parent = key(1);
    let chacha = EncryptionKey::from_bytes(EncryptionAlgorithm::ChaCha20Poly1305, [1; 32]);
    assert!(same(&parent.derive(b"a"), &parent.derive(b"a")));
    assert!(same(&parent.duplicate(), &parent));
    assert!(!same(&parent.derive(b"a"), &parent.derive(b"b")));
    assert!(!same(&parent.derive(b""), &parent));
    assert!(!same(&key(2).derive(b"a"), &parent.derive(b"a")));
    assert_eq!(chacha.derive(b"a").algorithm(), EncryptionAlgorithm::ChaCha20Poly1305);
}

#[test]
fn encryption_keys_never_show_themselves() {
    let source: KeySource = key(0x41).into();
    let passphrase = KeySource::from(Passphrase::new("a secret phrase").unwrap());
    let shown = format!("{source:?} {:#?} {passphrase:?} {:?}", key(0x41), source.duplicate());
    for secret in ["65", "41", "AAAA", "secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Compiles only if the type does not implement the trait: otherwise two implementations would
/// apply.
macro_rules! lacks {
    ($trait:path: $($type:ty),+) => {
        $(const _: fn() = || {
            trait Fits<Which> {
                fn once() {}
            }
            impl<T: ?Sized> Fits<()> for T {}
            struct ByTheTrait;
            impl<T: ?Sized + $trait> Fits<ByTheTrait> for T {}
            let _ = <$type as Fits<_>>::once;
        };)+
    };
}

lacks!(Clone: EncryptionKey, Passphrase, KeySource, ObjectNames, CidNames);
lacks!(serde::Serialize: EncryptionKey, Passphrase, KeySource, ObjectNames, CidNames, Keyset, Envelope);
lacks!(PartialEq: EncryptionKey, Passphrase, KeySource);

fn write_private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn encryption_key_given_as_a_path_is_not_quoted() {
    let digits = "0123456789abcdef".repeat(4);
    for given in [format!("cim-key-v1:aes-256-gcm:{digits}"), digits.clone(), "correct horse battery".into()] {
        for error in [EncryptionKey::read_file(&given).unwrap_err(), Passphrase::read_file(&given).unwrap_err()] {
            let said = format!("{error} {error:?} {}", error.hint());
            assert!(!said.contains(&digits) && !said.contains("horse"), "{said}");
        }
    }
    let typo = EncryptionKey::read_file("no/such.key").unwrap_err().to_string();
    assert!(typo.contains("no/such.key"), "{typo}");
}

#[test]
fn encryption_passphrase_that_is_new_is_long_enough() {
    for (text, accepted) in
        [("12345678", true), ("1234567", false), ("h\u{e4}\u{df}lich\u{e9}", true), ("\u{e4}\u{e4}\u{e4}\u{e4}", false)]
    {
        assert_eq!(Passphrase::new(text).unwrap().check_new().is_ok(), accepted, "{text}");
    }
}
