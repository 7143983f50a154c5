use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Keeps secrets out of core dumps and swap, as far as the platform allows, and reports the result.
///
/// It covers the keys of this crate: key-encryption keys, keyset keys, data keys and long-lived
/// derived keys. It does not cover the memory of Argon2id while a passphrase is tried (zeroized
/// afterwards, but never locked), copies on the stack while a cipher runs, plaintext, hibernation,
/// or processes that are allowed to read this one's memory.
///
/// ```no_run
/// use cim_ipld_envelope::{MemoryProtection, ProtectionStatus};
///
/// // First thing in main: keys created earlier are not protected.
/// let protection = MemoryProtection::enable();
/// if protection.key_memory != ProtectionStatus::Active {
///     eprintln!("keys may be swapped to disk: {:?}", protection.key_memory);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryProtection {
    /// Whether core dumps of this process are disabled. On Linux this also prevents other processes
    /// of the same user, including debuggers, from attaching to it.
    pub core_dumps: ProtectionStatus,
    /// Whether keys created from now on are locked in memory.
    pub key_memory: ProtectionStatus,
}

/// The status of a protection.
///
/// ```
/// use cim_ipld_envelope::ProtectionStatus;
///
/// fn warning(status: &ProtectionStatus) -> Option<String> {
///     match status {
///         ProtectionStatus::Active => None,
///         ProtectionStatus::Refused(reason) => Some(reason.clone()),
///         _ => Some("not supported on this platform".to_owned()),
///     }
/// }
/// assert_eq!(warning(&ProtectionStatus::Active), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectionStatus {
    /// The protection is active.
    Active,
    /// The platform does not support the protection.
    Unsupported,
    /// The platform refused the protection, for the given reason.
    Refused(String),
}

impl MemoryProtection {
    /// Disables core dumps of this process, and locks in memory every key that is created from now
    /// on.
    ///
    /// Each locked key counts as one page towards the limit on locked memory (`RLIMIT_MEMLOCK` on
    /// Unix). Keys beyond the limit are not locked, and [`unlocked_keys`](Self::unlocked_keys)
    /// counts them.
    #[must_use]
    pub fn enable() -> Self {
        let key_memory = match LockedPage::new() {
            Ok(_) => {
                LOCK_KEYS.store(true, Ordering::Relaxed);
                ProtectionStatus::Active
            }
            Err(error) => ProtectionStatus::Refused(error.to_string()),
        };
        Self { core_dumps: disable_core_dumps(), key_memory }
    }

    /// Returns the number of secrets of this process that are not locked in memory.
    #[must_use]
    pub fn unlocked_keys() -> usize {
        UNLOCKED.load(Ordering::Relaxed)
    }
}

static LOCK_KEYS: AtomicBool = AtomicBool::new(false);
static UNLOCKED: AtomicUsize = AtomicUsize::new(0);

/// Zeroed memory for one secret, locked if locking is enabled and the limit permits.
pub(crate) enum SecretMemory {
    Plain(Box<[u8; 32]>),
    Locked(LockedPage),
}

impl SecretMemory {
    pub(crate) fn new() -> Self {
        if LOCK_KEYS.load(Ordering::Relaxed)
            && let Ok(page) = LockedPage::new()
        {
            return Self::Locked(page);
        }
        UNLOCKED.fetch_add(1, Ordering::Relaxed);
        Self::Plain(Box::new([0; 32]))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Locked(page) => page.memory.bytes(),
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Locked(page) => page.memory.bytes_mut(),
        }
    }
}

impl Drop for SecretMemory {
    fn drop(&mut self) {
        if let Self::Plain(_) = self {
            UNLOCKED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A page with exactly one secret, because unlocking a page would unlock anything else on it.
pub(crate) struct LockedPage {
    /// Dropped first, so that the page is unlocked before it is freed.
    _lock: region::LockGuard,
    memory: Box<Page>,
}

impl LockedPage {
    fn new() -> region::Result<Self> {
        if region::page::size() > size_of::<Page>() {
            return Err(region::Error::InvalidParameter("the page size is larger than 16 KiB"));
        }
        let memory = Box::new(Page([0; PAGE_BYTES]));
        let lock = region::lock(memory.0.as_ptr(), 32)?;
        Ok(Self { _lock: lock, memory })
    }
}

const PAGE_BYTES: usize = 16 * 1024;

#[repr(C, align(16384))]
struct Page([u8; PAGE_BYTES]);

impl Page {
    fn bytes(&self) -> &[u8; 32] {
        self.0.first_chunk().expect("a page is larger than a secret")
    }

    fn bytes_mut(&mut self) -> &mut [u8; 32] {
        self.0.first_chunk_mut().expect("a page is larger than a secret")
    }
}

#[cfg(unix)]
fn disable_core_dumps() -> ProtectionStatus {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    // A dump to a pipe ignores the limit (core(5)), hence the second step.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let limited =
        limited.and_then(|()| rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    match limited {
        Ok(()) => ProtectionStatus::Active,
        Err(error) => ProtectionStatus::Refused(error.to_string()),
    }
}

#[cfg(not(unix))]
fn disable_core_dumps() -> ProtectionStatus {
    ProtectionStatus::Unsupported
}
