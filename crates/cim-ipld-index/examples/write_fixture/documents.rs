//! The documents of the fixtures: every field, every form of list, and a document of several pages.
//! They never change.

use cim_ipld_index::{Document, DocumentKind, Timestamp, Value};
use multihash::Multihash;

pub(crate) const DOCUMENTS: u64 = 400;

pub(crate) fn document(n: u64) -> Document {
    let mut digest = [0u8; 32];
    digest[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let cid = cid::Cid::new_v1(0x55, Multihash::wrap(0x1e, &digest).expect("a digest of 32 bytes"));
    let mut text = format!("a word and everywhere a Café, word {} of {}", n % 90, n / 3);
    for (every, word) in [(3, " third"), (5, " fifth"), (50, " rare rare rare")] {
        if n.is_multiple_of(every) {
            text.push_str(word);
        }
    }
    if n == 123 {
        text.push_str(&" long".repeat(40_000));
    }
    let document = Document::new(cid)
        .with_title(format!("Number {n}"))
        .with_author(if n.is_multiple_of(2) { "A. Writer" } else { "Another Writer" })
        .with_content_type("text/plain")
        .with_kind(DocumentKind::from_code((n % 4) as u8).unwrap_or_default())
        .with_created_at(Timestamp(1_700_000_000_000 + n as i64 * 86_400_000))
        .with_size(n)
        .with_text(text)
        .with_tag(format!("tag {}", n % 11))
        .with_attribute("weight", Value::Integer(n as i64 * 7 - 500))
        .with_attribute("ratio", Value::Float(n as f64 / 8.0))
        .with_attribute("note", Value::Text(format!("noted under {}", n % 13)));
    let document = if n.is_multiple_of(7) { document.with_tag("Seventh") } else { document };
    document.with_attribute("shelf", Value::Keyword(if n.is_multiple_of(2) { "upper" } else { "lower" }.to_owned()))
}
