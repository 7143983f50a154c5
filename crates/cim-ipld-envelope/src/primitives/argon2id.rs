//! Argon2id version 1.3 (RFC 9106).

use argon2::{Algorithm, Argon2, AssociatedData, Params, Version};

use crate::secret::Secret;

/// Cost parameters as RFC 9106 names them: m in KiB, t, p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

/// Derives 32 bytes. The caller must have bounded `cost`: memory is allocated as it says.
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
    Secret::try_fill_with(|out| argon2.hash_password_into(passphrase, salt, out))
}

#[cfg(test)]
pub(crate) fn derive_rfc(cost: Cost, passphrase: &[u8], salt: &[u8], secret: &[u8], associated: &[u8]) -> Secret {
    let associated = AssociatedData::new(associated).expect("short associated data");
    derive_with(cost, passphrase, salt, Some(secret), associated).expect("the RFC's parameters are valid")
}
