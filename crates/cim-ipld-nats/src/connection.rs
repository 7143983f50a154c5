//! Connection options: servers, credentials, TLS and subject prefixes.

use std::fmt;
use std::path::{Path, PathBuf};

use async_nats::ConnectOptions;
use cim_ipld_backend::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::servers::{ServerList, UserInfo};

const DEFAULT_API: &str = "$JS.API";
const DEFAULT_INBOX: &str = "_INBOX";

/// The options of a connection: the servers, the credentials, TLS, and subject prefixes. `Debug`
/// shows no secrets.
///
/// ```
/// use cim_ipld_nats::NatsConnection;
///
/// let connection = NatsConnection::to("tls://one.example.org,two.example.org")?
///     .credentials_file("notes.creds")
///     .ca_file("ca.pem")
///     .domain("hub")?;
/// assert_eq!(connection.servers().to_string(), "tls://one.example.org,tls://two.example.org");
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct NatsConnection {
    servers: ServerList,
    credentials: Credentials,
    ca_files: Vec<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    tls_first: bool,
    api_prefix: String,
    inbox_prefix: String,
}

#[derive(Clone)]
enum Credentials {
    /// The credentials in the URL, if any.
    OfUrl,
    Password(String, Zeroizing<String>),
    Token(Zeroizing<String>),
    NKeyFile(PathBuf),
    File(PathBuf),
}

impl NatsConnection {
    /// Returns options for the servers in `url`, a comma-separated list of `nats://HOST:PORT`, or
    /// `tls://HOST:PORT` to require TLS. A host may be preceded by `USER:PASSWORD@` or `TOKEN@`.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if `url` is not such a list. The error does
    /// not quote it.
    pub fn to(url: &str) -> Result<Self> {
        Ok(Self::to_servers(url.parse()?))
    }

    /// Returns options for a list of servers.
    pub fn to_servers(servers: ServerList) -> Self {
        Self {
            servers,
            credentials: Credentials::OfUrl,
            ca_files: Vec::new(),
            client_certificate: None,
            tls_first: false,
            api_prefix: DEFAULT_API.to_owned(),
            inbox_prefix: DEFAULT_INBOX.to_owned(),
        }
    }

    /// Authenticates with a user name and a password. Replaces credentials that were set earlier,
    /// as the other methods for credentials do.
    pub fn user_and_password(mut self, user: impl Into<String>, password: Zeroizing<String>) -> Self {
        self.credentials = Credentials::Password(user.into(), password);
        self
    }

    /// Authenticates with a token.
    pub fn token(mut self, token: Zeroizing<String>) -> Self {
        self.credentials = Credentials::Token(token);
        self
    }

    /// Authenticates with the NKey whose seed is in this file.
    pub fn nkey_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Credentials::NKeyFile(path.into());
        self
    }

    /// Authenticates with a credentials file (`.creds`), which contains a JWT and an NKey seed.
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Credentials::File(path.into());
        self
    }

    /// Trusts the certificate authorities in this PEM file instead of those of the system.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_files.push(path.into());
        self
    }

    /// Presents this client certificate to the server; both files are PEM.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Starts TLS before the server sends its first message (`handshake_first`).
    pub fn tls_first(mut self) -> Self {
        self.tls_first = true;
        self
    }

    /// Uses the JetStream domain `domain`, for example through a leaf node.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if `domain` is not a valid name.
    pub fn domain(self, domain: &str) -> Result<Self> {
        if domain.is_empty() || domain.contains('.') {
            return Err(invalid(format!("{domain:?} is not a valid JetStream domain: expected one word without dots")));
        }
        self.api_prefix(&format!("$JS.{domain}.API"))
    }

    /// Uses this prefix for the JetStream API instead of `$JS.API`, for an account that imports
    /// JetStream.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if `prefix` is not a valid subject.
    pub fn api_prefix(mut self, prefix: &str) -> Result<Self> {
        self.api_prefix = subject(prefix, "JetStream API prefix")?;
        Ok(self)
    }

    /// Uses this prefix for inboxes instead of `_INBOX`.
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if `prefix` is not a valid subject.
    pub fn inbox_prefix(mut self, prefix: &str) -> Result<Self> {
        self.inbox_prefix = subject(prefix, "inbox prefix")?;
        Ok(self)
    }

    /// Returns the servers.
    #[must_use]
    pub fn servers(&self) -> &ServerList {
        &self.servers
    }

    pub(crate) fn api(&self) -> &str {
        &self.api_prefix
    }

    pub(crate) fn inbox(&self) -> &str {
        &self.inbox_prefix
    }

    /// Reads the files and returns the options of the client.
    pub(crate) async fn options(&self) -> Result<ConnectOptions> {
        let mut options = ConnectOptions::new().name("cim-ipld").custom_inbox_prefix(&self.inbox_prefix);
        for file in
            self.ca_files.iter().chain(self.client_certificate.iter().flat_map(|(certificate, key)| [certificate, key]))
        {
            check_readable(file).await?;
        }
        for file in &self.ca_files {
            options = options.add_root_certificates(file.clone());
        }
        if let Some((certificate, key)) = &self.client_certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if self.tls_first {
            options = options.tls_first();
        }
        Ok(match (&self.credentials, self.servers.user()) {
            (Credentials::Password(user, password), _) => options.user_and_password(user.clone(), password.to_string()),
            (Credentials::Token(token), _) => options.token(token.to_string()),
            (Credentials::NKeyFile(path), _) => options.nkey(seed(path, &read(path).await?)?),
            (Credentials::File(path), _) => options.credentials(&read(path).await?).map_err(|_| {
                invalid(format!("{} is not a credentials file: expected a JWT and an NKey seed", path.display()))
            })?,
            (Credentials::OfUrl, Some(UserInfo::Password(user, password))) => {
                options.user_and_password(user.to_string(), password.to_string())
            }
            (Credentials::OfUrl, Some(UserInfo::Token(token))) => options.token(token.to_string()),
            (Credentials::OfUrl, None) => options,
        })
    }
}

impl fmt::Debug for NatsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConnection").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// Finds the seed among the comments and delimiters of a file.
fn seed(path: &Path, text: &str) -> Result<String> {
    let is_seed = |line: &&str| {
        line.starts_with('S') && line.len() >= 56 && line.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let seed = text.lines().map(str::trim).find(is_seed);
    seed.map(str::to_owned).ok_or_else(|| invalid(format!("{} does not contain an NKey seed", path.display())))
}

async fn read(path: &Path) -> Result<Zeroizing<String>> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, error))?;
    Ok(Zeroizing::new(text))
}

/// Checks a file here, because the client reports an unreadable file as a connection failure.
async fn check_readable(path: &Path) -> Result<()> {
    tokio::fs::File::open(path).await.map(drop).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    invalid(format!("{} cannot be read: {error}", path.display())).with_source(error)
}

fn subject(text: &str, what: &str) -> Result<String> {
    let text = text.trim_end_matches('.');
    let is_token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>')
    };
    match text.split('.').all(is_token) {
        true => Ok(text.to_owned()),
        false => Err(invalid(format!("{text:?} is not a valid {what}: expected words separated by dots"))),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSettings, message)
}
