//! The limit for the batches that are read ahead or being stored.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bounds the total size in bytes of the batches that exist at a time.
#[derive(Clone, Debug)]
pub(crate) struct InFlight(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_bytes: u64,
    held_bytes: Mutex<u64>,
    released: Condvar,
}

/// The room of one batch, which is released when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    of: InFlight,
    bytes: u64,
}

impl InFlight {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self(Arc::new(Shared { max_bytes, held_bytes: Mutex::default(), released: Condvar::new() }))
    }

    /// Blocks until there is room for a batch. A batch above the limit waits until there is no
    /// other one.
    pub(super) fn reserve(&self, bytes: u64) -> Room {
        let Shared { max_bytes, released, .. } = &*self.0;
        let is_full = |held: &mut u64| *held > 0 && *held + bytes > *max_bytes;
        let waited = released.wait_while(self.held_bytes(), is_full);
        *waited.unwrap_or_else(PoisonError::into_inner) += bytes;
        Room { of: self.clone(), bytes }
    }

    fn held_bytes(&self) -> MutexGuard<'_, u64> {
        self.0.held_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        *self.of.held_bytes() -= self.bytes;
        self.of.0.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reserves room for `sizes` in another thread, and returns how many batches fit at a time.
    fn groups(max_bytes: u64, sizes: &[u64]) -> Vec<usize> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (in_flight, sizes) = (InFlight::new(max_bytes), sizes.to_vec());
        let reader = std::thread::spawn(move || {
            sizes.into_iter().for_each(|bytes| sender.send(in_flight.reserve(bytes)).expect("received"));
        });
        let mut groups = Vec::new();
        while let Ok(first) = receiver.recv() {
            let mut held = vec![first];
            // Long enough for everything that fits beside it.
            held.extend(std::iter::from_fn(|| receiver.recv_timeout(std::time::Duration::from_millis(200)).ok()));
            groups.push(held.len());
        }
        reader.join().expect("everything fits at last");
        groups
    }

    #[test]
    fn reading_waits_while_too_many_bytes_are_in_flight() {
        assert_eq!(groups(100, &[60, 60, 40]), [1, 2]);
        assert_eq!(groups(100, &[30, 30, 40]), [3]);
        assert_eq!(groups(100, &[1, 1000, 1]), [1, 1, 1], "a batch above the limit is alone");
    }
}
