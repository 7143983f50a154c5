//! Configuration of the server's encryption at rest.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use cim_ipld_backend::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// An upper bound on the size of a key file.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The server accepts keys of any length; shorter ones can be guessed.
const MIN_KEY_CHARACTERS: usize = 16;

/// Configures the NATS server's encryption of JetStream files, a second layer below the encryption
/// of this project.
///
/// The server encrypts message blocks without authenticating them. Subjects, sizes, Raft snapshots
/// and stream backups are not covered, and changing the configuration requires a restart. A client
/// cannot determine whether a server encrypts, so this type only renders what the operator adds to
/// the server's configuration. Source: the NATS documentation on JetStream encryption at rest.
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
    /// The file that contains the server's key: one line of text, or PEM. Only its owner may have
    /// access to it.
    pub key_file: Option<PathBuf>,
    /// `AES256` (or `aes`), or `ChaCha20Poly1305` (or `chachapoly`).
    pub cipher: String,
}

impl NatsEncryption {
    /// Checks that a server can start with this configuration: the cipher exists, and the key file
    /// contains a key that only its owner can access. Everything is valid if encryption is not
    /// enabled.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) for an unknown cipher, and as for
    /// [`read_key`](Self::read_key).
    pub fn validate(&self) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        self.server_cipher()?;
        self.read_key().map(drop)
    }

    /// Returns the name of the cipher in the server's configuration.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if the server does not support the cipher.
    pub fn server_cipher(&self) -> Result<&'static str> {
        match self.cipher.to_ascii_lowercase().as_str() {
            "aes256" | "aes-256" | "aes-256-gcm" | "aes" => Ok("aes"),
            "chacha20poly1305" | "chacha20-poly1305" | "chachapoly" | "chacha" => Ok("chachapoly"),
            _ => Err(invalid(format!(
                "{:?} is not a cipher of the NATS server: expected AES256 or ChaCha20Poly1305",
                self.cipher
            ))),
        }
    }

    /// Renders the settings for the server's `jetstream { … }` block. They refer to the key by the
    /// name of an environment variable, so the configuration contains no secret: start the server
    /// with that variable set to [`ServerKey::configuration_value`]. The result is empty if
    /// encryption is not enabled.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) for an unknown cipher or an invalid variable
    /// name.
    pub fn server_configuration(&self, key_variable: &str) -> Result<String> {
        if !self.enabled {
            return Ok(String::new());
        }
        Ok(format!("cipher: {}\nkey: ${}\n", self.server_cipher()?, variable(key_variable)?))
    }

    /// Renders the settings for a server whose key changes. The server encrypts with the key in
    /// `key_variable` and still reads files encrypted with the key in `previous_key_variable`.
    ///
    /// ```
    /// use cim_ipld_nats::NatsEncryption;
    ///
    /// let config = NatsEncryption { enabled: true, key_file: None, cipher: "AES256".to_string() };
    /// let rendered = config.server_configuration_rotating("JS_KEY", "JS_OLD_KEY")?;
    /// assert_eq!(rendered, "cipher: aes\nkey: $JS_KEY\nprev_key: $JS_OLD_KEY\n");
    /// # Ok::<(), cim_ipld_backend::Error>(())
    /// ```
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

    /// Reads the server's key from [`key_file`](Self::key_file).
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if no file is set, it cannot be read, users
    /// other than its owner can access it, or it does not contain a key.
    pub fn read_key(&self) -> Result<ServerKey> {
        let path = self
            .key_file
            .as_deref()
            .ok_or_else(|| invalid("key_file is not set: name the file that contains the server's key"))?;
        let content = read_private(path)?;
        parse_key(&content).ok_or_else(|| {
            invalid(format!(
                "{} does not contain a key: expected one line of at least {MIN_KEY_CHARACTERS} letters, digits and + / = - _ ., or PEM",
                path.display()
            ))
        })
    }
}

/// The key with which a server encrypts its files. It is zeroized on drop, and `Debug` does not
/// show it.
///
/// ```
/// use cim_ipld_nats::NatsEncryption;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("server.key");
/// # std::fs::write(&path, "0123456789abcdef0123456789abcdef\n")?;
/// # #[cfg(unix)]
/// # std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
/// let config = NatsEncryption { enabled: true, key_file: Some(path), cipher: "AES256".to_string() };
/// let key = config.read_key()?;
/// assert_eq!(key.configuration_value(), "\"0123456789abcdef0123456789abcdef\"");
/// assert_eq!(format!("{key:?}"), "ServerKey(..)");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerKey(Zeroizing<String>);

impl ServerKey {
    /// Returns the key in quotes, for the server's configuration or for an environment variable to
    /// which the configuration refers. Without quotes, the server would parse some keys as numbers.
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
    // Allocates the full capacity at once, because growing would leave copies of the key in memory.
    let mut quoted = Zeroizing::new(String::with_capacity(text.len() + 2));
    quoted.push('"');
    let pem = text.starts_with("-----BEGIN ");
    for (number, line) in text.lines().map(str::trim).enumerate() {
        let frame = pem && line.starts_with("-----");
        if !frame {
            // Without PEM framing, a second line is not part of a key.
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

/// Reads a file that only its owner can access. Permissions are checked on the open file, so that
/// the checked file is the one that is read.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed =
        |error: std::io::Error| invalid(format!("{} cannot be read: {error}", path.display())).with_source(error);
    let file = File::open(path).map_err(failed)?;
    check_private(&file, path)?;
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize));
    file.take(MAX_FILE_BYTES).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| {
        let message = format!("the permissions of {} cannot be read: {error}", path.display());
        invalid(message).with_source(error)
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!(
        "{} has mode {mode:03o}, which lets users other than its owner access it: run chmod 600",
        path.display()
    );
    Err(invalid(message))
}

/// Access control lists of other systems are not checked; securing the file is up to its
/// administrator.
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
