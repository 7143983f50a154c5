//! Memory that searches of one thread use one after another, so that none is allocated or cleared
//! for each of them.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// So many of a kind wait for the next search of the thread.
const MOST_SPARE: usize = 32;

/// What waits.
pub(crate) type Spare<T> = RefCell<Vec<Box<T>>>;

/// What can be lent.
pub(crate) trait Lend: Sized + 'static {
    /// Makes one, if none waits.
    fn make() -> Self;

    /// Prepares it for the next search; says whether it is to wait for that.
    fn reset(&mut self) -> bool;

    /// Returns the thread's store.
    fn spare() -> &'static LocalKey<Spare<Self>>;
}

/// Belongs to one search, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lent<T: Lend>(Option<Box<T>>);

impl<T: Lend> Lent<T> {
    pub(super) fn new() -> Self {
        let spare = T::spare().try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        Self(Some(spare.unwrap_or_else(|| Box::new(T::make()))))
    }
}

impl<T: Lend> Drop for Lent<T> {
    fn drop(&mut self) {
        let Some(mut own) = self.0.take() else { return };
        if own.reset() {
            // A thread that ends has no store any more.
            let _ = T::spare().try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < MOST_SPARE {
                    spare.push(own);
                }
            });
        }
    }
}

impl<T: Lend> Deref for Lent<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(own) => own,
            None => unreachable!("only a drop takes it"),
        }
    }
}

impl<T: Lend> DerefMut for Lent<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(own) => own,
            None => unreachable!("only a drop takes it"),
        }
    }
}
