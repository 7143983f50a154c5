//! The STORE argument as typed.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// It may contain a password, so neither errors nor `Debug` show it.
#[derive(Clone)]
pub(crate) struct StoreName(String);

impl FromStr for StoreName {
    type Err = Infallible;

    /// Accepts any text, because clap would print a refused value including its password.
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
