//! `NatsEncryption` on real servers: a server starts with the rendered configuration, and its disk
//! contains no plaintext payload.

use std::fs;
use std::path::{Path, PathBuf};

use cim_ipld_backend::ErrorKind;
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_nats::NatsEncryption;
use tempfile::TempDir;

use crate::support::{connect, log, objects, put, server, value};

const PAYLOAD: &str = "the quick brown payload that nobody may read";

fn key_file(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    #[cfg(unix)]
    set_mode(&path, 0o600);
    path
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

fn encryption(cipher: &str, key_file: &Path) -> NatsEncryption {
    NatsEncryption { enabled: true, key_file: Some(key_file.to_owned()), cipher: cipher.to_owned() }
}

/// Returns server options with the configuration of `current`, and the key of `previous` for
/// reading older files.
fn options(current: &NatsEncryption, previous: Option<&NatsEncryption>) -> ServerOptions {
    let variable = |name: &str, of: &NatsEncryption| {
        (name.to_owned(), of.read_key().expect("a key").configuration_value().to_owned())
    };
    let mut environment = vec![variable("JS_KEY", current)];
    environment.extend(previous.map(|previous| variable("JS_PREVIOUS_KEY", previous)));
    let jetstream = match previous {
        None => current.server_configuration("JS_KEY"),
        Some(_) => current.server_configuration_rotating("JS_KEY", "JS_PREVIOUS_KEY"),
    };
    ServerOptions { jetstream: jetstream.expect("rendered"), environment, ..ServerOptions::default() }
}

/// Returns whether any file below the folder contains the text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let content = fs::read(&path).expect("a readable file");
        content.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

async fn write_payloads(server: &NatsServer) {
    let backend = connect(server).await;
    for bucket in [log(), objects()] {
        cim_ipld_backend::Backend::create(&backend, &bucket).await.expect("created");
        for number in 0..20 {
            put(&backend, &bucket, &format!("name.{number}"), PAYLOAD).await.expect("written");
        }
    }
}

async fn reads_payloads(server: &NatsServer) -> bool {
    let backend = connect(server).await;
    for bucket in [log(), objects()] {
        for number in 0..20 {
            match value(&backend, &bucket, &format!("name.{number}")).await {
                Ok(Some(found)) => assert_eq!(found, PAYLOAD),
                Ok(None) | Err(_) => return false,
            }
        }
    }
    true
}

#[tokio::test]
async fn a_server_with_it_writes_no_payload_in_the_clear() {
    let mut open = server();
    write_payloads(&open).await;
    open.stop();
    assert!(holds(&open.store_folder(), PAYLOAD), "the test finds what is in the clear");

    let folder = tempfile::tempdir().expect("a folder");
    for cipher in ["AES256", "ChaCha20Poly1305"] {
        let key = key_file(&folder, cipher, "zw3hQ0c1m7pA9s8K2xVb5nYtRfGjLdEu\n");
        let encryption = encryption(cipher, &key);
        encryption.validate().expect("it is right");
        let mut server = NatsServer::start(options(&encryption, None));
        write_payloads(&server).await;
        server.stop();
        assert!(!holds(&server.store_folder(), PAYLOAD), "{cipher}");
        server.restart();
        assert!(reads_payloads(&server).await, "{cipher}: after a restart");
    }
}

#[tokio::test]
async fn a_server_opens_with_the_previous_key_and_not_with_a_wrong_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = encryption("AES256", &key_file(&folder, "old", "old-key-0123456789-0123456789-01\n"));
    // A key that the configuration would parse as a number.
    let new = encryption("ChaCha20Poly1305", &key_file(&folder, "new", "12345678901234567890123456789012"));
    let wrong = encryption("AES256", &key_file(&folder, "wrong", "wrong-key-0123456789-0123456789\n"));
    let mut server = NatsServer::start(options(&old, None));
    write_payloads(&server).await;
    server.stop();

    server.set_options(options(&wrong, None));
    let opened = server.try_restart();
    assert!(opened.is_err() || !reads_payloads(&server).await, "a wrong key opened the store");

    server.set_options(options(&new, Some(&old)));
    server.restart();
    assert!(reads_payloads(&server).await, "rotated");
    server.stop();
    server.set_options(options(&new, None));
    server.restart();
    assert!(reads_payloads(&server).await, "the new key is enough");
}

#[test]
fn what_cannot_be_is_refused_and_the_key_is_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = "zw3hQ0c1m7pA9s8K2xVb5nYtRfGjLdEu";
    let good = key_file(&folder, "good", secret);
    let (empty, short) = (key_file(&folder, "empty", ""), key_file(&folder, "short", "tooshort"));
    let mut refused = vec![
        (encryption("rot13", &good), "rot13"),
        (encryption("", &good), "cipher"),
        (NatsEncryption { key_file: None, ..encryption("AES256", &good) }, "key_file is not set"),
        (encryption("AES256", &folder.path().join("absent")), "absent"),
        (encryption("AES256", folder.path()), "mode"),
        (encryption("AES256", &empty), "does not contain a key"),
        (encryption("AES256", &short), "does not contain a key"),
    ];
    #[cfg(unix)]
    for mode in [0o640, 0o604, 0o666] {
        let path = key_file(&folder, &format!("mode{mode:o}"), secret);
        set_mode(&path, mode);
        refused.push((encryption("AES256", &path), "chmod 600"));
    }
    for (config, named) in &refused {
        let error = config.validate().expect_err(named);
        assert_eq!(error.kind(), ErrorKind::InvalidSettings, "{error:?}");
        assert!(format!("{error:?}").contains(named), "{named}: {error:?}");
        assert!(!format!("{error:?} {config:?}").contains(secret));
    }
    let off = NatsEncryption { enabled: false, ..encryption("rot13", &folder.path().join("absent")) };
    off.validate().expect("disabled encryption needs no valid settings");
    assert_eq!(off.server_configuration("JS_KEY").expect("rendered"), "");
    assert_eq!(off.server_configuration_rotating("JS_KEY", "OLD").expect("rendered"), "");

    let config = encryption("aes", &good);
    config.validate().expect("it is right");
    let key = config.read_key().expect("a key");
    assert_eq!(key.configuration_value(), format!("\"{secret}\""));
    assert!(!format!("{key:?} {config:?}").contains(secret), "{key:?}");
    assert_eq!(config.server_configuration("JS_KEY").expect("rendered"), "cipher: aes\nkey: $JS_KEY\n");
    let rotating = config.server_configuration_rotating("JS_KEY", "OLD").expect("rendered");
    assert_eq!(rotating, "cipher: aes\nkey: $JS_KEY\nprev_key: $OLD\n");
    for name in ["", "a b", "a$", "a\nport: 1"] {
        assert_eq!(config.server_configuration(name).expect_err(name).kind(), ErrorKind::InvalidSettings);
    }
}
