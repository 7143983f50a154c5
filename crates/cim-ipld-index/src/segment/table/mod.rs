//! Sorted tables: sorted keys with values, in pages whose first keys are resident.
//!
//! A page's payload consists of the number of restarts (u16), their offsets (u16 each, from the end
//! of this list), and the entries. An entry is the length of the prefix it shares with the previous
//! key, the length of the rest, the rest, the length of the value, the value; lengths are varints.
//! Every sixteenth entry is a restart, which shares no prefix.

mod cursor;
mod skip;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use cursor::TableCursor;

use super::stream::{Emitter, new_page};
use crate::encoding::wire::{Reader, put_bytes, put_varint};
use crate::error::{Error, Result};
use crate::page::fetch::Fetcher;
use crate::page::{Page, PageClass, PageId, SegmentId};

const RESTART_INTERVAL: u32 = 16;
/// The size of a page's entries, in bytes. With the longest entry and the restarts, a page stays
/// near 64 KiB.
const ENTRIES_BYTES: usize = 60 * 1024;
const MAX_KEY_BYTES: usize = 4096;
/// The maximum number of entries in a page, since each takes at least three bytes. It keeps a
/// header from claiming an unlimited number of documents.
const MAX_PAGE_ENTRIES: u32 = ENTRIES_BYTES as u32 / 3 + 1;

/// Writes a table. Entries come in increasing order of their keys.
pub(super) struct TableWriter {
    class: PageClass,
    entries: Vec<u8>,
    restarts: Vec<u16>,
    count: u32,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    top: TableTop,
}

/// The resident part of a table: the first key of every page and the number of entries before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableTop {
    class: PageClass,
    keys: Vec<u8>,
    /// For each page: the end of its first key in `keys`, and the number of entries of the table up
    /// to the end of the page.
    pages: Vec<(u32, u32)>,
}

/// An entry of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableEntry {
    page: Page,
    value: Range<usize>,
    /// The number of entries before it in the table.
    pub(crate) rank: u32,
}

/// Iterates over the entries of one page in order.
pub(crate) struct Entries<'a> {
    reader: Reader<'a>,
    restarts: &'a [u8],
    entries: &'a [u8],
    index: u32,
    pub(crate) key: Vec<u8>,
}

impl TableWriter {
    pub(super) fn new(class: PageClass) -> Self {
        Self {
            class,
            entries: Vec::new(),
            restarts: Vec::new(),
            count: 0,
            first_key: Vec::new(),
            last_key: Vec::new(),
            top: TableTop::new(class),
        }
    }

    pub(super) fn push(&mut self, key: &[u8], value: &[u8], out: &mut Emitter<'_>) -> Result<()> {
        debug_assert!(key.len() <= MAX_KEY_BYTES);
        debug_assert!(self.top.pages.is_empty() && self.count == 0 || self.last_key.as_slice() < key);
        if self.entries.len() + key.len() + value.len() > ENTRIES_BYTES && self.count > 0 {
            self.flush(out)?;
        }
        if self.count == 0 {
            self.first_key = key.to_vec();
        }
        let shared = if self.count.is_multiple_of(RESTART_INTERVAL) {
            self.restarts.push(self.entries.len() as u16);
            0
        } else {
            self.last_key.iter().zip(key).take_while(|(a, b)| a == b).count()
        };
        put_varint(&mut self.entries, shared as u64);
        put_bytes(&mut self.entries, &key[shared..]);
        put_bytes(&mut self.entries, value);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.count += 1;
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Emitter<'_>) -> Result<TableTop> {
        if self.count > 0 {
            self.flush(out)?;
        }
        Ok(self.top)
    }

    fn flush(&mut self, out: &mut Emitter<'_>) -> Result<()> {
        let mut page = new_page(self.class);
        page.reserve_exact(2 + 2 * self.restarts.len() + self.entries.len());
        page.extend((self.restarts.len() as u16).to_le_bytes());
        self.restarts.iter().for_each(|offset| page.extend(offset.to_le_bytes()));
        page.extend_from_slice(&self.entries);
        out.emit(self.class, page)?;
        self.top.push(&self.first_key, self.count);
        self.entries.clear();
        self.restarts.clear();
        self.count = 0;
        Ok(())
    }
}

impl TableTop {
    pub(super) fn new(class: PageClass) -> Self {
        Self { class, keys: Vec::new(), pages: Vec::new() }
    }

    pub(crate) fn page_count(&self) -> u32 {
        self.pages.len() as u32
    }

