//! Unions scored as one term. Frequency and length code show whether a document is competitive.

use super::super::union::Union;
use super::super::window::{WINDOW, WINDOW_WORDS};
use super::Collector;

/// The number of frequency classes; the last one stands for all larger frequencies.
const CLASSES: usize = 16;
/// A limit above every length code.
const NO_LIMIT: u16 = 256;
/// The number of places written per iteration.
const STEP: usize = 4;

/// The places of a window, with room for a partial step.
type Places = [u16; WINDOW as usize + STEP];

pub(super) fn collect(union: &Union, collector: &mut Collector<'_, '_>) {
    let mut places = [0; WINDOW as usize + STEP];
    let mut floor = collector.top.floor_in_order();
    // Points decrease with length and the floor never decreases, so a length that was once too long
    // stays too long.
    let mut too_long = [NO_LIMIT; CLASSES];
    for (window, words) in union.words().chunks(WINDOW_WORDS).enumerate() {
        let start = window as u32 * WINDOW;
        let mut mask = [0; WINDOW_WORDS];
        mask[..words.len()].copy_from_slice(words);
        collector.restrict(start, &mut mask);
        let len = put_places(&mask, &mut places);
        if collector.is_counting {
            collector.total += len as u64;
        }
        let (frequencies, norms) = union.weights(start);
        for place in &places[..len] {
            let place = usize::from(*place);
            let (Some(frequency), Some(norm)) = (frequencies.get(place), norms.get(place)) else { break };
            let class = usize::from(*frequency).min(CLASSES - 1);
            if u16::from(*norm) >= too_long[class] {
                continue;
            }
            let points = union.scorer().points(u32::from(*frequency), *norm);
            if points >= floor {
                collector.top.offer(points, start + place as u32);
                collector.total += u64::from(!collector.is_counting);
                floor = collector.top.floor_in_order();
            } else if class < CLASSES - 1 {
                too_long[class] = u16::from(*norm);
            }
        }
    }
}

/// Writes the places that are set. Returns their number.
fn put_places(mask: &[u64; WINDOW_WORDS], places: &mut Places) -> usize {
    let mut len = 0;
    for (index, word) in mask.iter().enumerate() {
        let mut word = *word;
        let next = len + word.count_ones() as usize;
        // Most words have few bits, so several places are written without checking for the last
        // one.
        while word != 0 {
            for place in &mut places[len..len + STEP] {
                *place = (index as u32 * 64 + word.trailing_zeros()) as u16;
                word &= word.wrapping_sub(1);
            }
            len += STEP;
        }
        len = next;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_in_order() {
        let masks = [0, 1, 1 << 63, 0b1011, u64::MAX, u64::MAX >> 1, 0x8421_0842_1084_2108];
        let mut mask = [0; WINDOW_WORDS];
        mask[3..10].copy_from_slice(&masks);
        mask[WINDOW_WORDS - 1] = u64::MAX;
        for mask in [mask, [0; WINDOW_WORDS], [u64::MAX; WINDOW_WORDS]] {
            let is_set = |place: &u16| mask[usize::from(*place) / 64] >> (place % 64) & 1 == 1;
            let expected: Vec<u16> = (0..WINDOW as u16).filter(is_set).collect();
            let mut places = [0; WINDOW as usize + STEP];
            let len = put_places(&mask, &mut places);
            assert_eq!(places[..len], expected);
        }
    }
}
