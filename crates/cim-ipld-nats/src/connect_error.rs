//! Determines why connecting failed. The client reports most failures with the same kind of error;
//! the actual cause is among the sources of that error.

use std::error::Error as StdError;
use std::io;

use async_nats::rustls::{AlertDescription, Error as TlsError};
use async_nats::{ConnectError, ConnectErrorKind, ServerError};
use cim_ipld_backend::{Error, ErrorKind};

/// The kind, a description and a hint.
type Reason = (ErrorKind, String, &'static str);

const CREDENTIALS: &str = "check the user and password, token, NKey or credentials file";
const CERTIFICATE: &str =
    "trust the authority that signed the server's certificate (a CA file), and use the host name in the certificate";
const CLIENT_CERTIFICATE: &str = "use a client certificate and key signed by an authority that the server trusts";
const NO_TLS: &str = "connect without TLS (nats://), or turn on TLS at the server";
const NOBODY: &str = "start a server at that address, or correct the address and port";
const SILENCE: &str = "check the address and the network; if the server starts with the TLS handshake, set tls_first";
const NAME: &str = "correct the host name, or check the name resolution of this machine";

pub(crate) fn from_client(error: ConnectError) -> Error {
    let (kind, what, hint) = reason(&error);
    Error::new(kind, format!("connecting to the NATS server failed: {what}")).with_hint(hint).with_source(error)
}

fn reason(error: &ConnectError) -> Reason {
    let below = || error.source().map_or_else(|| error.kind().to_string(), ToString::to_string);
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            (ErrorKind::Unauthenticated, "it rejected the credentials: authorization violation".to_owned(), CREDENTIALS)
        }
        ConnectErrorKind::Authentication => {
            (ErrorKind::Unauthenticated, "its challenge could not be signed with the given key".to_owned(), CREDENTIALS)
        }
        ConnectErrorKind::Dns => {
            (ErrorKind::Unavailable, format!("its host name could not be resolved: {}", below()), NAME)
        }
        ConnectErrorKind::TimedOut => (ErrorKind::Unavailable, "it did not respond in time".to_owned(), SILENCE),
        ConnectErrorKind::Tls => (ErrorKind::Untrusted, format!("TLS could not be set up: {}", below()), CERTIFICATE),
        _ => of_causes(error).unwrap_or_else(|| (ErrorKind::Unavailable, below(), SILENCE)),
    }
}

/// Looks for a known cause, from the outermost source to the innermost.
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
        // `source` of an I/O error skips the error it wraps.
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
        ) => (ErrorKind::Unauthenticated, format!("it rejected the client certificate: {error}"), CLIENT_CERTIFICATE),
        TlsError::InvalidMessage(_) => (ErrorKind::Untrusted, "it does not speak TLS".to_owned(), NO_TLS),
        _ => (ErrorKind::Untrusted, format!("TLS failed: {error}"), CERTIFICATE),
    }
}

/// Converts the error message that the server sends before it closes the connection.
fn of_server(error: &ServerError) -> Reason {
    let text = error.to_string();
    let lower = text.to_ascii_lowercase();
    let is_about = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if is_about(&["auth", "expired", "revoked", "permission"]) {
        return (ErrorKind::Unauthenticated, format!("it reported: {text}"), CREDENTIALS);
    }
    if is_about(&["maximum", "exceeded"]) {
        return (ErrorKind::Full, format!("it reported: {text}"), "close other connections, or raise the limit");
    }
    (ErrorKind::Unavailable, format!("it reported: {text}"), SILENCE)
}
