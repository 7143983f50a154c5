use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::primitives::argon2id::{self, Cost};
use crate::secret::Secret;
use crate::{Error, ErrorKind, FileAccess, Result, key_file, key_text};

/// The maximum number of key slots of a keyset. It bounds the cost of opening a keyset, because a
/// passphrase is tried on each passphrase slot.
pub const MAX_SLOTS: usize = 16;

/// A passphrase. Its memory is zeroized on drop.
///
/// The bytes are used unchanged, without trimming or Unicode normalization.
///
/// ```
/// use cim_ipld_envelope::Passphrase;
///
/// let passphrase = Passphrase::new(String::from("correct horse battery staple"))?;
/// assert_eq!(format!("{passphrase:?}"), "Passphrase(..)");
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Creates a passphrase, taking ownership of its bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) if it is empty.
    pub fn new(passphrase: impl Into<Vec<u8>>) -> Result<Self> {
        let passphrase = Zeroizing::new(passphrase.into());
        if passphrase.is_empty() {
            return Err(Error::invalid_request("a passphrase must not be empty"));
        }
        Ok(Self(passphrase))
    }

    /// Reads a passphrase from a file, without a leading byte order mark or a trailing newline.
    ///
    /// # Errors
    ///
    /// * [`KeyFilePermissions`](ErrorKind::KeyFilePermissions) if users other than the owner have
    ///   any access to it, or it belongs to another user (Unix).
    /// * [`InvalidKeyFile`](ErrorKind::InvalidKeyFile) if it is empty, larger than 64 KiB, or
    ///   UTF-16 text.
    /// * [`Io`](ErrorKind::Io) if it cannot be read.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_file_as(path, FileAccess::OwnerOnly)
    }

    /// Reads a passphrase from a file with the permissions that `access` allows.
    ///
    /// # Errors
    ///
    /// As for [`read_file`](Self::read_file), except that `access` decides whether the group may
    /// read the file.
    pub fn read_file_as(path: impl AsRef<Path>, access: FileAccess) -> Result<Self> {
        let path = path.as_ref();
        let mut content = key_file::read_private(path, access)?;
        let unmarked = key_text::unmarked(&content).map_err(|refusal| {
            let message = format!("the passphrase file {} cannot be used: {}", path.display(), refusal.what);
            Error::new(ErrorKind::InvalidKeyFile, message).with_hint(refusal.hint)
        })?;
        let marks = content.len() - unmarked.len();
        content.drain(..marks);
        if content.ends_with(b"\n") {
            content.pop();
            if content.ends_with(b"\r") {
                content.pop();
            }
        }
        if content.is_empty() {
            let message = format!("the passphrase file {} is empty", path.display());
            return Err(Error::new(ErrorKind::InvalidKeyFile, message));
        }
        Ok(Self(content))
    }

    /// Checks that a passphrase is long enough for a new slot, because an attacker with a copy of
    /// the store can try passphrases without limit. Passphrases of existing slots are not checked.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) if it has fewer than
    /// [`MIN_NEW_CHARACTERS`](Self::MIN_NEW_CHARACTERS) characters.
    pub fn check_new(&self) -> Result<()> {
        // In UTF-8, every byte except continuation bytes starts a character.
        let characters = self.0.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        if characters < Self::MIN_NEW_CHARACTERS {
            let message = format!("the passphrase has fewer than {} characters", Self::MIN_NEW_CHARACTERS);
            let hint = "choose a longer one, ideally several words: an attacker with a copy of the store can try millions of short ones";
            return Err(Error::invalid_request(message).with_hint(hint));
        }
        Ok(())
    }

    /// The minimum number of characters that [`check_new`](Self::check_new) accepts.
    pub const MIN_NEW_CHARACTERS: usize = 8;

    /// Returns a copy of the passphrase.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Runs Argon2id. The caller must have checked `profile`.
    pub(crate) fn derive(&self, profile: &Argon2Profile, salt: &[u8; PASSPHRASE_SALT_BYTES]) -> Result<Secret> {
        argon2id::derive(profile.0, &self.0, salt)
            .map_err(|error| Error::limit(format!("these Argon2id parameters cannot be used: {error}")))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

pub(crate) const PASSPHRASE_SALT_BYTES: usize = 16;

/// The cost of deriving a key from a passphrase with Argon2id (RFC 9106).
///
/// The default is the second recommended profile of RFC 9106: 64 MiB, 3 passes, 4 lanes.
///
/// The profile is stored in the key slot of the passphrase. Because a record may come from hostile
/// storage, the cost that it demands is bounded *before* anything is allocated. A higher profile in
/// the [`KeySource`](crate::KeySource) passed when opening raises the bounds:
///
/// * A slot may demand at most [`MAX_MEMORY_KIB`](Self::MAX_MEMORY_KIB),
///   [`MAX_PASSES`](Self::MAX_PASSES) and [`MAX_LANES`](Self::MAX_LANES), or the values of the
///   profile passed if these are higher.
/// * The product of memory and passes of a slot may be at most `MAX_MEMORY_KIB` × `MAX_PASSES`, or
///   the product of the profile passed if it is higher.
/// * The products of all passphrase slots of a record together may be at most twice
///   `MAX_MEMORY_KIB` × `MAX_PASSES`, or sixteen times the product of the profile passed if that is
///   more. Slots that fail the individual rules are skipped and do not count.
///
/// A change that adds a passphrase slot is refused if the resulting keyset would lock others out:
/// the total must be acceptable to a caller who opens the keyset with the default profile, and to
/// one who opens it with the profile of any of its passphrase slots. A single slot beyond the
/// bounds can be created, but only callers that pass a profile at least as large can open it; for
/// others it is skipped.
///
/// ```
/// use cim_ipld_envelope::{Argon2Profile, ErrorKind};
///
/// let profile = Argon2Profile::default();
/// assert_eq!((profile.memory_kib(), profile.passes(), profile.lanes()), (64 * 1024, 3, 4));
/// assert_eq!(Argon2Profile::new(8, 1, 4).unwrap_err().kind(), ErrorKind::Limit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Profile(Cost);

impl Argon2Profile {
    /// RFC 9106, section 4, first recommended option: 2 GiB, 1 pass, 4 lanes.
    pub const RFC_9106_FIRST: Self = Self(Cost { memory_kib: 2 * 1024 * 1024, passes: 1, lanes: 4 });
    /// RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes.
    pub const RFC_9106_SECOND: Self = Self(Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 });

    /// The maximum memory that a record may demand if the profile passed is smaller: 256 MiB.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The maximum number of passes that a record may demand if the profile passed has fewer.
    pub const MAX_PASSES: u32 = 8;
    /// The maximum number of lanes that a record may demand if the profile passed has fewer.
    pub const MAX_LANES: u32 = 16;

    /// Creates a profile of `memory_kib` KiB, `passes` and `lanes`.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if Argon2id does not define these parameters: at least one pass,
    /// one lane, and 8 KiB per lane are required.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self> {
        let defined = passes >= 1 && (1..=0xff_ffff).contains(&lanes) && memory_kib / 8 >= lanes;
        if !defined {
            return Err(Error::limit("Argon2id requires at least one pass, one lane, and 8 KiB of memory per lane"));
        }
        Ok(Self(Cost { memory_kib, passes, lanes }))
    }

    /// Returns the memory in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.0.memory_kib
    }

    /// Returns the number of passes over the memory.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.0.passes
    }

    /// Returns the number of lanes.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.0.lanes
    }

    /// The maximum cost of a slot if the profile passed costs less.
    const DEAREST_KIB_PASSES: u64 = Self::MAX_MEMORY_KIB as u64 * Self::MAX_PASSES as u64;

    /// Checks a profile from a record; `self` is the profile passed when opening.
    pub(crate) fn accept(&self, stored: &Self) -> Result<()> {
        let within = stored.memory_kib() <= self.memory_kib().max(Self::MAX_MEMORY_KIB)
            && stored.passes() <= self.passes().max(Self::MAX_PASSES)
            && stored.lanes() <= self.lanes().max(Self::MAX_LANES)
            && stored.kib_passes() <= self.kib_passes().max(Self::DEAREST_KIB_PASSES);
        if within {
            return Ok(());
        }
        Err(Error::limit(format!(
            "the record demands {} KiB, {} passes and {} lanes of Argon2id, which exceeds the limits: specify a profile at least as large to accept it",
            stored.memory_kib(),
            stored.passes(),
            stored.lanes()
        )))
    }

    /// Checks the total cost of the passphrase slots of a record that are acceptable individually;
    /// `self` is the profile passed when opening. The sum of the products of memory and passes may
    /// be at most twice `MAX_MEMORY_KIB` × `MAX_PASSES`, or [`MAX_SLOTS`] times the product of the
    /// profile passed if that is higher. Slots that fail the individual rules are skipped and do
    /// not count.
    pub(crate) fn accept_all<'a>(&self, stored: impl Iterator<Item = &'a Self>) -> Result<()> {
        let accepted = (2 * Self::DEAREST_KIB_PASSES).max(self.kib_passes().saturating_mul(MAX_SLOTS as u64));
        let costs = stored.filter(|stored| self.accept(stored).is_ok()).map(Self::kib_passes);
        let asked = costs.fold(0, u64::saturating_add);
        if asked <= accepted {
            return Ok(());
        }
        Err(Error::limit("the passphrase slots of the record together demand more Argon2id work than is accepted"))
    }

    /// Checks that the total cost of the slots is accepted with the default profile and with the
    /// profile of every slot. A writer must not create a record that locks out the owners of other
    /// slots.
    pub(crate) fn check_written(slots: &[Self]) -> Result<()> {
        let openers = slots.iter().copied().chain([Self::default()]);
        openers.into_iter().try_for_each(|own| own.accept_all(slots.iter())).map_err(|_| {
            Error::limit(
                "the passphrase slots of the keyset together would demand more Argon2id work than readers accept: use \
                 smaller profiles or fewer slots",
            )
        })
    }

    /// The time of a derivation is proportional to this.
    fn kib_passes(&self) -> u64 {
        u64::from(self.memory_kib()) * u64::from(self.passes())
    }
}

impl Default for Argon2Profile {
    fn default() -> Self {
        Self::RFC_9106_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(memory_kib: u32, passes: u32) -> Argon2Profile {
        Argon2Profile::new(memory_kib, passes, 1).expect("a defined profile")
    }

    /// Sums saturate.
    #[test]
    fn encryption_passphrase_costs_never_overflow() {
        let most = profile(u32::MAX, u32::MAX);
        assert!(most.accept_all([most; MAX_SLOTS].iter()).is_ok());
        assert!(profile(u32::MAX, 1).accept(&most).is_err());
    }

    /// A profile with much memory and one pass does not let a record demand that memory with more
    /// passes.
    #[test]
    fn encryption_passphrase_cost_of_one_slot_is_bounded() {
        let own = Argon2Profile::RFC_9106_FIRST;
        assert!(own.accept(&own).is_ok());
        assert!(own.accept(&profile(Argon2Profile::MAX_MEMORY_KIB, Argon2Profile::MAX_PASSES)).is_ok());
        assert!(own.accept(&profile(own.memory_kib(), 2)).is_err());
        assert!(own.accept(&profile(Argon2Profile::MAX_MEMORY_KIB + 1, Argon2Profile::MAX_PASSES)).is_err());
    }
}
