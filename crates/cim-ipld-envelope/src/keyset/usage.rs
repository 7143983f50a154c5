use crate::EncryptionAlgorithm;

/// The usage of a data key.
///
/// ```
/// use cim_ipld_envelope::Usage;
///
/// let usage = Usage::default();
/// assert_eq!((usage.seals, usage.blocks), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The number of objects, values and wrappers sealed.
    pub seals: u64,
    /// The number of 16-byte blocks sealed.
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

/// The published limits of a key, with which the usage of data keys is compared.
///
/// Each object is sealed with a subkey of its own, so no single key approaches its limits.
/// Comparing the total usage of a data key with the limits of a single key is an additional safety
/// margin: when a limit is near, [`rotation_due`](super::DataKeyInfo::rotation_due) returns true,
/// but sealing is not refused.
///
/// ```
/// use cim_ipld_envelope::{EncryptionAlgorithm, Usage, UsageLimits};
///
/// let limits = UsageLimits::of(EncryptionAlgorithm::AES256GCM);
/// assert_eq!(limits.seals, 1 << 32);
/// assert!(!limits.nearly_reached_by(&Usage::default()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageLimits {
    /// The maximum number of objects: 2^32 with a 96-bit nonce (NIST SP 800-38D, section 8.3, for
    /// random nonces), and 2^48 with a 192-bit nonce. No document sets a limit for 192-bit nonces;
    /// among 2^48 random ones, the probability of a repetition is below 2^-96.
    pub seals: u64,
    /// The maximum number of objects and blocks together: for AES-256-GCM sqrt(p) * 2^(129/2) - 1
    /// at p = 2^-50, which is 2^39.5 (draft-irtf-cfrg-aead-limits, section 5.1.1).
    /// ChaCha20-Poly1305 has no such limit.
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

    /// Returns whether three quarters of a limit are used.
    #[must_use]
    pub fn nearly_reached_by(&self, usage: &Usage) -> bool {
        let near = |limit: u64| limit - limit / 4;
        usage.seals >= near(self.seals) || usage.blocks.saturating_add(usage.seals) >= near(self.blocks)
    }
}
