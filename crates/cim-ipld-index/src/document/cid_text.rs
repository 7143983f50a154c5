//! Serde support that writes a CID as a string in human-readable formats and as bytes in others.
//!
//! Use it as `#[serde(with = "cim_ipld_index::cid_text")]`. By default, a CID serializes in its
//! DAG-CBOR form, which JSON renders as a list of numbers.
//!
//! ```
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Found {
//!     #[serde(with = "cim_ipld_index::cid_text")]
//!     cid: cid::Cid,
//! }
//!
//! let text = r#"{"cid":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}"#;
//! let found: Found = serde_json::from_str(text)?;
//! assert_eq!(serde_json::to_string(&found)?, text);
//! # Ok::<(), serde_json::Error>(())
//! ```

use cid::Cid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::content_id;

/// Serializes a CID.
///
/// # Errors
///
/// Any error from the serializer.
pub fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.collect_str(cid) } else { cid.to_bytes().serialize(serializer) }
}

/// Deserializes a CID.
///
/// # Errors
///
/// Any error from the deserializer, including its custom error for an invalid CID.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
    if deserializer.is_human_readable() {
        content_id::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    } else {
        content_id::from_bytes(&Vec::<u8>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
