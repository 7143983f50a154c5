//! Why a connection did not come about. From afar all of it looks like an outage; the cause is
//! below the client's error.

use std::error::Error as StdError;
use std::io;

use async_nats::rustls::{AlertDescription, Error as TlsError};
use async_nats::{ConnectError, ConnectErrorKind, ServerError};
use cim_ipld_backend::{Error, ErrorKind};

/// What is wrong, what that means to a caller, and what to do.
type Reason = (ErrorKind, String, &'static str);

const CREDENTIALS: &str = "check the user and password, token, NKey or credentials file";
const CERTIFICATE: &str =
    "name the authority that signed the server's certificate (a CA file), and the server as the certificate names it";
const CLIENT_CERTIFICATE: &str = "give a client certificate and its key that the server's authority has signed";
const NO_TLS: &str = "ask for the server without TLS (nats://), or have TLS turned on there";
const NOBODY: &str = "start a server at that address, or correct the address and port";
const SILENCE: &str = "check the address and the network; a server that begins with TLS wants its clients to begin with it too (TLS first)";
const NAME: &str = "correct the host's name, or check that names can be looked up here";

pub(crate) fn of_connect(error: ConnectError) -> Error {
    let (kind, what, hint) = reason(&error);
    Error::new(kind, format!("no connection to the NATS server: {what}")).with_hint(hint).with_source(error)
}

fn reason(error: &ConnectError) -> Reason {
    let below = || error.source().map_or_else(|| error.kind().to_string(), ToString::to_string);
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            (ErrorKind::Unauthenticated, "it refuses the credentials: authorization violation".to_owned(), CREDENTIALS)
        }
        ConnectErrorKind::Authentication => {
            (ErrorKind::Unauthenticated, "its challenge could not be signed with the key given".to_owned(), CREDENTIALS)
        }
        ConnectErrorKind::Dns => (ErrorKind::Unavailable, format!("its name is not known: {}", below()), NAME),
        ConnectErrorKind::TimedOut => (ErrorKind::Unavailable, "it did not answer in time".to_owned(), SILENCE),
        ConnectErrorKind::Tls => (ErrorKind::Untrusted, format!("TLS cannot be begun: {}", below()), CERTIFICATE),
        _ => of_causes(error).unwrap_or_else(|| (ErrorKind::Unavailable, below(), SILENCE)),
    }
}

/// Looks for a cause that is understood, from the outermost to the innermost.
fn of_causes(error: &ConnectError) -> Option<Reason> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<TlsError>() {
            return Some(of_tls(tls));
        }
        if let Some(server) = error.downcast_ref::<ServerError>() {
            return Some(of_server(server));
        }
        let io = error.downcast_ref::<io::Error>();
        if let Some(io) = io.filter(|io| io.get_ref().is_none()) {
            return of_io(io);
        }
        // The source of an I/O error is the source of what it holds, and not that itself.
        cause = match io.and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

fn of_io(error: &io::Error) -> Option<Reason> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => (ErrorKind::Unavailable, "connection refused".to_owned(), NOBODY),
        _ => (ErrorKind::Unavailable, error.to_string(), SILENCE),
    })
}

fn of_tls(error: &TlsError) -> Reason {
    match error {
        TlsError::InvalidCertificate(_) => {
            (ErrorKind::Untrusted, format!("its certificate is not trusted: {error}"), CERTIFICATE)
        }
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure,
        ) => (ErrorKind::Unauthenticated, format!("it refuses the client's certificate: {error}"), CLIENT_CERTIFICATE),
        TlsError::InvalidMessage(_) => (ErrorKind::Untrusted, "it does not speak TLS".to_owned(), NO_TLS),
        _ => (ErrorKind::Untrusted, format!("TLS failed: {error}"), CERTIFICATE),
    }
}

/// What the server itself says before it hangs up.
fn of_server(error: &ServerError) -> Reason {
    let text = error.to_string();
    let lower = text.to_ascii_lowercase();
    let is_about = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if is_about(&["auth", "expired", "revoked", "permission"]) {
        return (ErrorKind::Unauthenticated, format!("it says: {text}"), CREDENTIALS);
    }
    if is_about(&["maximum", "exceeded"]) {
        return (ErrorKind::Full, format!("it says: {text}"), "close other connections, or have the limit raised");
    }
    (ErrorKind::Unavailable, format!("it says: {text}"), SILENCE)
}
