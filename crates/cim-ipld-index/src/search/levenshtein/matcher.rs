//! Runs the automaton over sorted keys, and finds the next key to seek to.

use super::{LevenshteinAutomaton, State, put_char};
use crate::automaton::{AcceptStatus, Automaton};

/// Matches one key after another. The state for the prefix shared with the previous key is reused.
pub(crate) struct Matcher<'a> {
    fuzzy: &'a LevenshteinAutomaton,
    /// The common prefix of the keys of all words.
    field: Vec<u8>,
    /// The prefix of the last word for which the automaton is alive.
    path: Vec<u8>,
    /// The states before and after each character of the path.
    steps: Vec<Step>,
    target: Vec<u8>,
}

/// A state along the path.
#[derive(Clone, Copy)]
struct Step {
    state: State,
    /// The character that led to the state.
    c: char,
    /// The length of the path up to the state, in bytes.
    end: usize,
}

impl LevenshteinAutomaton {
    /// Returns a matcher of words.
    pub(crate) fn matcher(&self) -> Matcher<'_> {
        self.automaton(Vec::new())
    }

    /// Returns an automaton over keys: words with the prefix `field`.
    pub(crate) fn automaton(&self, field: Vec<u8>) -> Matcher<'_> {
        let start = Step { state: self.start(), c: '\0', end: 0 };
        Matcher { fuzzy: self, field, path: Vec::new(), steps: vec![start], target: Vec::new() }
    }
}

impl Automaton for Matcher<'_> {
    fn accept(&mut self, key: &[u8]) -> AcceptStatus {
        let Some(word) = key.strip_prefix(&self.field[..]) else {
            if key > &self.field[..] {
                return AcceptStatus::End;
            }
            self.aim(0);
            self.fuzzy.complete(self.steps[0].state, &mut self.target);
            return AcceptStatus::Seek;
        };
        match self.follow(word) {
            Stop::Dead(c) => self.seek_behind(c),
            Stop::NoText => AcceptStatus::Reject,
            Stop::End => {
                let Step { state, end, .. } = self.last();
                if self.fuzzy.is_match(state) {
                    return AcceptStatus::Accept;
                }
                if self.fuzzy.is_free(state) {
                    return AcceptStatus::Reject;
                }
                self.aim(end);
                self.fuzzy.complete(state, &mut self.target);
                AcceptStatus::Seek
            }
        }
    }

    fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus> {
        match self.follow(beginning.strip_prefix(&self.field[..])?) {
            Stop::Dead(c) => Some(self.seek_behind(c)),
            Stop::NoText | Stop::End => None,
        }
    }

    fn target(&self) -> &[u8] {
        &self.target
    }
}

impl Matcher<'_> {
    /// Returns whether a word is within the edit distance.
    pub(crate) fn accepts(&mut self, word: &str) -> bool {
        self.follow(word.as_bytes()) == Stop::End && self.fuzzy.is_match(self.last().state)
    }

    /// Runs the automaton on a word until it is dead.
    fn follow(&mut self, word: &[u8]) -> Stop {
        let shared = self.path.iter().zip(word).take_while(|(a, b)| a == b).count();
        while self.last().end > shared {
            self.steps.pop();
        }
        let mut last = self.last();
        self.path.truncate(last.end);
        while last.end < word.len() {
            let Some(c) = first_char(&word[last.end..]) else { return Stop::NoText };
            let state = self.fuzzy.step(last.state, c);
            if !self.fuzzy.is_alive(state) {
                return Stop::Dead(c);
            }
            let end = last.end + c.len_utf8();
            self.path.extend_from_slice(&word[last.end..end]);
            last = Step { state, c, end };
            self.steps.push(last);
        }
        Stop::End
    }

    /// Sets the target to the smallest matching word above all words that start with the path
    /// followed by `c`.
    fn seek_behind(&mut self, mut c: char) -> AcceptStatus {
        for index in (0..self.steps.len()).rev() {
            let Step { state, end, c: before } = self.steps[index];
            if let Some(next) = self.fuzzy.next_char(state, Some(c)) {
                self.aim(end);
                put_char(&mut self.target, next);
                self.fuzzy.complete(self.fuzzy.step(state, next), &mut self.target);
                return AcceptStatus::Seek;
            }
            c = before;
        }
        AcceptStatus::End
    }

    /// Sets the target to a prefix of the path.
    fn aim(&mut self, end: usize) {
        self.target.clear();
        self.target.extend_from_slice(&self.field);
        self.target.extend_from_slice(&self.path[..end]);
    }

    #[inline]
    fn last(&self) -> Step {
        self.steps[self.steps.len() - 1]
    }
}

/// Why the automaton stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    End,
    /// No word that continues the path with this character matches.
    Dead(char),
    /// The rest is not valid UTF-8.
    NoText,
}

#[inline]
fn first_char(bytes: &[u8]) -> Option<char> {
    match bytes {
        [ascii @ 0..0x80, ..] => Some(char::from(*ascii)),
        _ => first_long_char(bytes),
    }
}

#[inline(never)]
fn first_long_char(bytes: &[u8]) -> Option<char> {
    let len = match bytes.first()? {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    std::str::from_utf8(bytes.get(..len)?).ok()?.chars().next()
}
