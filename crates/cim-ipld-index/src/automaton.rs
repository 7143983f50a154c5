//! Looking for several keys among sorted ones, without looking at all of them.

/// Looks at one key after another and says where the next one that is wanted can stand.
pub(crate) trait Automaton {
    /// Looks at a key.
    fn accept(&mut self, key: &[u8]) -> AcceptStatus;

    /// Looks at the beginning of a key: as [`look`](Self::look) at all of it, if the beginning
    /// tells.
    fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus>;

    /// Returns what [`AcceptStatus::Seek`] means.
    fn target(&self) -> &[u8];
}

/// What follows from a key for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptStatus {
    /// It is wanted.
    Accept,
    /// It is not wanted; the next one may be.
    Reject,
    /// No key below the [`target`](Automaton::target), which is above this key, is wanted.
    Seek,
    /// No key behind it is wanted.
    End,
}

/// Looks for all keys that start with a prefix.
pub(crate) struct PrefixAutomaton<'a>(pub(crate) &'a [u8]);

impl Automaton for PrefixAutomaton<'_> {
    #[inline]
    fn accept(&mut self, key: &[u8]) -> AcceptStatus {
        match (key.starts_with(self.0), key < self.0) {
            (true, _) => AcceptStatus::Accept,
            (false, true) => AcceptStatus::Seek,
            (false, false) => AcceptStatus::End,
        }
    }

    #[inline]
    fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus> {
        let tells = beginning.len() >= self.0.len() || !self.0.starts_with(beginning);
        tells.then(|| self.accept(beginning))
    }

    fn target(&self) -> &[u8] {
        self.0
    }
}

/// Looks for those of another guide's keys that also pass a test.
pub(crate) struct FilteredAutomaton<G, F>(pub(crate) G, pub(crate) F);

impl<G: Automaton, F: Fn(&[u8]) -> bool> Automaton for FilteredAutomaton<G, F> {
    fn accept(&mut self, key: &[u8]) -> AcceptStatus {
        match self.0.accept(key) {
            AcceptStatus::Accept if !(self.1)(key) => AcceptStatus::Reject,
            status => status,
        }
    }

    fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus> {
        self.0.accept_prefix(beginning).filter(|status| *status != AcceptStatus::Accept)
    }

    fn target(&self) -> &[u8] {
        self.0.target()
    }
}
