//! Argon2id version 1.3 (RFC 9106).

use argon2::{Algorithm, Argon2, AssociatedData, Block, Params, Version};
use zeroize::Zeroize;

use crate::secret::Secret;

/// The cost parameters of RFC 9106: m in KiB, t, p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

/// Derives 32 bytes. The caller must have bounded `cost`, which determines the memory allocated.
pub(crate) fn derive(cost: Cost, passphrase: &[u8], salt: &[u8]) -> Result<Secret, argon2::Error> {
    derive_with(cost, passphrase, salt, None, AssociatedData::EMPTY)
}

fn derive_with(
    cost: Cost,
    passphrase: &[u8],
    salt: &[u8],
    secret: Option<&[u8]>,
    associated: AssociatedData,
) -> Result<Secret, argon2::Error> {
    let mut params = argon2::ParamsBuilder::new();
    params.m_cost(cost.memory_kib).t_cost(cost.passes).p_cost(cost.lanes).output_len(32).data(associated);
    let params: Params = params.build()?;
    let argon2 = match secret {
        Some(secret) => Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)?,
        None => Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
    };
    let mut memory = WipedBlocks::new(argon2.params().block_count())?;
    Secret::try_fill_with(|out| argon2.hash_password_into_with_memory(passphrase, salt, out, &mut memory))
}

/// The memory of Argon2id, zeroized on drop: the derived key is a hash of its last column.
struct WipedBlocks(Vec<Block>);

impl WipedBlocks {
    /// Allocates the memory, or returns an error if it is not available; a profile may demand a
    /// lot.
    fn new(blocks: usize) -> Result<Self, argon2::Error> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| argon2::Error::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        Ok(Self(memory))
    }
}

impl AsMut<[Block]> for WipedBlocks {
    fn as_mut(&mut self) -> &mut [Block] {
        &mut self.0
    }
}

impl Drop for WipedBlocks {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
        #[cfg(test)]
        tests::WIPED.with(|wiped| wiped.set(self.0.iter().filter(|block| is_zero(block)).count()));
    }
}

#[cfg(test)]
fn is_zero(block: &Block) -> bool {
    block.as_ref().iter().all(|&word| word == 0)
}

#[cfg(test)]
pub(crate) fn derive_rfc(cost: Cost, passphrase: &[u8], salt: &[u8], secret: &[u8], associated: &[u8]) -> Secret {
    let associated = AssociatedData::new(associated).expect("short associated data");
    derive_with(cost, passphrase, salt, Some(secret), associated).expect("the RFC's parameters are valid")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// The number of blocks that the last derivation on this thread left zeroized.
        pub(super) static WIPED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn encryption_passphrase_memory_is_wiped() {
        derive(Cost { memory_kib: 64, passes: 1, lanes: 1 }, b"secret", &[1; 16]).expect("derived");
        assert_eq!(WIPED.get(), 64);
    }

    /// Insufficient memory is an error, not an abort.
    #[test]
    fn encryption_passphrase_memory_may_be_missing() {
        assert_eq!(WipedBlocks::new(usize::MAX / 2).err(), Some(argon2::Error::OutOfMemory));
    }
}
