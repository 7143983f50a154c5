//! The log of the store: the content of a bucket with one value per key.

/// The message at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Message {
    /// The keyset of an epoch.
    Root(u8),
    Manifest(u8),
    Record(u8),
    /// Junk that does not open, under a separate key.
    Junk,
    /// The root or the manifest of another index.
    Foreign,
}

/// The current messages by ascending revision. Revisions are never reused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Log {
    messages: Vec<(u8, Message)>,
    last: u8,
}

impl Log {
    /// Returns a log with the root and the first manifest.
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

    /// Removes all messages. Revisions continue.
    pub(super) fn purge(&mut self) {
        self.messages.clear();
    }

    /// Replaces the bucket by one of the same name with another index. Revisions start again.
    pub(super) fn recreate(&mut self) {
        *self = Self { messages: vec![(1, Message::Foreign), (2, Message::Foreign)], last: 2 };
    }

    /// Returns the first message after a revision.
    pub(super) fn after(&self, revision: u8) -> Option<(u8, Message)> {
        self.messages.iter().find(|(at, _)| *at > revision).copied()
    }

    pub(super) fn revision_of(&self, record: u8) -> Option<u8> {
        self.find(|message| message == Message::Record(record)).map(|(revision, _)| revision)
    }

    /// Returns the epoch of the root, unless it is missing.
    pub(super) fn root(&self) -> Option<u8> {
        self.messages.iter().find_map(|(_, message)| match message {
            Message::Root(epoch) => Some(*epoch),
            _ => None,
        })
    }

    /// Returns the revision of the root entry, or 0.
    pub(super) fn root_revision(&self) -> u8 {
        let is_root = |message| matches!(message, Message::Root(_) | Message::Foreign);
        self.find(is_root).map_or(0, |(revision, _)| revision)
    }

    /// Returns the current manifest, unless it is missing.
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
