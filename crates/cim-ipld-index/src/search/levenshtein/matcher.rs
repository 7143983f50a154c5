//! Keys one after the other: whether each is near enough, and where the next one that is can stand.

use super::{LevenshteinAutomaton, State, put_char};
use crate::automaton::{AcceptStatus, Automaton};

/// Looks at one key after another; the more they share with the one before, the less there is to
/// do.
pub(crate) struct Matcher<'a> {
    fuzzy: &'a LevenshteinAutomaton,
    /// What the keys of all words start with.
    field: Vec<u8>,
    /// The beginning of the word last looked at, as far as it is alive.
    path: Vec<u8>,
    /// What is known behind none of the path's characters, and behind each.
    steps: Vec<Step>,
    target: Vec<u8>,
}

/// A place in the path.
#[derive(Clone, Copy)]
struct Step {
    state: State,
    /// The character before it.
    c: char,
    /// The bytes of the path up to here.
    end: usize,
}

impl LevenshteinAutomaton {
    /// Looks at words.
    pub(crate) fn matcher(&self) -> Matcher<'_> {
        self.automaton(Vec::new())
    }

    /// Looks at keys: words behind `field`.
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
    /// Says whether a word is near enough.
    pub(crate) fn accepts(&mut self, word: &str) -> bool {
        self.follow(word.as_bytes()) == Stop::End && self.fuzzy.is_match(self.last().state)
    }

    /// Follows a word as far as it is alive.
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

    /// Finds the least near word above all that start with the path and a character.
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

    /// Lets the target be a beginning of the path.
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

/// Why a word was not followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    End,
    /// No word with this character behind the path is near enough.
    Dead(char),
    /// What follows is no text.
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
