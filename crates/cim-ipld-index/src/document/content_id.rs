//! Parses CIDs strictly, and normalizes them to one form per content.
//!
//! ```
//! use cim_ipld_index::content_id;
//!
//! let plain = content_id::parse("bafybeibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq")?;
//! assert_eq!(content_id::parse("QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5")?, plain);
//! assert_eq!(content_id::parse("https://ipfs.io/ipfs/QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5")?, plain);
//! # Ok::<(), content_id::ParseCidError>(())
//! ```

use std::fmt;

use cid::multibase::{self, Base};
use cid::{Cid, Version};

use crate::document::MAX_CID_BYTES;

/// The longest text form of a CID: base 2.
const MAX_TEXT_BYTES: usize = 8 * MAX_CID_BYTES + 1;
const V0_TEXT_BYTES: usize = 46;
const BELOW: ParseCidError = ParseCidError("a path follows the CID: use the CID of the target");

/// The reason why text or bytes are not a valid CID. It never quotes the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCidError(&'static str);

impl fmt::Display for ParseCidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ParseCidError {}

/// Parses a CID: in any multibase, as a CIDv0, with a leading `/ipfs/` or `ipfs://`, or in a
/// gateway URL. The result is [`canonical`], so that two spellings of one CID are equal.
///
/// # Errors
///
/// [`ParseCidError`] for anything but exactly one CID: trailing bytes after the digest, a
/// non-canonical multibase encoding, a CIDv0 in a multibase, a path below the CID, or an IPNS name.
pub fn parse(text: &str) -> Result<Cid, ParseCidError> {
    let cid = bare(text)?;
    if cid.len() > MAX_TEXT_BYTES {
        return Err(ParseCidError("invalid CID: too long"));
    }
    if cid.len() == V0_TEXT_BYTES && cid.starts_with("Qm") {
        let bytes = Base::Base58Btc.decode(cid).map_err(|_| ParseCidError("invalid CIDv0: not base58"))?;
        return from_bytes(&bytes).map(canonical);
    }
    let (base, bytes) = multibase::decode(cid).map_err(|_| ParseCidError("invalid CID: not a multibase encoding"))?;
    if base == Base::Identity || multibase::encode(base, &bytes) != cid {
        return Err(ParseCidError("invalid CID: not in the canonical form of its multibase"));
    }
    let cid = from_bytes(&bytes)?;
    match cid.version() {
        Version::V0 => Err(ParseCidError("invalid CID: a CIDv0 has no multibase")),
        Version::V1 => Ok(cid),
    }
}

/// Parses a CID in binary form.
///
/// # Errors
///
/// [`ParseCidError`] for bytes that are not exactly one CID in its shortest form.
pub fn from_bytes(bytes: &[u8]) -> Result<Cid, ParseCidError> {
    if bytes.len() > MAX_CID_BYTES {
        return Err(ParseCidError("invalid CID: too long"));
    }
    let cid = Cid::try_from(bytes).map_err(|_| ParseCidError("invalid CID: malformed bytes"))?;
    // A CID is a key: two encodings of one CID would be two documents.
    match cid.to_bytes() {
        canonical if canonical == bytes => Ok(cid),
        canonical if bytes.starts_with(&canonical) => {
            Err(ParseCidError("invalid CID: trailing bytes follow the digest"))
        }
        _ => Err(ParseCidError("invalid CID: a varint is not in its shortest form")),
    }
}

/// Returns the form under which content is indexed: a CIDv0 becomes the CIDv1 of the same bytes.
#[must_use]
pub fn canonical(cid: Cid) -> Cid {
    match cid.version() {
        Version::V0 => Cid::new_v1(cid.codec(), *cid.hash()),
        Version::V1 => cid,
    }
}

