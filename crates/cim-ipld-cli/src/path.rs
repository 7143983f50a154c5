//! Parses the folder in `file:…`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::failure::{Failure, Result};

/// Parses the text after `file:`: a literal path, a path below the home folder, or the rest of a
/// `file://` URL.
pub(crate) fn folder(text: &str, home: Option<OsString>) -> Result<PathBuf> {
    if let Some(url) = text.strip_prefix("//") {
        return of_url(url);
    }
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = home.filter(|home| !home.is_empty()).map(PathBuf::from).ok_or_else(|| {
                Failure::usage("STORE starts with ~, but HOME is not set", "set HOME, or write the full path")
            })?;
            Ok(match rest.trim_start_matches('/') {
                "" => home,
                rest => home.join(rest),
            })
        }
        Some(_) => Err(Failure::usage(
            "the home folders of other users are not supported",
            "write the full path, or file:./~NAME for a folder of that name here",
        )),
        None if text.is_empty() => {
            Err(Failure::usage("STORE does not name a folder", "give file:FOLDER or nats://HOST:PORT[/INDEX]"))
        }
        None => Ok(text.into()),
    }
}

/// Parses `HOST/PATH` of a URL (RFC 8089): the host must be this one, and the path is absolute and
/// percent-encoded.
fn of_url(url: &str) -> Result<PathBuf> {
    let (host, path) = url.find('/').map_or((url, ""), |start| url.split_at(start));
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return Err(Failure::usage(
            format!("file://{host}/… is on another machine"),
            "for a relative path, write file:FOLDER; for an absolute path, write file:///FOLDER",
        ));
    }
    let path = decoded(path).filter(|path| !path.is_empty());
    path.map(PathBuf::from).ok_or_else(|| {
        Failure::usage(
            "the URL in STORE does not name a folder",
            "write file:///FOLDER with %25 for a percent sign, or file:FOLDER",
        )
    })
}

/// Decodes percent-encoding (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => (digit(rest.next())? << 4 | digit(rest.next())?) as u8,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_in_several_ways() {
        for (text, expected) in [
            ("notes", Some("notes")),
            ("./my notes", Some("./my notes")),
            ("/var/lib/cim", Some("/var/lib/cim")),
            ("a%20b", Some("a%20b")),
            ("~", Some("/users/ann")),
            ("~/notes", Some("/users/ann/notes")),
            ("./~", Some("./~")),
            ("~bob/notes", None),
            ("///var/a%20b", Some("/var/a b")),
            ("//localhost/var", Some("/var")),
            ("//LOCALHOST/var", Some("/var")),
            ("//server/var", None),
            ("//notes", None),
            ("//", None),
            ("///a%2", None),
            ("", None),
        ] {
            let read = folder(text, Some("/users/ann".into())).ok();
            assert_eq!(read, expected.map(PathBuf::from), "{text:?}");
        }
        assert!(folder("~/notes", None).is_err());
    }
}
