//! Automata that select keys from a sorted sequence and skip the ranges without matches.

/// Examines keys in order and determines where the next accepted key can be.
pub(crate) trait Automaton {
    /// Examines a key.
    fn accept(&mut self, key: &[u8]) -> AcceptStatus;

    /// Examines the prefix of a key. Returns what [`accept`](Self::accept) would return for the
    /// whole key, or `None` if the prefix does not determine that.
    fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus>;

    /// Returns the key to seek to after [`AcceptStatus::Seek`].
    fn target(&self) -> &[u8];
}

/// The outcome for one key, as in Lucene's `FilteredTermsEnum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptStatus {
    /// The key is accepted.
    Accept,
    /// The key is not accepted; the next one may be.
    Reject,
    /// The key is not accepted, and neither is any key below the [`target`](Automaton::target),
    /// which is above this key.
    Seek,
    /// Neither this key nor any later one is accepted.
    End,
}

/// Accepts all keys with a prefix.
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

/// Accepts the keys that another automaton accepts and that satisfy a predicate.
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
