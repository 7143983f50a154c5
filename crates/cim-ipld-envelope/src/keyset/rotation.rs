//! Changes of a keyset, as values: nothing happens until the caller stores the new record.

use std::slice;
use std::sync::Arc;

use super::data_key::{DataKeyState, KeyEntry};
use super::slot::Slot;
use super::{Keyset, MAX_DATA_KEYS, Opened};
use crate::MAX_SLOTS;
use crate::secret::Secret;
use crate::{Argon2Profile, DataKeyId, EncryptionAlgorithm, Error, ErrorKind, KeySource, Result, SlotId};

impl Keyset {
    /// Adds a slot, so that `source` opens the keyset too.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) at [`MAX_SLOTS`](crate::MAX_SLOTS) slots, and when the
    /// passphrase slots together would ask for more than readers accept ([`Argon2Profile`]), else
    /// as [`create`](Self::create).
    pub async fn with_slot_added(&self, source: &KeySource) -> Result<Self> {
        check_slots(&self.0.opened.slots, slice::from_ref(source))?;
        let slot = self.new_slot(source).await?;
        let mut next = self.next();
        next.slots.push(slot);
        Ok(Self::seal(next, self.0.unlocked_by))
    }

    /// Replaces one slot by one that `source` opens. What opened this slot no longer opens the
    /// keyset, unless another of the [`slots`](Self::slots) is open to it as well: a key or
    /// passphrase that was added twice stays until each of its slots is replaced or removed, or
    /// [`with_slots_replaced`](Self::with_slots_replaced) replaces all.
    ///
    /// The keyset key stays, so that other running processes follow by [`reopen`](Self::reopen).
    /// Where the old key may be in wrong hands together with an old record, use
    /// [`with_slots_replaced`](Self::with_slots_replaced).
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) when there is no such slot, else as
    /// [`with_slot_added`](Self::with_slot_added).
    pub async fn with_slot_replaced(&self, id: SlotId, source: &KeySource) -> Result<Self> {
        let at = self.slot_at(id)?;
        let mut kept = self.0.opened.slots.clone();
        kept.remove(at);
        check_slots(&kept, slice::from_ref(source))?;
        let slot = self.new_slot(source).await?;
        let unlocked_by = if self.0.unlocked_by == id { slot.id } else { self.0.unlocked_by };
        let mut next = self.next();
        next.slots[at] = slot;
        Ok(Self::seal(next, unlocked_by))
    }

    /// Removes a slot: what opened it no longer opens the keyset, unless another slot is open to it
    /// as well. The keyset key stays, as in [`with_slot_replaced`](Self::with_slot_replaced). Where
    /// the slot was [`unlocked_by`](Self::unlocked_by), that names the first slot left from here
    /// on, which may be anybody's.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) when there is no such slot, or no other.
    pub fn with_slot_removed(&self, id: SlotId) -> Result<Self> {
        let at = self.slot_at(id)?;
        let mut next = self.next();
        if next.slots.len() == 1 {
            return Err(Error::invalid_request(
                "the last key slot cannot be removed: nothing would open the store again",
            ));
        }
        next.slots.remove(at);
        let unlocked_by = if self.0.unlocked_by == id { next.slots[0].id } else { self.0.unlocked_by };
        Ok(Self::seal(next, unlocked_by))
    }

    /// Replaces all slots and the keyset key itself, and seals record and slots by the active data
    /// key's algorithm: only `sources` open what is written from here on, even against someone who
    /// held an old key *and* an old record.
    ///
    /// Such a person still has the data keys of the old record. To cut them off from new objects
    /// too, add a new data key ([`with_new_data_key`](Self::with_new_data_key)) after this, then
    /// re-seal the old objects.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) without a source, [`Limit`](ErrorKind::Limit)
    /// with more than [`MAX_SLOTS`](crate::MAX_SLOTS), else as
    /// [`with_slot_added`](Self::with_slot_added).
    pub async fn with_slots_replaced(&self, sources: &[KeySource]) -> Result<Self> {
        check_slots(&[], sources)?;
        let mut next = self.next();
        // Data keys may have moved off the suite that the keyset was created with.
        next.algorithm = self.algorithm();
        next.keyset_key = Arc::new(Secret::random());
        next.slots.clear();
        for source in sources {
            next.slots.push(Slot::seal(&next.index, next.algorithm, source, &next.keyset_key).await?);
        }
        let Some(first) = next.slots.first() else {
            return Err(Error::invalid_request("a keyset needs at least one key slot"));
        };
        let unlocked_by = first.id;
        Ok(Self::seal(next, unlocked_by))
    }

    /// Adds a data key that seals from here on; the one before it opens what it sealed.
    ///
    /// Where [`MAX_DATA_KEYS`](super::MAX_DATA_KEYS) are reached, the oldest destroyed key is
    /// forgotten for it: its id becomes one that the keyset does not know.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) at [`MAX_DATA_KEYS`](super::MAX_DATA_KEYS) data keys of which
    /// none is destroyed.
    pub fn with_new_data_key(&self, algorithm: EncryptionAlgorithm) -> Result<Self> {
        let mut next = self.next();
        if next.keys.len() >= MAX_DATA_KEYS {
            let Some(oldest) = next.keys.iter().position(|entry| entry.state == DataKeyState::Destroyed) else {
                return Err(Error::limit(format!("a keyset holds at most {MAX_DATA_KEYS} data keys")));
            };
            next.keys.remove(oldest);
        }
        let mut fresh = KeyEntry::generate(algorithm, next.generation);
        while self.entry(fresh.id).is_some() {
            fresh.id = DataKeyId::random();
        }
        for entry in &mut next.keys {
            if entry.state == DataKeyState::Active {
                entry.state = DataKeyState::DecryptOnly;
            }
        }
        next.keys.push(fresh);
        Ok(Self::seal(next, self.0.unlocked_by))
    }

    /// Destroys a data key: what was sealed with it is gone wherever a copy of it may be, except
    /// for holders of older records. The caller has made sure that nothing needed is sealed with
    /// it, by opening: a header alone can be made to name another key
    /// ([`is_stale`](crate::Envelope::is_stale)).
    ///
    /// Destroying a destroyed key gives an equal keyset of the next generation.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for the active key,
    /// [`UnknownDataKey`](ErrorKind::UnknownDataKey) when the keyset does not hold it.
    pub fn with_data_key_destroyed(&self, id: DataKeyId) -> Result<Self> {
        let mut next = self.next();
        let Some(entry) = next.keys.iter_mut().find(|entry| entry.id == id) else {
            return Err(Error::new(ErrorKind::UnknownDataKey, format!("the keyset holds no data key {id}")));
        };
        if entry.state == DataKeyState::Active {
            return Err(Error::invalid_request("the active data key cannot be destroyed: add a new data key first"));
        }
        entry.state = DataKeyState::Destroyed;
        entry.key = None;
        Ok(Self::seal(next, self.0.unlocked_by))
    }

    /// Writes into the record what this process has sealed since the last one, so that
    /// [`rotation_due`](super::DataKeyInfo::rotation_due) is right after a restart too.
    #[must_use]
    pub fn with_usage_recorded(&self) -> Self {
        Self::seal(self.next(), self.0.unlocked_by)
    }

    /// The next generation, with the usage so far.
    fn next(&self) -> Opened {
        let mut next = self.0.opened.clone();
        // Only a record made to be there stands at the last generation; staying there is no panic.
        next.generation = next.generation.saturating_add(1);
        next.keys.iter_mut().for_each(KeyEntry::record_usage);
        next
    }

    async fn new_slot(&self, source: &KeySource) -> Result<Slot> {
        let Opened { index, algorithm, keyset_key, .. } = &self.0.opened;
        Slot::seal(index, *algorithm, source, keyset_key).await
    }

    fn slot_at(&self, id: SlotId) -> Result<usize> {
        let mut slots = self.0.opened.slots.iter();
        slots
            .position(|slot| slot.id == id)
            .ok_or_else(|| Error::new(ErrorKind::InvalidRequest, format!("the keyset has no key slot {id}")))
    }
}

