//! Strict DAG-CBOR: a value has exactly one encoding, and therefore one CID.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, Result};

/// A type with a DAG-CBOR encoding: an encrypted value, or a wrapper that contains one.
pub(crate) trait DagCbor: Serialize + DeserializeOwned {
    /// Its name in error messages.
    const NAME: &'static str;

    /// The newest version that this build reads.
    const VERSION: u8;

    /// Decodes only the version of the encrypted value, whatever else a newer format contains.
    type Version: DeserializeOwned + Into<u8>;
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("these types have an encoding, and writing to memory does not fail")
}

/// Decodes `bytes`, and refuses them if encoding the decoded value does not reproduce them.
pub(crate) fn decode<T: DagCbor>(bytes: &[u8]) -> Result<T> {
    let damaged = || Error::new(ErrorKind::Damaged, format!("{} is not in canonical DAG-CBOR", T::NAME));
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|error| {
        // Error kinds do not pass through serde, so the version is decoded separately.
        match serde_ipld_dagcbor::from_slice::<T::Version>(bytes).map(Into::into) {
            Ok(version) if version > T::VERSION => Error::unsupported(T::NAME, version, T::VERSION),
            _ => damaged().with_source(error),
        }
    })?;
    if encode(&value) != bytes {
        return Err(damaged());
    }
    Ok(value)
}
