//! Looking for several keys among sorted ones, without looking at all of them.

/// Looks at one key after another and says where the next one that is wanted can stand.
pub(crate) trait Guide {
    /// Looks at a key.
    fn look(&mut self, key: &[u8]) -> Onward;

    /// Looks at the beginning of a key: as [`look`](Self::look) at all of it, if the beginning
    /// tells.
    fn look_at_beginning(&mut self, beginning: &[u8]) -> Option<Onward>;

    /// Returns what [`Onward::Seek`] means.
    fn target(&self) -> &[u8];
}

/// What follows from a key for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onward {
    /// It is wanted.
    Match,
    /// It is not wanted; the next one may be.
    Next,
    /// No key below the [`target`](Guide::target), which is above this key, is wanted.
    Seek,
    /// No key behind it is wanted.
    End,
}

/// Looks for all keys that start with a prefix.
pub(crate) struct PrefixGuide<'a>(pub(crate) &'a [u8]);

impl Guide for PrefixGuide<'_> {
    #[inline]
    fn look(&mut self, key: &[u8]) -> Onward {
        match (key.starts_with(self.0), key < self.0) {
            (true, _) => Onward::Match,
            (false, true) => Onward::Seek,
            (false, false) => Onward::End,
        }
    }

    #[inline]
    fn look_at_beginning(&mut self, beginning: &[u8]) -> Option<Onward> {
        let tells = beginning.len() >= self.0.len() || !self.0.starts_with(beginning);
        tells.then(|| self.look(beginning))
    }

    fn target(&self) -> &[u8] {
        self.0
    }
}

/// Looks for those of another guide's keys that also pass a test.
pub(crate) struct FilteredGuide<G, F>(pub(crate) G, pub(crate) F);

impl<G: Guide, F: Fn(&[u8]) -> bool> Guide for FilteredGuide<G, F> {
    fn look(&mut self, key: &[u8]) -> Onward {
        match self.0.look(key) {
            Onward::Match if !(self.1)(key) => Onward::Next,
            onward => onward,
        }
    }

    fn look_at_beginning(&mut self, beginning: &[u8]) -> Option<Onward> {
        self.0.look_at_beginning(beginning).filter(|onward| *onward != Onward::Match)
    }

    fn target(&self) -> &[u8] {
        self.0.target()
    }
}
