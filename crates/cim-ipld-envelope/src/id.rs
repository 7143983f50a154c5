use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result, hex, random};

/// Defines a random id of fixed size whose text form is lowercase hexadecimal.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Generates an id from the randomness of the operating system.
            #[must_use]
            pub fn random() -> Self {
                Self(random())
            }

            /// Creates an id from its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let mut bytes = [0; $bytes];
                hex::decode_into(text.as_bytes(), &mut bytes).ok_or_else(|| {
                    Error::invalid_request(concat!("the id is invalid: expected ", $bytes, " bytes in hexadecimal"))
                })?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&hex::encode(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

random_id! {
    /// The identity of a store. It is bound into every object, so that objects of other stores
    /// cannot be opened.
    ///
    /// ```
    /// use cim_ipld_envelope::IndexId;
    ///
    /// let id = IndexId::random();
    /// assert_eq!(id.to_string().parse::<IndexId>()?, id);
    /// # Ok::<(), cim_ipld_envelope::Error>(())
    /// ```
    IndexId, 16
}

random_id! {
    /// The identity of a data key. It is random and never derived from the key.
    ///
    /// ```
    /// use cim_ipld_envelope::DataKeyId;
    ///
    /// assert_eq!(DataKeyId::from_bytes([0xab; 8]).to_string(), "abababababababab");
    /// ```
    DataKeyId, 8
}

random_id! {
    /// The identity of a key slot of a keyset.
    ///
    /// ```
    /// use cim_ipld_envelope::SlotId;
    ///
    /// assert_eq!("0102030405060708".parse::<SlotId>()?, SlotId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
    /// # Ok::<(), cim_ipld_envelope::Error>(())
    /// ```
    SlotId, 8
}