/// Checks the slots that stay and the sources of those to come, before anything is derived for
/// them.
fn check_slots(kept: &[Slot], sources: &[KeySource]) -> Result<()> {
    if kept.len() + sources.len() > MAX_SLOTS {
        return Err(Error::limit(format!("a keyset has at most {MAX_SLOTS} key slots")));
    }
    let added = sources.iter().filter_map(|source| match source {
        KeySource::Passphrase(_, profile) => Some(profile),
        _ => None,
    });
    if added.clone().next().is_none() {
        return Ok(());
    }
    let profiles: Vec<_> = kept.iter().filter_map(Slot::argon2_profile).chain(added).copied().collect();
    Argon2Profile::check_written(&profiles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded::now;
    use crate::{EncryptionKey, IndexId, Passphrase};

    const AES: EncryptionAlgorithm = EncryptionAlgorithm::AES256GCM;

    fn passphrase(profile: Argon2Profile) -> KeySource {
        KeySource::Passphrase(Passphrase::new("secret").expect("not empty"), profile)
    }

    fn profile(memory_kib: u32, passes: u32) -> Argon2Profile {
        Argon2Profile::new(memory_kib, passes, 1).expect("a defined profile")
    }

    /// Each slot is acceptable alone. What would lock holders of the others out is refused before
    /// it is paid for.
    #[test]
    fn encryption_writers_make_no_record_that_locks_passphrases_out() {
        let dearest = profile(Argon2Profile::MAX_MEMORY_KIB, Argon2Profile::MAX_PASSES);
        let cheap = profile(64, 1);
        let key = KeySource::from(EncryptionKey::from_bytes(AES, [1; 32]));
        let keyset = now(Keyset::create(IndexId::from_bytes([7; 16]), AES, &key)).expect("created");
        let mut full = keyset.0.opened.clone();
        full.slots.extend([Slot::of_profile(dearest), Slot::of_profile(dearest)]);
        let full = Keyset::seal(full, keyset.unlocked_by());
        let dear_slot = full.slots()[1].id;

        let refused = |result: Result<Keyset>| result.err().map(|error| error.kind());
        let limit = Some(ErrorKind::Limit);
        assert_eq!(refused(now(full.with_slot_added(&passphrase(cheap)))), limit);
        assert_eq!(refused(now(full.with_slot_replaced(full.unlocked_by(), &passphrase(cheap)))), limit);
        let three = [passphrase(dearest), passphrase(dearest), passphrase(dearest)];
        assert_eq!(refused(now(full.with_slots_replaced(&three))), limit);

        assert_eq!(refused(now(full.with_slot_replaced(dear_slot, &passphrase(cheap)))), None, "it makes room");
        assert_eq!(refused(now(full.with_slot_added(&EncryptionKey::from_bytes(AES, [2; 32]).into()))), None);
        assert_eq!(refused(full.with_slot_removed(dear_slot)), None);
    }
}