/// Strips the prefixes that IPFS programs put before a CID.
fn bare(text: &str) -> Result<&str, ParseCidError> {
    const IPNS: ParseCidError = ParseCidError("an IPNS name is not a CID: use the CID it resolves to");
    if ["/ipns/", "ipns://"].iter().any(|start| text.starts_with(start)) {
        return Err(IPNS);
    }
    if let Some(rest) = ["/ipfs/", "ipfs://"].iter().find_map(|start| text.strip_prefix(start)) {
        return end(rest.strip_prefix("ipfs/").unwrap_or(rest));
    }
    let Some(rest) = ["https://", "http://"].iter().find_map(|start| text.strip_prefix(start)) else {
        return Ok(text);
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.starts_with("ipns/") || host.contains(".ipns.") {
        return Err(IPNS);
    }
    match (path.strip_prefix("ipfs/"), host.split_once(".ipfs.")) {
        (Some(rest), _) => end(rest),
        (None, Some((cid, _))) if !cid.contains('.') => end(path).and_then(|below| match below {
            "" => Ok(cid),
            _ => Err(BELOW),
        }),
        _ => Err(ParseCidError("not an IPFS gateway URL, which has /ipfs/ before the CID")),
    }
}

/// Strips the query and the fragment, which do not change the content, and refuses a path, which
/// does.
fn end(rest: &str) -> Result<&str, ParseCidError> {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.split_once('/') {
        None | Some((_, "")) => Ok(rest.trim_end_matches('/')),
        Some(_) => Err(BELOW),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5";
    const V1: &str = "bafybeibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    fn cid() -> Cid {
        Cid::try_from(V1).expect("a CID")
    }

    #[test]
    fn every_spelling_of_a_name_is_the_same_cid() {
        let bases = [Base::Base2, Base::Base16Upper, Base::Base32Upper, Base::Base36Lower, Base::Base58Btc];
        let mut spellings: Vec<String> = bases.map(|base| multibase::encode(base, cid().to_bytes())).into();
        spellings.push(multibase::encode(Base::Base64UrlPad, cid().to_bytes()));
        for name in [V0, V1] {
            spellings.push(name.to_owned());
            for (before, after) in [
                ("/ipfs/", ""),
                ("/ipfs/", "/"),
                ("ipfs://", ""),
                ("ipfs://", "/?filename=a.pdf"),
                ("ipfs://ipfs/", ""),
                ("https://ipfs.io/ipfs/", ""),
                ("http://127.0.0.1:8080/ipfs/", "/#top"),
                ("https://", ".ipfs.dweb.link"),
                ("https://", ".ipfs.dweb.link/?download=true"),
            ] {
                spellings.push(format!("{before}{name}{after}"));
            }
        }
        for spelling in spellings {
            assert_eq!(parse(&spelling), Ok(cid()), "{spelling}");
        }
    }

    #[test]
    fn what_is_not_exactly_one_cid_is_refused_with_the_reason() {
        let bytes = cid().to_bytes();
        let v0 = Cid::try_from(V0).expect("a CID").to_bytes();
        let encoded = |bytes: &[u8]| multibase::encode(Base::Base32Lower, bytes);
        let mut long_version = vec![0x81, 0x00];
        long_version.extend(&bytes[1..]);
        for (text, reason) in [
            (encoded(&[&bytes[..], b"more"].concat()), "bytes follow"),
            (encoded(&[&bytes[..], &bytes[..]].concat()), "bytes follow"),
            (encoded(&bytes[..bytes.len() - 1]), "malformed"),
            (encoded(&long_version), "invalid CID"),
            (multibase::encode(Base::Base58Btc, &v0), "no multibase"),
            (encoded(&v0), "no multibase"),
            (format!("b{}", V1[1..].to_uppercase()), "multibase"),
            (V1.to_uppercase().replace('A', "a"), "multibase"),
            (format!(" {V1}"), "multibase"),
            (format!("{V1}\n"), "multibase"),
            (format!("{V0}x"), "multibase"),
            (V0.replace('N', "0"), "base58"),
            (format!("/ipfs/{V1}/a.txt"), "a path follows"),
            (format!("https://{V1}.ipfs.dweb.link/a.txt"), "a path follows"),
            (format!("/ipns/{V1}"), "IPNS"),
            (format!("https://{V1}.ipns.dweb.link"), "IPNS"),
            (format!("https://example.org/{V1}"), "gateway"),
            (format!("x/ipfs/{V1}"), "multibase"),
            ("b".repeat(2000), "too long"),
            (String::new(), "multibase"),
            ("notes".to_owned(), "invalid CID"),
        ] {
            let refused = parse(&text).expect_err(&text).to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn an_index_has_one_document_under_both_versions_of_its_name() {
        let (v0, v1) = (Cid::try_from(V0).expect("a CID"), cid());
        for (put, named) in [(v0, v1), (v1, v0)] {
            let index = crate::MemoryIndex::new();
            index.insert(&crate::Document::new(put).with_text("older")).expect("inserted");
            index.compact().expect("compacted");
            index.insert(&crate::Document::new(named).with_text("newer")).expect("inserted");
            assert_eq!(index.counts().expect("counted").documents, 1, "{put} {named}");
            let found = index.document(&put).expect("read").expect("it is there");
            assert_eq!((found.cid, found.text.as_deref()), (v1, Some("newer")));
            assert!(index.delete(&put).expect("deleted"), "{put}");
            assert_eq!(index.document(&named).expect("read"), None);
        }
    }
}
