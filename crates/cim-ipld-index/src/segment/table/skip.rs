//! Skips entries: by restarts, and within a block by the lengths of shared prefixes.

use super::{Entries, MAX_KEY_BYTES, RESTART_INTERVAL};
use crate::error::{Error, Result};

impl<'a> Entries<'a> {
    /// Advances to the next entry whose key is at least `target`, and reads it.
    ///
    /// The keys of skipped entries are not reconstructed: an entry that shares more with its
    /// predecessor than the predecessor shares with the target is also below the target.
    pub(crate) fn next_from(&mut self, target: &[u8]) -> Result<Option<&'a [u8]>> {
        let mut matched = match self.skip_to_restart(target)? {
            true => 0,
            false => self.key.iter().zip(target).take_while(|(a, b)| a == b).count(),
        };
        let mut key_len = self.key.len();
        while !self.reader.is_empty() {
            let shared = self.reader.varint()? as usize;
            let rest = self.reader.bytes()?;
            if shared > key_len || shared + rest.len() > MAX_KEY_BYTES {
                return Err(Error::damaged("a key of a table exceeds the maximum length"));
            }
            key_len = shared + rest.len();
            self.index += 1;
            let value = self.reader.bytes()?;
            if shared > matched {
                continue;
            }
            if shared == matched {
                let wanted = &target[matched..];
                let common = rest.iter().zip(wanted).take_while(|(a, b)| a == b).count();
                if rest[common..] < wanted[common..] {
                    matched += common;
                    continue;
                }
            }
            self.key.clear();
            self.key.extend_from_slice(&target[..shared]);
            self.key.extend_from_slice(rest);
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// Moves to the last restart whose key is at most `target`, unless that is before the next
    /// entry.
    fn skip_to_restart(&mut self, target: &[u8]) -> Result<bool> {
        let count = self.restarts.len() / 2;
        // Every restart below `low` is at most the target or already passed.
        let (start, mut step) = (self.index.div_ceil(RESTART_INTERVAL) as usize, 1);
        let (mut low, mut high) = (start, start);
        while high < count && self.restart_key(high)? <= target {
            low = high + 1;
            high += step;
            step *= 2;
        }
        high = high.min(count);
        while low < high {
            let middle = low.midpoint(high);
            if self.restart_key(middle)? <= target { low = middle + 1 } else { high = middle }
        }
        if low == start {
            return Ok(false);
        }
        let left = self.reader.remaining();
        self.go_to_restart(low - 1)?;
        if self.reader.remaining() > left {
            // Otherwise forged restarts could cause a page to be read repeatedly.
            return Err(Error::damaged("the restarts of a table are out of order"));
        }
        self.key.clear();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::stream::Emitter;
    use super::super::TableWriter;
    use super::*;
    use crate::page::{Page, PageClass, PageId, PageMap, PageSource, SegmentId};
    use proptest::prelude::*;

    const SEGMENT: SegmentId = SegmentId([1; 16]);
    const ID: PageId = PageId { class: PageClass::Dictionary, ordinal: 0 };

    /// Writes keys as a page. The value of each is its index.
    fn page<'k>(keys: impl IntoIterator<Item = &'k [u8]>) -> Page {
        let mut pages = PageMap::new();
        {
            let mut sink = pages.sink(SEGMENT);
            let mut writer = TableWriter::new(ID.class);
            for (place, key) in keys.into_iter().enumerate() {
                writer.push(key, &(place as u32).to_le_bytes(), &mut Emitter::new(&mut sink)).unwrap();
            }
            writer.finish(&mut Emitter::new(&mut sink)).unwrap();
        }
        pages.page(SEGMENT, ID).unwrap()
    }

    proptest! {
        #[test]
        fn passing_over_finds_what_reading_all_finds(
            keys in proptest::collection::btree_set("[ab]{0,3}[abc\u{0}é]{0,6}", 1..400),
            targets in proptest::collection::vec(("[abc]{0,3}[abcdé]{0,6}", 0u8..4), 1..40),
        ) {
            let keys: Vec<Vec<u8>> = keys.into_iter().map(String::into_bytes).collect();
            let page = page(keys.iter().map(Vec::as_slice));
            let mut entries = Entries::new(page.payload(ID).unwrap()).unwrap();
            let mut place = 0;
            let mut targets: Vec<_> = targets.iter().map(|(target, steps)| (target.as_bytes(), *steps)).collect();
            targets.sort();
            for (target, steps) in targets {
                // Some entries are read one by one, so that a search starts anywhere in a block.
                for _ in 0..steps {
                    prop_assert_eq!(entries.next().unwrap().is_some(), place < keys.len());
                    place += usize::from(place < keys.len());
                }
                if place > 0 && keys[place - 1].as_slice() >= target {
                    continue;
                }
                place += keys[place..].iter().take_while(|key| key.as_slice() < target).count();
                let found = entries.next_from(target).unwrap();
                let expected = keys.get(place).map(|_| (place as u32).to_le_bytes());
                prop_assert_eq!(found, expected.as_ref().map(<[u8; 4]>::as_slice));
                let Some(key) = keys.get(place) else { break };
                place += 1;
                prop_assert_eq!(&entries.key, key);
                prop_assert_eq!(entries.index as usize, place);
            }
        }
    }

    #[test]
    fn restarts_that_lead_back_are_refused() {
        let keys: Vec<[u8; 2]> = (0..200).map(|key| [b'a', key]).collect();
        let payload = page(keys.iter().map(<[u8; 2]>::as_slice)).payload(ID).unwrap().to_vec();
        let mut hostile = payload.clone();
        // The restart of entry 160 points to the first entry.
        hostile[2 + 2 * 10..2 + 2 * 11].copy_from_slice(&[0, 0]);
        for (payload, is_refused) in [(payload, false), (hostile, true)] {
            let mut entries = Entries::new(&payload).unwrap();
            entries.next_from(b"a\x60").unwrap();
            assert_eq!(entries.key, b"a\x60");
            assert_eq!(entries.next_from(b"a\xa5").is_err(), is_refused);
        }
    }
}