    pub(crate) fn entry_count(&self) -> u32 {
        self.pages.last().map_or(0, |page| page.1)
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.keys.capacity() + self.pages.capacity() * size_of::<(u32, u32)>()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.pages.len() as u64);
        for page in 0..self.pages.len() {
            put_bytes(out, self.first_key(page));
            put_varint(out, u64::from(self.pages[page].1 - self.entries_before(page)));
        }
    }

    pub(super) fn decode(class: PageClass, reader: &mut Reader<'_>) -> Result<Self> {
        let mut top = Self::new(class);
        for page in 0..reader.count()? {
            let key = reader.bytes()?;
            let count = reader.varint_u32()?;
            if key.len() > MAX_KEY_BYTES
                || !(1..=MAX_PAGE_ENTRIES).contains(&count)
                || top.entry_count().checked_add(count).is_none()
            {
                return Err(Error::damaged("a table's top index has an impossible page"));
            }
            if page > 0 && top.first_key(page - 1) >= key {
                return Err(Error::damaged("a table's top index is out of order"));
            }
            top.push(key, count);
        }
        Ok(top)
    }

    /// Returns the first key of a page.
    pub(crate) fn first_key(&self, page: usize) -> &[u8] {
        let start = page.checked_sub(1).map_or(0, |before| self.pages[before].0);
        &self.keys[start as usize..self.pages[page].0 as usize]
    }

    pub(crate) fn entries_before(&self, page: usize) -> u32 {
        page.checked_sub(1).and_then(|before| self.pages.get(before)).map_or(0, |before| before.1)
    }

    /// Returns the page that would contain `key`, or `None` if `key` is before the first page.
    pub(crate) fn page_of(&self, key: &[u8]) -> Option<u32> {
        let (mut low, mut high) = (0, self.pages.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.first_key(middle) <= key { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1).map(|page| page as u32)
    }

    /// Returns the pages that contain the entries with these ranks.
    pub(crate) fn pages_of_ranks(&self, ranks: Range<u32>) -> Range<u32> {
        let start = self.pages.partition_point(|page| page.1 <= ranks.start);
        let end = start + self.pages[start..].iter().take_while(|page| page.1 < ranks.end).count() + 1;
        start as u32..end.min(self.pages.len()) as u32
    }

    /// Finds a key. The outer option is `None` if the page is missing.
    pub(crate) fn find(
        &self,
        fetcher: &Fetcher<'_>,
        segment: SegmentId,
        key: &[u8],
    ) -> Result<Option<Option<TableEntry>>> {
        let Some(ordinal) = self.page_of(key) else { return Ok(Some(None)) };
        let id = PageId::new(self.class, ordinal);
        let Some(page) = fetcher.page(segment, id) else { return Ok(None) };
        let found = self.find_in(&page, id, key).map_err(|error| error.at(segment, id))?;
        Ok(Some(found.map(|(rank, value)| TableEntry { page, value, rank })))
    }

    /// Returns the number of entries whose keys are at most `key`, or `None` if the page is
    /// missing.
    pub(crate) fn rank_above(&self, fetcher: &Fetcher<'_>, segment: SegmentId, key: &[u8]) -> Result<Option<u32>> {
        let Some(ordinal) = self.page_of(key) else { return Ok(Some(0)) };
        let id = PageId::new(self.class, ordinal);
        let Some(page) = fetcher.page(segment, id) else { return Ok(None) };
        let count = || -> Result<u32> {
            let mut entries = Entries::new(page.payload(id)?)?;
            entries.seek(key)?;
            let mut count = entries.index;
            while entries.next()?.is_some() && entries.key.as_slice() <= key {
                count = entries.index;
            }
            Ok(count)
        };
        count().and_then(|count| self.count_up_to(ordinal, count)).map(Some).map_err(|error| error.at(segment, id))
    }

    /// Returns the number of entries of the table up to and including the first `count` entries of
    /// a page.
    fn count_up_to(&self, ordinal: u32, count: u32) -> Result<u32> {
        // A forged page may have more entries than the top index states, and more restarts than
        // entries.
        let (before, end) = (self.entries_before(ordinal as usize), self.entries_before(ordinal as usize + 1));
        let sum = before.checked_add(count).filter(|sum| *sum <= end);
        sum.ok_or_else(|| Error::damaged("a page of a table has more entries than recorded"))
    }

    fn find_in(&self, page: &Page, id: PageId, key: &[u8]) -> Result<Option<(u32, Range<usize>)>> {
        let payload = page.payload(id)?;
        let mut entries = Entries::new(payload)?;
        entries.seek(key)?;
        let Some(value) = entries.find(key)? else { return Ok(None) };
        let start = page.len() - entries.reader.remaining() - value.len();
        let rank = self.count_up_to(id.ordinal, entries.index)? - 1;
        Ok(Some((rank, start..start + value.len())))
    }

    fn push(&mut self, first_key: &[u8], count: u32) {
        let before = self.entry_count();
        self.keys.extend_from_slice(first_key);
        self.pages.push((self.keys.len() as u32, before + count));
    }
}

impl TableEntry {
    pub(crate) fn value(&self) -> &[u8] {
        &self.page[self.value.clone()]
    }
}

