//! Lies: false content that a client is shown.

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Entry, Key, KeyPrefix, KeyedEntry, Revision};

use super::ids::ClientId;
use super::world::World;

const MAX_JUNK_BYTES: u64 = 300;

impl World {
    /// Returns the response to a read.
    pub(super) fn lie_about(
        &mut self,
        client: ClientId,
        bucket: &Bucket,
        key: &Key,
        truth: Option<Entry>,
    ) -> Option<Entry> {
        let place = (bucket.name().to_owned(), key.clone());
        let state = &self.clients[client.0];
        if state.withheld.contains(&place) {
            return None;
        }
        if let Some((_, value)) = state.served.get(&place).and_then(|number| self.archive.get(*number)) {
            let revision = truth.map_or(Revision::new(1), |entry| entry.revision);
            return Some(Entry { value: value.clone(), revision });
        }
        let lies = self.faults.lies;
        if truth.is_some() && self.random.happens(lies.withhold) {
            self.note(format_args!("lie: {client} finds nothing under {key}"));
            return None;
        }
        let truth = truth?;
        if self.random.happens(lies.older) {
            return Some(Entry { value: self.archived(bucket, Some(key)).unwrap_or(truth.value), ..truth });
        }
        if self.random.happens(lies.substitute) {
            return Some(Entry { value: self.archived(bucket, None).unwrap_or(truth.value), ..truth });
        }
        Some(truth)
    }

    /// Returns a batch of a watch or scan with some entries omitted, changed or invented.
    pub(super) fn lie_in(
        &mut self,
        client: ClientId,
        bucket: &Bucket,
        prefix: &KeyPrefix,
        truth: Vec<KeyedEntry>,
    ) -> Vec<KeyedEntry> {
        let lies = self.faults.lies;
        let mut shown = Vec::new();
        for mut entry in truth {
            let place = (bucket.name().to_owned(), entry.key.clone());
            if self.clients[client.0].withheld.contains(&place) || self.random.happens(lies.withhold) {
                self.note(format_args!("lie: {} is left out for {client}", entry.key));
                continue;
            }
            if let Some(false_entry) = self.invent(client, bucket, prefix, entry.entry.revision) {
                shown.push(false_entry);
            }
            if self.random.happens(lies.substitute) {
                self.note(format_args!("lie: {client} is shown another value of {}", entry.key));
                entry.entry.value = self.archived(bucket, None).unwrap_or(entry.entry.value);
            }
            shown.push(entry);
        }
        shown
    }

    /// Returns an invented entry, to be shown before the one at `revision`.
    fn invent(
        &mut self,
        client: ClientId,
        bucket: &Bucket,
        prefix: &KeyPrefix,
        revision: Revision,
    ) -> Option<KeyedEntry> {
        let lies = self.faults.lies;
        let (key, value) = if self.random.happens(lies.replay) {
            self.archived_entry(bucket)?
        } else if self.random.happens(lies.misplaced_replay) {
            (self.archived_entry(bucket)?.0, self.archived(bucket, None)?)
        } else if self.random.happens(lies.junk) {
            (self.archived_entry(bucket)?.0, self.junk())
        } else {
            return None;
        };
        if !prefix.contains(&key) {
            return None;
        }
        let revision = Revision::new(revision.number() - self.random.below(2).min(revision.number() - 1));
        self.note(format_args!("lie: {client} is shown {} bytes as {key} at {revision}", value.len()));
        Some(KeyedEntry { key, entry: Entry { value, revision } })
    }

    /// Returns an arbitrary revision for a false acknowledgement.
    pub(super) fn false_revision(&mut self, client: ClientId, bucket: &Bucket) -> Revision {
        let last = self.branch(client).tail(bucket).map_or(0, |tail| tail.last);
        Revision::new(1 + self.random.below(last + 3))
    }

    pub(super) fn junk(&mut self) -> Bytes {
        let length = self.random.below(MAX_JUNK_BYTES);
        (0..length).map(|_| self.random.next() as u8).collect()
    }

    fn archived_entry(&mut self, bucket: &Bucket) -> Option<(Key, Bytes)> {
        let of_bucket = self.archive.iter().filter(|(archived, _)| archived.bucket == bucket.name());
        let at = self.random.index(of_bucket.clone().count());
        of_bucket.clone().nth(at).map(|(archived, value)| (archived.key.clone(), value.clone()))
    }

    /// Returns an arbitrary value ever put into the bucket, under `key` if one is given.
    fn archived(&mut self, bucket: &Bucket, key: Option<&Key>) -> Option<Bytes> {
        let fits = |key_of: &Key| key.is_none_or(|key| key == key_of);
        let of_bucket =
            self.archive.iter().filter(|(archived, _)| archived.bucket == bucket.name() && fits(&archived.key));
        let at = self.random.index(of_bucket.clone().count());
        of_bucket.clone().nth(at).map(|(_, value)| value.clone())
    }
}
