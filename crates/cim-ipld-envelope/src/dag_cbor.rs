//! Strict DAG-CBOR: one value has one encoding, and therefore one CID.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, Result};

/// A value with an encrypted value inside, or the encrypted value itself.
pub(crate) trait DagCbor: Serialize + DeserializeOwned {
    /// What errors call it.
    const NAME: &'static str;

    /// The newest version that this build reads.
    const VERSION: u8;

    /// Finds the version of the encrypted value, whatever else a newer format may hold.
    type Version: DeserializeOwned + Into<u8>;
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("these types have an encoding, and memory takes it")
}

/// Decodes `bytes`, refusing those that an encoding of the value would not give again.
pub(crate) fn decode<T: DagCbor>(bytes: &[u8]) -> Result<T> {
    let damaged = || Error::new(ErrorKind::Damaged, format!("{} is not in canonical DAG-CBOR", T::NAME));
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|error| {
        // A kind of error does not pass through serde.
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
