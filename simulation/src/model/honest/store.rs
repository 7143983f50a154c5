//! The store's log: what a bucket with one value per key holds.

/// What a revision holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Message {
    /// The keyset of an epoch.
    Root(u8),
    Manifest(u8),
    Record(u8),
    /// Something that does not open, under a key of its own.
    Junk,
    /// The root or the manifest of another index.
    Foreign,
}

/// The messages that are there, by growing revision. Revisions are given once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Log {
    messages: Vec<(u8, Message)>,
    last: u8,
}

impl Log {
    /// The root and the first manifest.
    pub(super) fn created() -> Self {
        Self { messages: vec![(1, Message::Root(0)), (2, Message::Manifest(0))], last: 2 }
    }

    pub(super) fn last_revision(&self) -> u8 {
        self.last
    }

    /// Appends a message, which replaces the one under its key, and returns its revision.
    pub(super) fn put(&mut self, message: Message) -> u8 {
        self.messages.retain(|(_, other)| {
            !matches!(
                (other, message),
                (Message::Root(_), Message::Root(_)) | (Message::Manifest(_), Message::Manifest(_))
            )
        });
        self.last += 1;
        self.messages.push((self.last, message));
        self.last
    }

    pub(super) fn remove(&mut self, record: u8) {
        self.messages.retain(|(_, message)| *message != Message::Record(record));
    }

    /// Removes every message; revisions go on.
    pub(super) fn purge(&mut self) {
        self.messages.clear();
    }

    /// Replaces the bucket by one of the same name, in which another index was created. Revisions
    /// begin again.
    pub(super) fn recreate(&mut self) {
        *self = Self { messages: vec![(1, Message::Foreign), (2, Message::Foreign)], last: 2 };
    }

    /// The first message after a revision.
    pub(super) fn after(&self, revision: u8) -> Option<(u8, Message)> {
        self.messages.iter().find(|(at, _)| *at > revision).copied()
    }

    pub(super) fn revision_of(&self, record: u8) -> Option<u8> {
        self.find(|message| message == Message::Record(record)).map(|(revision, _)| revision)
    }

    /// The epoch of the root, unless it is gone.
    pub(super) fn root(&self) -> Option<u8> {
        self.messages.iter().find_map(|(_, message)| match message {
            Message::Root(epoch) => Some(*epoch),
            _ => None,
        })
    }

    /// The revision of what is under the root's key; 0 when nothing is.
    pub(super) fn root_revision(&self) -> u8 {
        let is_root = |message| matches!(message, Message::Root(_) | Message::Foreign);
        self.find(is_root).map_or(0, |(revision, _)| revision)
    }

    /// The current manifest, unless it is gone.
    pub(super) fn manifest(&self) -> Option<u8> {
        self.messages.iter().find_map(|(_, message)| match message {
            Message::Manifest(manifest) => Some(*manifest),
            _ => None,
        })
    }

    fn find(&self, is_it: impl Fn(Message) -> bool) -> Option<(u8, Message)> {
        self.messages.iter().find(|(_, message)| is_it(*message)).copied()
    }
}
