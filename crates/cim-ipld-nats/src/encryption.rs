//! The server's own encryption of its files, as configuration.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use cim_ipld_backend::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// No file of a key has a reason to be larger.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The server takes any length; less than this can be guessed.
const MIN_KEY_CHARACTERS: usize = 16;

/// Configures the server's own encryption of JetStream's files: a second layer under this
/// project's.
///
/// The server encrypts message blocks, without authenticating them; subjects, sizes, raft snapshots
/// and stream backups are not covered, and a change needs a restart. A client cannot see whether a
/// server does it: this renders what its operator puts into the server's configuration. Source: the
/// NATS documentation on JetStream encryption at rest.
///
/// ```
/// use cim_ipld_nats::NatsEncryption;
///
/// let config = NatsEncryption {
///     enabled: true,
///     key_file: Some("/path/to/key.pem".into()),
///     cipher: "AES256".to_string(),
/// };
/// assert_eq!(config.server_configuration("JS_KEY")?, "cipher: aes\nkey: $JS_KEY\n");
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsEncryption {
    /// Whether the server encrypts its files.
    pub enabled: bool,
    /// The file that holds the server's key: one line of text, or PEM. Only its owner may read it.
    pub key_file: Option<PathBuf>,
    /// `AES256` (or `aes`), or `ChaCha20Poly1305` (or `chachapoly`).
    pub cipher: String,
}

impl NatsEncryption {
    /// Checks that a server could be started with this: the cipher is one, and the key file holds a
    /// key that only its owner can read. Anything is right where encryption is not enabled.
    ///
    /// # Errors
    /// `InvalidSettings` for an unknown cipher, and as for [`read_key`](Self::read_key).
    pub fn validate(&self) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        self.server_cipher()?;
        self.read_key().map(drop)
    }

    /// Returns the server's name of the cipher.
    ///
    /// # Errors
    /// `InvalidSettings` when it is none that the server has.
    pub fn server_cipher(&self) -> Result<&'static str> {
        match self.cipher.to_ascii_lowercase().as_str() {
            "aes256" | "aes-256" | "aes-256-gcm" | "aes" => Ok("aes"),
            "chacha20poly1305" | "chacha20-poly1305" | "chachapoly" | "chacha" => Ok("chachapoly"),
            _ => Err(invalid(format!(
                "{:?} is no cipher of the NATS server: expected AES256 or ChaCha20Poly1305",
                self.cipher
            ))),
        }
    }

    /// Renders the members of the server's `jetstream { … }` block, with the key read from the
    /// environment variable of that name, so that the configuration holds no secret: start the
    /// server with that variable set to [`ServerKey::configuration_value`]. Empty when encryption
    /// is not enabled.
    ///
    /// # Errors
    /// `InvalidSettings` for an unknown cipher or a variable that is no name.
    pub fn server_configuration(&self, key_variable: &str) -> Result<String> {
        if !self.enabled {
            return Ok(String::new());
        }
        Ok(format!("cipher: {}\nkey: ${}\n", self.server_cipher()?, variable(key_variable)?))
    }

    /// Renders what [`server_configuration`](Self::server_configuration) does, for a server that is
    /// to take this key and still open what it wrote with the key in the environment variable
    /// `previous_key_variable`.
    ///
    /// # Errors
    /// As for [`server_configuration`](Self::server_configuration).
    pub fn server_configuration_rotating(&self, key_variable: &str, previous_key_variable: &str) -> Result<String> {
        if !self.enabled {
            return Ok(String::new());
        }
        let previous = variable(previous_key_variable)?;
        Ok(format!("{}prev_key: ${previous}\n", self.server_configuration(key_variable)?))
    }

    /// Reads the server's key.
    ///
    /// # Errors
    /// `InvalidSettings` when no file is named, it cannot be read, others than its owner may read
    /// it, or it holds no key.
    pub fn read_key(&self) -> Result<ServerKey> {
        let path = self.key_file.as_deref().ok_or_else(|| invalid("no file with the server's key is named"))?;
        let content = read_private(path)?;
        parse_key(&content).ok_or_else(|| {
            invalid(format!(
                "{} holds no key: expected one line of at least {MIN_KEY_CHARACTERS} letters, digits and + / = - _ ., or PEM",
                path.display()
            ))
        })
    }
}

/// The key of a server's files. Wiped when it is dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct ServerKey(Zeroizing<String>);

impl ServerKey {
    /// Returns the key as the server's configuration wants it, and an environment variable that it
    /// names: in quotes. Without them the server would read some keys as numbers.
    #[must_use]
    pub fn configuration_value(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(..)")
    }
}

fn parse_key(content: &[u8]) -> Option<ServerKey> {
    let text = std::str::from_utf8(content).ok()?;
    // The full capacity at once: growing would leave copies of the key behind.
    let mut quoted = Zeroizing::new(String::with_capacity(text.len() + 2));
    quoted.push('"');
    let pem = text.starts_with("-----BEGIN ");
    for (number, line) in text.lines().map(str::trim).enumerate() {
        let frame = pem && line.starts_with("-----");
        if !frame {
            // A second line of what is not PEM is no part of a key.
            if !pem && number > 0 && !line.is_empty() {
                return None;
            }
            quoted.push_str(line);
        }
    }
    let key = &quoted[1..];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_.".contains(&byte);
    if key.len() < MIN_KEY_CHARACTERS || !key.bytes().all(plain) {
        return None;
    }
    quoted.push('"');
    Some(ServerKey(quoted))
}

/// Reads a whole file that only its owner may read, checked on the open file so that the file
/// checked is the file read.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error: std::io::Error| invalid(format!("{} cannot be read", path.display())).with_source(error);
    let file = File::open(path).map_err(failed)?;
    check_private(&file, path)?;
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize));
    file.take(MAX_FILE_BYTES).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| invalid("the key file cannot be looked at").with_source(error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("{} has mode {mode:03o}: others than its owner may use it; chmod 600 it", path.display());
    Err(invalid(message))
}

/// Access lists of other systems are not read: the caller's system administrator answers for them.
#[cfg(not(unix))]
fn check_private(_file: &File, _path: &Path) -> Result<()> {
    Ok(())
}

fn variable(name: &str) -> Result<&str> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(invalid(format!("{name:?} is not the name of an environment variable")));
    }
    Ok(name)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSettings, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_a_line_or_from_pem() {
        for (content, expected) in [
            ("0123456789abcdef\n", Some("\"0123456789abcdef\"")),
            ("0123456789abcdef", Some("\"0123456789abcdef\"")),
            ("abc/+=-_.0123456789\r\n\n", Some("\"abc/+=-_.0123456789\"")),
            ("-----BEGIN KEY-----\nAAAAAAAA\nBBBBBBBB\n-----END KEY-----\n", Some("\"AAAAAAAABBBBBBBB\"")),
            ("", None),
            ("0123456789abcde", None),
            ("0123456789abcdef\n0123456789abcdef\n", None),
            ("0123456789 abcdef", None),
            ("0123456789\"abcdef", None),
            ("-----BEGIN KEY-----\n-----END KEY-----\n", None),
        ] {
            let key = parse_key(content.as_bytes());
            assert_eq!(key.as_ref().map(ServerKey::configuration_value), expected, "{content:?}");
        }
        assert!(parse_key(b"0123456789abcdef\xff").is_none());
    }
}
