use std::path::PathBuf;

use cim_ipld_backend::{Error, ErrorKind, Result};

/// Configures the server's own encryption of JetStream's files: a second layer under this project's.
///
/// The server encrypts message blocks, without authenticating them; subjects, sizes, raft snapshots and stream backups are
/// not covered, and a change needs a restart. A client cannot see whether a server does it: this renders what its operator
/// puts into the server's configuration. Source: the NATS documentation on JetStream encryption at rest.
///
/// ```
/// use cim_ipld_nats::NatsEncryption;
///
/// let config = NatsEncryption {
///     enabled: true,
///     key_file: Some("/path/to/key.pem".into()),
///     cipher: "AES256".to_string(),
/// };
/// assert_eq!(config.server_cipher()?, "aes");
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsEncryption {
    /// Whether the server encrypts its files.
    pub enabled: bool,
    /// The file that holds the server's key.
    pub key_file: Option<PathBuf>,
    /// `AES256` (or `aes`), or `ChaCha20Poly1305` (or `chachapoly`).
    pub cipher: String,
}

impl NatsEncryption {
    /// Returns the server's name of the cipher.
    ///
    /// # Errors
    /// `InvalidName` when it is none that the server has.
    pub fn server_cipher(&self) -> Result<&'static str> {
        match self.cipher.to_ascii_lowercase().as_str() {
            "aes256" | "aes-256" | "aes" => Ok("aes"),
            "chacha20poly1305" | "chacha20-poly1305" | "chachapoly" | "chacha" => Ok("chachapoly"),
            _ => Err(Error::new(
                ErrorKind::InvalidName,
                format!("{:?} is no cipher of the NATS server: expected AES256 or ChaCha20Poly1305", self.cipher),
            )),
        }
    }

    /// Renders the members of the server's `jetstream { … }` block, with the key read from the environment variable of
    /// that name, so that the configuration holds no secret. Empty when encryption is not enabled.
    ///
    /// # Errors
    /// `InvalidName` for an unknown cipher or a variable that is no name.
    pub fn server_configuration(&self, key_variable: &str) -> Result<String> {
        if !self.enabled {
            return Ok(String::new());
        }
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if key_variable.is_empty() || !key_variable.bytes().all(valid) {
            let message = format!("{key_variable:?} is not the name of an environment variable");
            return Err(Error::new(ErrorKind::InvalidName, message));
        }
        Ok(format!("cipher: {}\nkey: ${key_variable}\n", self.server_cipher()?))
    }
}
