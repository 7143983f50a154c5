//! Key and passphrase files: small, and accessible only to their owner. Permissions are checked on
//! the open file, so that the checked file is the one that is read.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::key_text::{self, KEY_PREFIX};
use crate::secret::Secret;
use crate::{EncryptionAlgorithm, Error, ErrorKind, Result, hex};

/// An upper bound on the size of a key or passphrase file.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// The hint if only the group permission is too wide.
const GROUP_MAY_READ: &str = "restrict it to its owner (chmod 600), pass it through a pipe (/dev/stdin), or, for a \
                              container secret, permit group access in the settings";

pub(crate) struct KeyFile {
    pub(crate) algorithm: EncryptionAlgorithm,
    pub(crate) secret: Secret,
}

/// The users other than the owner that may read a key or passphrase file.
///
/// ```no_run
/// use cim_ipld_envelope::{EncryptionKey, FileAccess};
///
/// // A secret that is mounted into a container belongs to the superuser and a group.
/// let key = EncryptionKey::read_file_as("/run/secrets/store.key", FileAccess::GroupMayRead)?;
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileAccess {
    /// No user other than the owner.
    #[default]
    OwnerOnly,
    /// The group of the file, as for a secret mounted into a container (`0440`, owned by the
    /// superuser).
    GroupMayRead,
}

pub(crate) fn read_key(path: &Path, access: FileAccess) -> Result<KeyFile> {
    let content = read_private(path, access)?;
    let (algorithm, secret) = key_text::parse(&content).map_err(|refusal| refusal.into_error(path))?;
    Ok(KeyFile { algorithm, secret })
}

pub(crate) fn write_key(path: &Path, algorithm: EncryptionAlgorithm, secret: &Secret) -> Result<()> {
    let mut line = Zeroizing::new(String::with_capacity(128));
    line.push_str(KEY_PREFIX);
    line.push_str(algorithm.as_str());
    line.push(':');
    hex::push(&mut line, secret.as_bytes());
    line.push('\n');
    write_private(path, line.as_bytes()).map_err(|error| io_error("cannot write the key file", path, error))
}

/// Reads a private file.
pub(crate) fn read_private(path: &Path, access: FileAccess) -> Result<Zeroizing<Vec<u8>>> {
    if key_text::is_key(&path.to_string_lossy()) {
        let message = "expected the path of a key file, but found a key";
        let hint =
            "put the key into a file and pass its path; rotate this key, because the shell history may contain it now";
        return Err(Error::new(ErrorKind::InvalidKeyFile, message).with_hint(hint));
    }
    let cannot_read = |error| io_error("cannot read", path, error);
    let mut file = File::open(path).map_err(cannot_read)?;
    #[cfg(unix)]
    check_private(&file, path, rustix::process::geteuid().as_raw(), access)?;
    // Allocates the full capacity at once, because growing would leave copies of the secret in
    // memory.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    (&mut file).take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut content).map_err(cannot_read)?;
    if content.len() > MAX_FILE_BYTES {
        let message = format!("{} is larger than any key or passphrase file", path.display());
        return Err(Error::new(ErrorKind::InvalidKeyFile, message));
    }
    Ok(content)
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    create_private(path, |file| {
        file.write_all(content)?;
        file.sync_all()?;
        sync_folder_of(path)
    })
}

/// Creates a file that only its owner can access, and writes it. If writing fails, the file is
/// removed, because a partial key file would prevent the next attempt.
fn create_private(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    write(&mut file).inspect_err(|_| {
        // The first error is the relevant one.
        let _ = std::fs::remove_file(path);
    })
}

/// Makes the name of the file as durable as its content, because a store is lost if a crash loses
/// its key file. Some file systems do not support this operation (fsync(2): EINVAL) and persist
/// names in their own way.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Folders cannot be synced on other systems.
#[cfg(not(unix))]
fn sync_folder_of(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Checks the type, the permissions and the owner of an open file. Only Unix has this check: the
/// access control lists of other systems are not read.
#[cfg(unix)]
fn check_private(file: &File, path: &Path, user: u32, access: FileAccess) -> Result<()> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let metadata = file.metadata().map_err(|error| io_error("cannot read", path, error))?;
    let kind = metadata.file_type();
    // A shell passes the output of another program as a pipe.
    if !kind.is_file() && !kind.is_fifo() {
        let message = format!("{} is neither a file nor a pipe", path.display());
        return Err(Error::new(ErrorKind::InvalidKeyFile, message));
    }
    let mode = metadata.mode() & 0o777;
    let refused = match access {
        FileAccess::OwnerOnly => 0o077,
        FileAccess::GroupMayRead => 0o037,
    };
    if mode & refused != 0 {
        let message =
            format!("{} has mode {mode:03o}, which lets users other than its owner access it", path.display());
        let error = Error::new(ErrorKind::KeyFilePermissions, message);
        return Err(if mode & 0o037 == 0 { error.with_hint(GROUP_MAY_READ) } else { error });
    }
    // A file of a different user is refused even if this process can read it, as the superuser or
    // as a member of the group: that user knows the key and could replace it.
    let owner = metadata.uid();
    if owner != user && owner != 0 {
        let message = format!("{} belongs to user {owner}, but this process runs as user {user}", path.display());
        return Err(Error::new(ErrorKind::KeyFilePermissions, message));
    }
    Ok(())
}

fn io_error(what: &str, path: &Path, error: std::io::Error) -> Error {
    // If there is no such file and the text does not look like a path, it may be the secret itself.
    let is_path = |path: &Path| path.components().count() > 1 || path.extension().is_some();
    let missing = error.kind() == std::io::ErrorKind::NotFound && !is_path(path);
    if missing && path.to_string_lossy().contains(char::is_whitespace) {
        let message = format!("{what} the given file: {error}");
        return Error::new(ErrorKind::Io, message).with_source(error);
    }
    Error::new(ErrorKind::Io, format!("{what} {}: {error}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_key_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let failed = create_private(&path, |file| {
            file.write_all(b"cim-key-v1:")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.expect_err("the disk is full").kind(), std::io::ErrorKind::StorageFull);
        assert!(!path.exists());

        write_private(&path, b"first").expect("written");
        let again = write_private(&path, b"second").expect_err("the name is taken");
        assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("the file"), b"first", "an existing file is not removed");
    }

    /// A key file must belong to the user of the process or to the superuser.
    #[cfg(unix)]
    #[test]
    fn encryption_key_file_of_another_user_is_refused() {
        use std::os::unix::fs::{MetadataExt, chown};

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_private(&path, b"content").expect("written");
        if rustix::process::geteuid().is_root() {
            chown(&path, Some(4711), None).expect("the superuser gives files away");
            let refused = read_private(&path, FileAccess::default()).expect_err("another's file");
            assert!(refused.to_string().contains("belongs to user 4711"), "{refused}");
        }
        let file = File::open(&path).expect("opened");
        let owner = file.metadata().expect("metadata").uid();
        check_private(&file, &path, owner, FileAccess::default()).expect("the owner's own");
        let refused = check_private(&file, &path, owner + 1, FileAccess::default()).expect_err("another's file");
        assert_eq!(refused.kind(), ErrorKind::KeyFilePermissions);

        let folder_itself = File::open(folder.path()).expect("opened");
        let refused = check_private(&folder_itself, folder.path(), owner, FileAccess::default()).expect_err("a folder");
        assert_eq!(refused.kind(), ErrorKind::InvalidKeyFile);
    }
}
