//! Server addresses: one URL or a comma-separated list, as in other NATS clients.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;
use cim_ipld_backend::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

const SCHEMES: [&str; 2] = ["nats", "tls"];

/// The servers of one cluster. `Debug`, `Display` and errors never show the credentials in a URL.
///
/// ```
/// use cim_ipld_nats::ServerList;
///
/// let servers: ServerList = "nats://ann:s3cret@one.example.org:4222,two.example.org".parse()?;
/// assert_eq!(servers.to_string(), "nats://one.example.org:4222,nats://two.example.org");
/// assert_eq!(servers.addresses().collect::<Vec<_>>(), ["one.example.org:4222", "two.example.org"]);
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerList {
    servers: Vec<Server>,
    user: Option<UserInfo>,
}

#[derive(Clone, PartialEq, Eq)]
struct Server {
    scheme: &'static str,
    /// Host and port, as given.
    address: String,
}

/// The decoded credentials before the host of a URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum UserInfo {
    Password(Zeroizing<String>, Zeroizing<String>),
    Token(Zeroizing<String>),
}

impl ServerList {
    /// Parses a list, and returns it with the text after the first `/` that follows its last
    /// server. A program may use that text as the name of an index.
    ///
    /// ```
    /// use cim_ipld_nats::ServerList;
    ///
    /// let (servers, path) = ServerList::with_path("nats://one:4222,two:4222/notes")?;
    /// assert_eq!((servers.addresses().count(), path), (2, "notes"));
    /// # Ok::<(), cim_ipld_backend::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) if `text` is not such a list.
    pub fn with_path(text: &str) -> Result<(Self, &str)> {
        let last = text.rfind(',').map_or(0, |comma| comma + 1);
        let host = last + text[last..].find("://").map_or(0, |scheme| scheme + 3);
        let end = text[host..].find('/').map_or(text.len(), |slash| host + slash);
        Ok((text[..end].parse()?, text[end..].strip_prefix('/').unwrap_or_default()))
    }

    /// Returns the addresses, as `HOST:PORT` or `HOST`.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| server.address.as_str())
    }

    pub(crate) fn user(&self) -> Option<&UserInfo> {
        self.user.as_ref()
    }

    /// Returns the addresses for the client. They contain no credentials, because the client logs
    /// addresses.
    pub(crate) fn for_client(&self) -> Result<Vec<ServerAddr>> {
        self.servers.iter().map(|server| server.to_string().parse().map_err(|_| no_server())).collect()
    }
}

impl FromStr for ServerList {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut list = Self { servers: Vec::new(), user: None };
        let mut scheme = SCHEMES[0];
        for part in text.split(',') {
            let rest = match part.split_once("://") {
                Some((named, rest)) => {
                    scheme = SCHEMES.into_iter().find(|known| *known == named).ok_or_else(no_server)?;
                    rest
                }
                None => part,
            };
            let (user, address) = rest.rsplit_once('@').map_or((None, rest), |(user, address)| (Some(user), address));
            check_address(address)?;
            if let Some(user) = user.map(UserInfo::parse).transpose()? {
                if list.user.as_ref().is_some_and(|known| *known != user) {
                    return Err(Error::new(
                        ErrorKind::InvalidSettings,
                        "the servers in the list have different credentials: use the same for the whole cluster",
                    ));
                }
                list.user = Some(user);
            }
            list.servers.push(Server { scheme, address: address.to_owned() });
        }
        Ok(list)
    }
}

impl UserInfo {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text.split_once(':') {
            Some((user, password)) => Self::Password(decoded(user)?, decoded(password)?),
            None => Self::Token(decoded(text)?),
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

/// Shows the list without credentials.
impl fmt::Display for ServerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, server) in self.servers.iter().enumerate() {
            write!(f, "{}{server}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerList({self})")
    }
}

fn check_address(address: &str) -> Result<()> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(no_server)?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(no_server)?) })
        }
        None => address.rsplit_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let in_brackets = address.starts_with('[');
    let is_sound = !host.is_empty() && host.chars().all(|c| is_host(c) || (in_brackets && matches!(c, ':' | '%')));
    if !is_sound {
        return Err(no_server());
    }
    match port {
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(port.parse::<u16>(), Ok(1..)) => {
            Err(Error::new(ErrorKind::InvalidSettings, "the port of a NATS server is invalid: expected 1 to 65535"))
        }
        _ => Ok(()),
    }
}

/// Decodes the percent-encoding of a part of a URL (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => (high << 4 | low) as u8,
                _ => return Err(no_server()),
            },
            plain => plain,
        });
    }
    std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| no_server())
}

/// The text is not quoted in the error, because it may contain a password.
fn no_server() -> Error {
    let message =
        "the address of the NATS server is invalid: expected nats://HOST:PORT, or several separated by commas";
    Error::new(ErrorKind::InvalidSettings, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_shown_without_credentials() {
        for (text, shown, path) in [
            ("nats://localhost", "nats://localhost", ""),
            ("nats://localhost:4222/notes", "nats://localhost:4222", "notes"),
            ("localhost:4222", "nats://localhost:4222", ""),
            ("nats://a:1,b:2/notes", "nats://a:1,nats://b:2", "notes"),
            ("nats://a:1,nats://b:2/notes", "nats://a:1,nats://b:2", "notes"),
            ("tls://ann:s3cret@a,b", "tls://a,tls://b", ""),
            ("nats://ann:s3cret@a,nats://ann:s3cret@b", "nats://a,nats://b", ""),
            ("nats://ann:s%40cret@a", "nats://a", ""),
            ("nats://ann:s@cret@a", "nats://a", ""),
            ("nats://t0ken@[::1]:4222/x", "nats://[::1]:4222", "x"),
            ("nats://a/b/c", "nats://a", "b/c"),
        ] {
            let (list, rest) = ServerList::with_path(text).expect(text);
            assert_eq!((list.to_string().as_str(), rest), (shown, path), "{text}");
            assert!(!format!("{list:?}").contains("cret") && list.for_client().is_ok(), "{list:?}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused_without_being_quoted() {
        for text in [
            "",
            "nats://",
            "nats://:4222",
            "nats://s3cret@",
            "http://s3cret@a",
            "nats://s3cret@a:99999",
            "nats://s3cret@a:0",
            "nats://a:s3cret",
            "nats://s3cret@a b",
            "nats://s3cret@a?x=1",
            "nats://a,,b",
            "nats://x/s3cret,b",
            "nats://s3cret%@a",
            "nats://s3cret%ff@a",
            "nats://ann:s3cret@a,nats://bob:s3cret@b",
            "nats://[::1",
        ] {
            let refused = ServerList::with_path(text).expect_err(text);
            assert_eq!(refused.kind(), ErrorKind::InvalidSettings);
            assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
        }
    }
}
