//! CIDs in data for people: a string in JSON and its like, bytes elsewhere.
//!
//! For `#[serde(with = "cim_ipld_index::cid_text")]`; the type's own form is that of DAG-CBOR,
//! which JSON shows as a list of numbers.
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

use crate::content_id;

/// Writes a CID.
///
/// # Errors
///
/// What the serializer returns.
pub fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.collect_str(cid) } else { cid.to_bytes().serialize(serializer) }
}

/// Reads a CID.
///
/// # Errors
///
/// What the deserializer returns, and its custom error for what is no CID.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
    if deserializer.is_human_readable() {
        content_id::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    } else {
        content_id::from_bytes(&Vec::<u8>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
