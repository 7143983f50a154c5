use ring::rand::{SecureRandom, SystemRandom};

/// Returns `N` bytes of the operating system's cryptographic randomness.
///
/// ```
/// let a: [u8; 16] = cim_ipld_envelope::random();
/// assert_ne!(a, cim_ipld_envelope::random());
/// ```
///
/// # Panics
///
/// When the operating system has no randomness to give. Nothing safe can be done without it, and no
/// caller could do better than to stop.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills `bytes` with what [`random`] returns, so that a secret is drawn where it stays.
pub(crate) fn fill(bytes: &mut [u8]) {
    #[cfg(test)]
    if seeded::fill(bytes) {
        return;
    }
    SystemRandom::new().fill(bytes).expect("the operating system must supply randomness");
}

/// Repeatable bytes in place of randomness, so that this crate's own tests can freeze what it
/// writes.
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

    /// Runs `body` with randomness that depends on `seed` alone.
    pub(crate) fn with<R>(seed: &str, body: impl FnOnce() -> R) -> R {
        SEED.set(Some((seed.to_owned(), 0)));
        let result = body();
        SEED.set(None);
        result
    }

    /// Runs a future that never waits, on the thread that is seeded.
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
