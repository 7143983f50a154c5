use std::fmt;

use zeroize::Zeroize;

use crate::memory::SecretMemory;

/// The size of all symmetric secrets of this crate.
pub(crate) const SECRET_BYTES: usize = 32;

/// 32 secret bytes that never move in memory and are zeroized on drop.
pub(crate) struct Secret(SecretMemory);

impl Secret {
    /// Fills a new secret in place, so that no copy is left on the stack.
    pub(crate) fn fill_with(fill: impl FnOnce(&mut [u8; SECRET_BYTES])) -> Self {
        let mut secret = Self(SecretMemory::new());
        fill(secret.0.bytes_mut());
        secret
    }

    pub(crate) fn try_fill_with<E>(fill: impl FnOnce(&mut [u8; SECRET_BYTES]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(SecretMemory::new());
        fill(secret.0.bytes_mut())?;
        Ok(secret)
    }

    /// Copies the bytes and zeroizes the original.
    pub(crate) fn take(bytes: &mut [u8; SECRET_BYTES]) -> Self {
        let secret = Self::fill_with(|out| out.copy_from_slice(bytes));
        bytes.zeroize();
        secret
    }

    pub(crate) fn random() -> Self {
        Self::fill_with(|out| crate::random::fill(out))
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self::fill_with(|out| out.copy_from_slice(self.as_bytes()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        self.0.bytes()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.bytes_mut().zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
