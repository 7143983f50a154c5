//! STORE as it was typed.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// It may hold a password, so neither an error nor `Debug` shows it.
#[derive(Clone)]
pub(crate) struct StoreName(String);

impl FromStr for StoreName {
    type Err = Infallible;

    /// Takes anything: what clap refuses it prints, password and all.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreName(..)")
    }
}

impl StoreName {
    pub(crate) fn as_typed(&self) -> &str {
        &self.0
    }
}
