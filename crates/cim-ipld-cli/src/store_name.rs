//! The STORE argument as typed.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
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
    /// Returns the path of an archive, or `None` if this names a store. Whoever mistypes the scheme
    /// of a server must not see its password in an error, so a path with `://` is none.
    pub(crate) fn archive(&self) -> Option<&Path> {
        let is_store = self.0.starts_with("file:") || self.0.contains("://");
        (!is_store && !self.0.is_empty()).then(|| Path::new(&self.0))
    }

    pub(crate) fn as_typed(&self) -> &str {
        &self.0
    }
}
