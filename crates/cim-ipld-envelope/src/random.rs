use ring::rand::{SecureRandom, SystemRandom};

/// Returns `N` bytes from the cryptographic random generator of the operating system.
///
/// ```
/// let a: [u8; 16] = cim_ipld_envelope::random();
/// assert_ne!(a, cim_ipld_envelope::random());
/// ```
///
/// # Panics
///
/// If the operating system cannot supply randomness, without which no operation is safe.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills `bytes` like [`random`], so that a secret is generated at its final location.
#[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the only source of randomness"))]
pub(crate) fn fill(bytes: &mut [u8]) {
    #[cfg(test)]
    if seeded::fill(bytes) {
        return;
    }
    SystemRandom::new().fill(bytes).expect("the operating system must supply randomness");
}

/// Reproducible bytes instead of randomness, so that the tests of this crate can freeze the format.
#[cfg(test)]
pub(crate) mod seeded {
    use std::cell::RefCell;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use crate::primitives::hash::sha256;

    thread_local! {
        static SEED: RefCell<Option<(String, u64)>> = const { RefCell::new(None) };
    }

    /// Runs `body` with randomness that depends only on `seed`.
    pub(crate) fn with<R>(seed: &str, body: impl FnOnce() -> R) -> R {
        SEED.set(Some((seed.to_owned(), 0)));
        let result = body();
        SEED.set(None);
        result
    }

    /// Runs a future that never waits, on the seeded thread.
    pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => unreachable!("nothing in these tests waits"),
        }
    }

    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        SEED.with_borrow_mut(|seed| {
            let Some((seed, draws)) = seed else { return false };
            for chunk in bytes.chunks_mut(32) {
                *draws += 1;
                chunk.copy_from_slice(&sha256(&[seed.as_bytes(), &draws.to_le_bytes()])[..chunk.len()]);
            }
            true
        })
    }
}
