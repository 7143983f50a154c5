use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Keeps secrets out of core dumps and swap, as far as the platform allows, and says how far that
/// was.
///
/// It covers the keys that this crate holds: key-encryption keys, keyset keys, data keys and what
/// is derived from them to stay. Out of its reach are Argon2id's memory while a passphrase is tried
/// (wiped after, but never locked), copies on the stack while a cipher runs, the plaintext itself,
/// hibernation, and whoever may read the process's memory anyway.
///
/// ```no_run
/// use cim_ipld_envelope::{MemoryProtection, Protection};
///
/// // First thing in main: keys made earlier stay where they are.
/// let protection = MemoryProtection::enable();
/// if protection.key_memory != Protection::Active {
///     eprintln!("keys may be swapped to disk: {:?}", protection.key_memory);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryProtection {
    /// Whether this process can no longer write a core dump. On Linux this also keeps other
    /// processes of the same user from attaching to it, debuggers included.
    pub core_dumps: Protection,
    /// Whether keys made from here on are locked into memory.
    pub key_memory: Protection,
}

/// Whether a protection is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// It is.
    Active,
    /// The platform has no such thing.
    Unsupported,
    /// The platform said no; the text says why.
    Refused(String),
}

impl MemoryProtection {
    /// Turns core dumps off for this process, and locks every key made from here on into memory of
    /// its own.
    ///
    /// Each locked key takes one page of the process's allowance for locked memory
    /// (`RLIMIT_MEMLOCK` on Unix). Keys beyond the allowance work as before, and
    /// [`unlocked_keys`](Self::unlocked_keys) counts them.
    #[must_use]
    pub fn enable() -> Self {
        let key_memory = match LockedPage::new() {
            Ok(_) => {
                LOCK_KEYS.store(true, Ordering::Relaxed);
                Protection::Active
            }
            Err(error) => Protection::Refused(error.to_string()),
        };
        Self { core_dumps: disable_core_dumps(), key_memory }
    }

    /// Counts the secrets of this process that live in memory which is not locked.
    #[must_use]
    pub fn unlocked_keys() -> usize {
        UNLOCKED.load(Ordering::Relaxed)
    }
}

static LOCK_KEYS: AtomicBool = AtomicBool::new(false);
static UNLOCKED: AtomicUsize = AtomicUsize::new(0);

/// Zeroed memory for one secret, locked when that is asked for and granted.
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

/// A page that holds one secret and nothing else, because unlocking it would unlock whatever else
/// it held.
pub(crate) struct LockedPage {
    /// Dropped first: the page is unlocked, then freed.
    _lock: region::LockGuard,
    memory: Box<Page>,
}

impl LockedPage {
    fn new() -> region::Result<Self> {
        if region::page::size() > size_of::<Page>() {
            return Err(region::Error::InvalidParameter("a page size of at most 16 KiB"));
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
fn disable_core_dumps() -> Protection {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    // A dump that goes to a pipe ignores the limit (core(5)), hence the second step.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let limited =
        limited.and_then(|()| rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    match limited {
        Ok(()) => Protection::Active,
        Err(error) => Protection::Refused(error.to_string()),
    }
}

#[cfg(not(unix))]
fn disable_core_dumps() -> Protection {
    Protection::Unsupported
}
