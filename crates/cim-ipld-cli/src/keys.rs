//! Keys and passphrases, which come from files and never from the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cim_ipld::envelope::{EncryptionAlgorithm, EncryptionKey, FileAccess, KeySource, Passphrase};

use crate::args::{KeyArguments, NewKeyArguments};
use crate::failure::{Failure, Result};

const KEY_FILE: &str = "CIM_KEY_FILE";
const PASSPHRASE_FILE: &str = "CIM_PASSPHRASE_FILE";

/// The file of a key or passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyFile {
    Key(PathBuf),
    Passphrase(PathBuf),
}

impl KeyFile {
    /// Returns the file named by the options, or otherwise by the environment.
    pub(crate) fn chosen(arguments: &KeyArguments) -> Result<Option<Self>> {
        choose(arguments, |name| std::env::var_os(name))
    }

    pub(crate) fn new_one(arguments: &NewKeyArguments) -> Result<Self> {
        match (&arguments.new_key_file, &arguments.new_passphrase_file) {
            (Some(file), None) => Ok(Self::Key(file.clone())),
            (None, Some(file)) => Ok(Self::Passphrase(file.clone())),
            _ => Err(Failure::usage(
                "exactly one of --new-key-file and --new-passphrase-file is required",
                "create a key file with `cim key generate FILE`",
            )),
        }
    }

    pub(crate) fn read(&self, access: FileAccess) -> Result<KeySource> {
        Ok(match self {
            Self::Key(file) => EncryptionKey::read_file_as(file, access)?.into(),
            Self::Passphrase(file) => Passphrase::read_file_as(file, access)?.into(),
        })
    }

    /// Like [`read`](Self::read), for a new key or passphrase.
    pub(crate) fn read_new(&self, access: FileAccess) -> Result<KeySource> {
        if let Self::Passphrase(file) = self {
            let passphrase = Passphrase::read_file_as(file, access)?;
            passphrase.check_new().map_err(|error| Failure::from(error).at(file.display()))?;
            return Ok(passphrase.into());
        }
        self.read(access)
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Key(file) | Self::Passphrase(file) => file,
        }
    }
}

/// Returns the algorithm of a key, or `None` for a passphrase.
pub(crate) fn own_algorithm(key: &KeySource) -> Option<EncryptionAlgorithm> {
    match key {
        KeySource::Key(key) => Some(key.algorithm()),
        _ => None,
    }
}

fn choose(arguments: &KeyArguments, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<KeyFile>> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (&arguments.key_file, &arguments.passphrase_file) {
        (Some(file), _) => Ok(Some(KeyFile::Key(file.clone()))),
        (None, Some(file)) => Ok(Some(KeyFile::Passphrase(file.clone()))),
        (None, None) => match (path(KEY_FILE), path(PASSPHRASE_FILE)) {
            (Some(_), Some(_)) => Err(Failure::usage(
                format!("{KEY_FILE} and {PASSPHRASE_FILE} are both set"),
                "unset one of them, or choose one with --key-file or --passphrase-file",
            )),
            (Some(file), None) => Ok(Some(KeyFile::Key(file))),
            (None, Some(file)) => Ok(Some(KeyFile::Passphrase(file))),
            (None, None) => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_before_the_environment() {
        let key = |file: &str| Some(KeyFile::Key(file.into()));
        let passphrase = |file: &str| Some(KeyFile::Passphrase(file.into()));
        // --key-file, --passphrase-file, then the variables; `None` if refused.
        for (options, variables, expected) in [
            ((None, None), (None, None), Some(None)),
            ((Some("k"), None), (None, None), Some(key("k"))),
            ((None, Some("p")), (None, None), Some(passphrase("p"))),
            ((None, None), (Some("K"), None), Some(key("K"))),
            ((None, None), (None, Some("P")), Some(passphrase("P"))),
            ((None, None), (Some(""), Some("P")), Some(passphrase("P"))),
            ((Some("k"), None), (Some("K"), Some("P")), Some(key("k"))),
            ((None, Some("p")), (Some("K"), None), Some(passphrase("p"))),
            ((None, None), (Some("K"), Some("P")), None),
        ] {
            let arguments =
                KeyArguments { key_file: options.0.map(PathBuf::from), passphrase_file: options.1.map(PathBuf::from) };
            let variable = |name: &str| if name == KEY_FILE { variables.0 } else { variables.1 }.map(OsString::from);
            assert_eq!(choose(&arguments, variable).ok(), expected, "{options:?} {variables:?}");
        }
    }
}
