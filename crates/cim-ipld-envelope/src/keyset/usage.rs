use crate::EncryptionAlgorithm;

/// How much one data key sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Objects sealed.
    pub seals: u64,
    /// Blocks of 16 bytes sealed.
    pub blocks: u64,
}

impl Usage {
    pub(crate) fn plus(self, more: Self) -> Self {
        Self { seals: self.seals.saturating_add(more.seals), blocks: self.blocks.saturating_add(more.blocks) }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { seals: self.seals.saturating_sub(earlier.seals), blocks: self.blocks.saturating_sub(earlier.blocks) }
    }
}

/// The published limits of one key, which data keys are held to although each object has a subkey
/// of its own.
///
/// A subkey seals one object, so no limit of a single key is ever near; an auditor who ignores that
/// finds the limits kept all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageLimits {
    /// The most objects. 2^32 where the nonce has 96 bits (NIST SP 800-38D, section 8.3, for random
    /// nonces); 2^48 where it has 192, which no document limits: among so many, random nonces
    /// repeat with a probability below 2^-96.
    pub seals: u64,
    /// The most objects and blocks together. For AES-256-GCM sqrt(p) * 2^(129/2) - 1 at p = 2^-50,
    /// which is 2^39.5 (draft-irtf-cfrg-aead-limits, section 5.1.1); ChaCha20-Poly1305 has no such
    /// limit.
    pub blocks: u64,
}

impl UsageLimits {
    /// Returns the limits of a key for `algorithm`.
    #[must_use]
    pub const fn of(algorithm: EncryptionAlgorithm) -> Self {
        match algorithm {
            EncryptionAlgorithm::AES256GCM => Self { seals: 1 << 32, blocks: 777_472_127_992 },
            EncryptionAlgorithm::ChaCha20Poly1305 => Self { seals: 1 << 32, blocks: u64::MAX },
            EncryptionAlgorithm::XChaCha20Poly1305 => Self { seals: 1 << 48, blocks: u64::MAX },
        }
    }

    /// Tells whether three quarters of a limit are used.
    #[must_use]
    pub fn nearly_reached_by(&self, usage: &Usage) -> bool {
        let near = |limit: u64| limit - limit / 4;
        usage.seals >= near(self.seals) || usage.blocks.saturating_add(usage.seals) >= near(self.blocks)
    }
}
