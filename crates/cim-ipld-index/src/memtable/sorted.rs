//! The terms of a memtable in the order of their keys, for whoever looks for a prefix.
//!
//! The order is made by the first reader who needs it and shared by the others. Terms that came later are looked through
//! one by one, until they are so many that the order is made anew.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::terms::Terms;

/// So many terms that are not in order are looked through; beside that a quarter as many as are.
const MAX_UNSORTED: usize = 4096;

/// The order of the terms, once somebody has needed it.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    order: ArcSwapOption<Vec<u32>>,
}

impl Sorted {
    pub(super) fn bytes(&self) -> usize {
        self.order.load().as_ref().map_or(0, |order| order.capacity() * size_of::<u32>())
    }

    /// Visits the terms whose keys start with `prefix`: key and term.
    pub(super) fn visit(&self, terms: &Terms, prefix: &[u8], mut each: impl FnMut(&[u8], u32)) {
        let len = terms.len();
        let order = self.order(terms, len);
        let mut key = Vec::new();
        let start = order.partition_point(|term| {
            terms.put_key(*term, &mut key);
            key.as_slice() < prefix
        });
        let mut take = |term: u32| {
            terms.put_key(term, &mut key);
            let is_wanted = key.starts_with(prefix);
            if is_wanted {
                each(&key, term);
            }
            is_wanted
        };
        order[start..].iter().copied().take_while(|term| take(*term)).for_each(drop);
        for term in order.len() as u32..len {
            take(term);
        }
    }

    /// Returns all terms in the order of their keys.
    pub(super) fn all(&self, terms: &Terms) -> Vec<u32> {
        let len = terms.len();
        let known = self.order(terms, len);
        match known.len() < len as usize {
            true => sorted(terms, known.iter().copied().chain(known.len() as u32..len)),
            false => known.to_vec(),
        }
    }

    /// Returns the first terms in the order of their keys: all of `len` but a few.
    fn order(&self, terms: &Terms, len: u32) -> Arc<Vec<u32>> {
        let known = self.order.load_full().unwrap_or_default();
        if (len as usize).saturating_sub(known.len()) <= MAX_UNSORTED.max(known.len() / 4) {
            return known;
        }
        let order = Arc::new(sorted(terms, 0..len));
        self.order.store(Some(Arc::clone(&order)));
        order
    }
}

fn sorted(terms: &Terms, unsorted: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut keyed: Vec<(u64, u32)> = unsorted.map(|term| (terms.first_bytes(term), term)).collect();
    // Where most of them are in order, a sort that merges makes use of it.
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| terms.compare_rests(a.1, b.1)));
    keyed.into_iter().map(|(_, term)| term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::key::Key;

    #[test]
    fn a_prefix_finds_its_terms_in_order_or_not() {
        let (terms, sorted) = (Terms::new(), Sorted::default());
        let key = |n: u32| format!("{}-{n:05}-and more than eight bytes", n % 7).into_bytes();
        for n in 0..20_000u32 {
            terms.find_or_insert(&Key::new(&key(n))).unwrap();
            if n % 4_500 == 17 || n == 19_999 {
                let keys_of = |order: Vec<u32>| order.into_iter().map(key).collect::<Vec<_>>();
                let all = keys_of(sorted.all(&terms));
                assert!(all.len() == n as usize + 1 && all.is_sorted());
                for prefix in ["", "3", "3-0", "3-000", "3-00010-and more", "9", "~"] {
                    let mut found = Vec::new();
                    sorted.visit(&terms, prefix.as_bytes(), |key, term| found.push((key.to_vec(), term)));
                    found.sort();
                    let mut expected: Vec<_> = (0..=n).map(|term| (key(term), term)).collect();
                    expected.retain(|(key, _)| key.starts_with(prefix.as_bytes()));
                    expected.sort();
                    assert_eq!(found, expected, "{prefix} among {n}");
                }
            }
        }
        assert!(sorted.bytes() >= 4 * 10_000, "no order was made");
    }
}
