//! Tests of pages that contradict the top index.

use super::*;
use crate::page::{PageMap, PageSource};

#[test]
fn entries_that_the_top_does_not_count_are_damage() {
    let (segment, class) = (SegmentId([1; 16]), PageClass::Cids);
    let mut pages = PageMap::new();
    {
        let mut sink = pages.sink(segment);
        let (mut writer, mut out) = (TableWriter::new(class), Emitter::new(&mut sink));
        (0..40).for_each(|key| writer.push(&[key], &[], &mut out).unwrap());
        writer.finish(&mut out).unwrap();
    }
    let bytes = pages.page(segment, PageId::new(class, 0)).unwrap();
    pages.insert(segment, PageId::new(class, 1), bytes);
    let fetcher = Fetcher::new(&pages);
    for (before, count) in [(1, 40), (1, 20), (u32::MAX - 20, 20)] {
        let mut top = TableTop::new(class);
        // The second page has 40 entries, whatever the top index states.
        top.keys = vec![0];
        top.pages = vec![(0, before), (1, before + count)];
        for key in 0..40 {
            let rank = (u32::from(key) < count).then(|| before + u32::from(key));
            let found = top.find(&fetcher, segment, &[key]);
            assert_eq!(found.ok().map(|found| found.unwrap().unwrap().rank), rank, "{key} of {count}");
            let above = top.rank_above(&fetcher, segment, &[key]);
            assert_eq!(above.ok().flatten(), rank.map(|rank| rank + 1), "{key} of {count}");
        }
    }
}
