//! Visits every match of a query over one source.

use super::cursor::END;
use super::evaluator::Evaluator;
use super::window::{WINDOW, WINDOW_WORDS, Window};
use crate::budget::meter::Account;
use crate::encoding::docset::BitSet;
use crate::error::Result;

/// Calls `each` with the first document and the matches of every window that has any.
pub(super) fn visit(
    eval: &mut Evaluator<'_>,
    allowed: Option<&BitSet>,
    account: &Account,
    mut each: impl FnMut(u32, &Window),
) -> Result<()> {
    let mut window = Window::new();
    let mut from = 0;
    loop {
        let document = eval.next(from)?;
        if document == END {
            return Ok(());
        }
        let start = document / WINDOW * WINDOW;
        eval.eval(start, &mut window)?;
        if let Some(allowed) = allowed {
            let words = allowed.words().get((start / 64) as usize..).unwrap_or_default();
            window.retain(|index| words.get(index).copied().unwrap_or(0));
        }
        account.charge(WINDOW_WORDS + window.mask.iter().map(|word| word.count_ones() as usize).sum::<usize>())?;
        each(start, &window);
        window.clear();
        from = start + WINDOW;
    }
}