impl<'a> Entries<'a> {
    /// Starts at the first entry of a page's payload.
    pub(crate) fn new(payload: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let count = usize::from(u16::from_le_bytes(reader.array()?));
        let restarts = reader.take(count * 2)?;
        let entries = reader.take(reader.remaining())?;
        Ok(Self { reader: Reader::new(entries), restarts, entries, index: 0, key: Vec::new() })
    }

    /// Continues in the middle of a page, after the entry with this key.
    fn resume(entries: &'a [u8], key: Vec<u8>) -> Self {
        Self { reader: Reader::new(entries), restarts: &[], entries, index: 0, key }
    }

    /// Reads the next entry, and stores its key in `key`.
    pub(crate) fn next(&mut self) -> Result<Option<&'a [u8]>> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let shared = self.reader.varint()? as usize;
        let rest = self.reader.bytes()?;
        if shared > self.key.len() || shared + rest.len() > MAX_KEY_BYTES {
            return Err(Error::damaged("a key of a table exceeds the maximum length"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        self.index += 1;
        Ok(Some(self.reader.bytes()?))
    }

    /// Scans from a restart to the entry with this key, if it comes before the next restart.
    ///
    /// Keys are not reconstructed: the length of the shared prefix determines how an entry
    /// compares.
    fn find(&mut self, key: &[u8]) -> Result<Option<&'a [u8]>> {
        // The length of the prefix that `key` shares with the previous entry, which is less than
        // `key`.
        let mut common = 0;
        for _ in 0..RESTART_INTERVAL {
            if self.reader.is_empty() {
                return Ok(None);
            }
            let shared = self.reader.varint()? as usize;
            let rest = self.reader.bytes()?;
            let value = self.reader.bytes()?;
            self.index += 1;
            if shared > common {
                // It differs from `key` at the same byte as the previous entry.
                continue;
            }
            if shared < common {
                // It exceeds the previous entry at a byte where that entry equals `key`, so it
                // exceeds `key`.
                return Ok(None);
            }
            let wanted = &key[common..];
            let more = rest.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            match (rest.get(more), wanted.get(more)) {
                (None, None) => return Ok(Some(value)),
                (Some(own), Some(byte)) if own > byte => return Ok(None),
                (Some(_), None) => return Ok(None),
                _ => common += more,
            }
        }
        Ok(None)
    }

    /// Moves to the last restart whose key is at most `key`, or to the first one.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        let (mut low, mut high) = (0, self.restarts.len() / 2);
        while low < high {
            let middle = low.midpoint(high);
            if self.restart_key(middle)? <= key { low = middle + 1 } else { high = middle }
        }
        self.go_to_restart(low.saturating_sub(1))
    }

    fn go_to_restart(&mut self, restart: usize) -> Result<()> {
        self.reader = self.at_restart(restart)?;
        self.index = restart as u32 * RESTART_INTERVAL;
        Ok(())
    }

    #[inline]
    fn restart_key(&self, restart: usize) -> Result<&'a [u8]> {
        let mut reader = self.at_restart(restart)?;
        if reader.varint()? != 0 {
            return Err(Error::damaged("a restart of a table shares bytes with the previous key"));
        }
        reader.bytes()
    }

    fn at_restart(&self, restart: usize) -> Result<Reader<'a>> {
        let Some(offset) = self.restarts.get(2 * restart..2 * restart + 2) else {
            return Err(Error::damaged("a page of a table has no restarts"));
        };
        let offset = usize::from(u16::from_le_bytes([offset[0], offset[1]]));
        match self.entries.get(offset..) {
            Some(rest) => Ok(Reader::new(rest)),
            None => Err(Error::damaged("a restart is outside its page")),
        }
    }

    /// Checks that every restart is at its proper place, which [`next`](Self::next) does not need.
    pub(crate) fn check_restarts(&self) -> Result<()> {
        let mut entries = Self { reader: Reader::new(self.entries), key: Vec::new(), index: 0, ..*self };
        let mut restarts = self.restarts.chunks_exact(2).map(|offset| u16::from_le_bytes([offset[0], offset[1]]));
        loop {
            let offset = self.entries.len() - entries.reader.remaining();
            let is_restart = entries.index.is_multiple_of(RESTART_INTERVAL) && !entries.reader.is_empty();
            if is_restart && restarts.next().map(usize::from) != Some(offset) {
                return Err(Error::damaged("a restart of a table is at the wrong offset"));
            }
            if is_restart && entries.reader.clone().varint()? != 0 {
                return Err(Error::damaged("a restart of a table shares bytes with the previous key"));
            }
            if entries.next()?.is_none() {
                break;
            }
        }
        if restarts.next().is_some() { Err(Error::damaged("a table has more restarts than entries")) } else { Ok(()) }
    }
}
