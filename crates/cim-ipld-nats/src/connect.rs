//! A connection of our own: with the credentials of its URL, and an ear for refused permissions.

use std::str::FromStr;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use cim_ipld_backend::{Error, ErrorKind, Result};

use crate::denials::Denials;

pub(crate) async fn connect(url: &str, denials: Denials) -> Result<Client> {
    // Neither the URL nor what the client says of it goes into an error: it may hold a password.
    let address = ServerAddr::from_str(url).map_err(|_| not_an_address())?;
    let options = ConnectOptions::new().name("cim-ipld").event_callback(move |event| {
        denials.note(&event);
        std::future::ready(())
    });
    // The client itself passes over what stands before the host.
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => options.user_and_password(decoded(user)?, decoded(password)?),
        (Some(token), None) => options.token(decoded(token)?),
        (None, _) => options,
    };
    options.connect(address).await.map_err(|error| {
        let kind = match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("the NATS server cannot be reached: {}", error.kind()))
    })
}

/// Undoes the percent-encoding of a part of a URL (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => (high << 4 | low) as u8,
                _ => return Err(not_an_address()),
            },
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| not_an_address())
}

fn not_an_address() -> Error {
    Error::new(ErrorKind::InvalidSettings, "the address of the NATS server is none: expected nats://HOST:PORT")
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn credentials_are_decoded() {
        for (text, expected) in [
            ("plain", Some("plain")),
            ("a%40b%3Ac", Some("a@b:c")),
            ("%C3%A4", Some("ä")),
            ("%", None),
            ("%4", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(text).ok().as_deref(), expected, "{text}");
        }
    }
}
