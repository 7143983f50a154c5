//! A thread-local pool of working memory, so that searches neither allocate nor clear it anew.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// The maximum number of idle buffers of each type.
const MAX_IDLE: usize = 32;

/// Idle buffers.
pub(crate) type Pool<T> = RefCell<Vec<Box<T>>>;

/// A buffer that can be pooled.
pub(crate) trait Recycle: Sized + 'static {
    /// Creates a buffer.
    fn make() -> Self;

    /// Resets the buffer for the next search. Returns whether to keep it.
    fn reset(&mut self) -> bool;

    /// Returns the pool of the current thread.
    fn pool() -> &'static LocalKey<Pool<Self>>;
}

/// A buffer taken from the pool, which returns to it when dropped.
#[derive(Debug)]
pub(crate) struct Pooled<T: Recycle>(Option<Box<T>>);

impl<T: Recycle> Pooled<T> {
    pub(super) fn new() -> Self {
        let idle = T::pool().try_with(|idle| idle.borrow_mut().pop()).ok().flatten();
        Self(Some(idle.unwrap_or_else(|| Box::new(T::make()))))
    }
}

impl<T: Recycle> Drop for Pooled<T> {
    fn drop(&mut self) {
        let Some(mut own) = self.0.take() else { return };
        if own.reset() {
            // A thread that is shutting down no longer has a pool.
            let _ = T::pool().try_with(|idle| {
                let mut idle = idle.borrow_mut();
                if idle.len() < MAX_IDLE {
                    idle.push(own);
                }
            });
        }
    }
}

impl<T: Recycle> Deref for Pooled<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(own) => own,
            None => unreachable!("only a drop takes it"),
        }
    }
}

impl<T: Recycle> DerefMut for Pooled<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(own) => own,
            None => unreachable!("only a drop takes it"),
        }
    }
}
