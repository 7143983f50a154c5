use std::fmt;

use bincode::{Decode, Encode};
use cim_ipld_envelope::ObjectNames;

/// The secret from which the names of objects are derived. Whoever has it can recognize those
/// objects in the store, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub(crate) struct NameSecret(pub(crate) [u8; 32]);

impl NameSecret {
    pub(crate) fn names(self) -> ObjectNames {
        ObjectNames::from_secret(self.0)
    }
}

impl fmt::Debug for NameSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameSecret(..)")
    }
}
