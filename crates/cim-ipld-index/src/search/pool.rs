//! Memory that searches of one thread use one after another, so that none is allocated or cleared
//! for each of them.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// So many of a kind wait for the next search of the thread.
const MAX_IDLE: usize = 32;

/// What waits.
pub(crate) type Pool<T> = RefCell<Vec<Box<T>>>;

/// What can be lent.
pub(crate) trait Recycle: Sized + 'static {
    /// Makes one, if none waits.
    fn make() -> Self;

    /// Prepares it for the next search; says whether it is to wait for that.
    fn reset(&mut self) -> bool;

    /// Returns the thread's store.
    fn pool() -> &'static LocalKey<Pool<Self>>;
}

/// Belongs to one search, until it is dropped.
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
            // A thread that ends has no store any more.
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
