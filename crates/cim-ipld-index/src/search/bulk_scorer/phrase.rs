//! Phrases. The lists of the two rarest words are intersected, and positions are decoded only for
//! documents whose frequencies and length are competitive.

use super::super::phrase::Phrase;
use super::Collector;
use super::intersection::{Pairs, PlaceMap, Wanted};
use crate::error::Result;
use crate::score::Points;

pub(super) fn collect(phrase: &mut Phrase<'_>, collector: &mut Collector<'_, '_>) -> Result<()> {
    let [lead, second] = phrase.rarest();
    phrase.bound(lead);
    phrase.bound(second);
    // With slop, one occurrence can be used several times, so only the first word bounds the
    // phrase's frequency.
    let is_bounded = phrase.is_exact();
    let (mut map, mut pairs) = (PlaceMap::new(), Pairs::new());
    let mut from = 0;
    while phrase.cursor_mut(lead).seek_block(from) {
        let cursor = phrase.cursor(lead);
        let block = cursor.block();
        let (first, last) = (cursor.first_possible(block).max(from), cursor.last_of(block));
        from = last + 1;
        let lead_upper = phrase.cursor_mut(lead).upper(block);
        let Some(upper) = phrase.cursor_mut(second).upper_about(first, last) else { return Ok(()) };
        if is_bounded && lead_upper.min(upper) < collector.floor() {
            continue;
        }
        phrase.cursor_mut(lead).enter_block(block)?;
        let mut at = 0;
        loop {
            let wanted = Wanted { allowed: collector.allowed, floor: if is_bounded { collector.floor() } else { 0 } };
            let upper = |second: Points| lead_upper.min(second);
            let (lead, second) = phrase.two_cursors(lead, second);
            let Some(next) = map.next(lead, second, at, &wanted, upper, &mut pairs)? else { break };
            at = next;
            for (lead, second) in pairs.leads[..pairs.count].iter().zip(pairs.seconds) {
                let places = [usize::from(*lead), usize::from(second)];
                if let Some((document, points)) = phrase.points_at(places, collector.floor())? {
                    collector.total += 1;
                    collector.top.offer(points, document);
                }
            }
        }
    }
    Ok(())
}
