//! Many words as one: documents in which they stand once are told by their length alone whether they can be among the
//! best.

use super::super::union::Union;
use super::Run;
use crate::score::{Points, TermScorer};

pub(super) fn run(union: &Union, run: &mut Run<'_, '_>) {
    let mut floor = 0;
    let mut enough = 256;
    for (index, word) in union.words().iter().enumerate() {
        let mut word = *word;
        if let Some(allowed) = run.allowed {
            word &= allowed.words().get(index).copied().unwrap_or(0);
        }
        if run.is_counting {
            run.total += u64::from(word.count_ones());
        }
        while word != 0 {
            let document = index as u32 * 64 + word.trailing_zeros();
            word &= word - 1;
            let (frequency, norm) = union.weight(document);
            if frequency == 1 && u32::from(norm) >= enough {
                continue;
            }
            let points = union.scorer().points(frequency, norm);
            if points >= floor {
                run.top.offer(points, document);
                run.total += u64::from(!run.is_counting);
                if run.top.floor_in_order() != floor {
                    floor = run.top.floor_in_order();
                    enough = too_long(union.scorer(), floor);
                }
            }
        }
    }
}

/// Returns the first length code with which a word that stands once has less than `floor` points.
fn too_long(scorer: &TermScorer, floor: Points) -> u32 {
    let (mut low, mut high) = (0, 256);
    while low < high {
        let middle: u32 = (low + high) / 2;
        if scorer.points(1, middle as u8) >= floor { low = middle + 1 } else { high = middle }
    }
    low
}
