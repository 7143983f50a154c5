//! Changes to a keyset. Each change returns a new keyset and takes effect when the caller stores
//! the record of the new keyset.

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
    /// ```
    /// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, IndexId, KeySource, Keyset};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
    /// let first = KeySource::from(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM));
    /// let second = KeySource::from(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM));
    /// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &first).await?;
    /// let shared = keyset.with_slot_added(&second).await?;
    /// assert!(Keyset::open(shared.record(), &second).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if there are already [`MAX_SLOTS`](crate::MAX_SLOTS) slots, or
    /// if the passphrase slots together would demand more than readers accept ([`Argon2Profile`]);
    /// otherwise as for [`create`](Self::create).
    pub async fn with_slot_added(&self, source: &KeySource) -> Result<Self> {
        check_slots(&self.0.opened.slots, slice::from_ref(source))?;
        let slot = self.new_slot(source).await?;
        let mut next = self.next();
        next.slots.push(slot);
        Ok(Self::seal(next, self.0.unlocked_by))
    }

    /// Replaces a slot with one that `source` opens. The key or passphrase of the old slot no
    /// longer opens the keyset, unless it also opens another of the [`slots`](Self::slots): a key
    /// that was added twice remains valid until each of its slots is replaced or removed, or until
    /// [`with_slots_replaced`](Self::with_slots_replaced) replaces all slots.
    ///
    /// The keyset key does not change, so other running processes can follow the change with
    /// [`reopen`](Self::reopen). If the old key may be compromised together with an old record, use
    /// [`with_slots_replaced`](Self::with_slots_replaced).
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) if there is no such slot; otherwise as for
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

    /// Removes a slot. Its key or passphrase no longer opens the keyset, unless it also opens
    /// another slot. The keyset key does not change, as in
    /// [`with_slot_replaced`](Self::with_slot_replaced). If [`unlocked_by`](Self::unlocked_by) was
    /// this slot, it is the first remaining slot afterwards, which may belong to anyone.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) if there is no such slot, or if it is the only
    /// slot.
    pub fn with_slot_removed(&self, id: SlotId) -> Result<Self> {
        let at = self.slot_at(id)?;
        let mut next = self.next();
        if next.slots.len() == 1 {
            return Err(Error::invalid_request(
                "the last key slot cannot be removed, because nothing could open the store any more",
            ));
        }
        next.slots.remove(at);
        let unlocked_by = if self.0.unlocked_by == id { next.slots[0].id } else { self.0.unlocked_by };
        Ok(Self::seal(next, unlocked_by))
    }

    /// Replaces all slots and the keyset key itself. The record, and the slots of passphrases and
    /// providers, are sealed with the algorithm of the active data key; the slot of a key is sealed
    /// with the algorithm of that key. Only `sources` can open the root records that are written
    /// from now on; an attacker with an old key *and* an old record cannot.
    ///
    /// However, the old record gives such an attacker the data keys that were in use until then. To
    /// protect new objects as well, add a new data key
    /// ([`with_new_data_key`](Self::with_new_data_key)) afterwards, then re-seal the old objects.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) if there is no source,
    /// [`Limit`](ErrorKind::Limit) if there are more than [`MAX_SLOTS`](crate::MAX_SLOTS);
    /// otherwise as for [`with_slot_added`](Self::with_slot_added).
    pub async fn with_slots_replaced(&self, sources: &[KeySource]) -> Result<Self> {
        check_slots(&[], sources)?;
        let mut next = self.next();
        // The active data key may use a different suite from the one with which the keyset was
        // created.
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

    /// Adds a data key that seals from now on. The previous data key only opens what it sealed.
    ///
    /// If there are already [`MAX_DATA_KEYS`](super::MAX_DATA_KEYS), the oldest destroyed key is
    /// removed, and its id becomes unknown to the keyset.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if there are already [`MAX_DATA_KEYS`](super::MAX_DATA_KEYS)
    /// data keys and none is destroyed.
    pub fn with_new_data_key(&self, algorithm: EncryptionAlgorithm) -> Result<Self> {
        let mut next = self.next();
        if next.keys.len() >= MAX_DATA_KEYS {
            let Some(oldest) = next.keys.iter().position(|entry| entry.state == DataKeyState::Destroyed) else {
                return Err(Error::limit(format!(
                    "the keyset has reached the limit of {MAX_DATA_KEYS} data keys: destroy one that is no longer needed"
                )));
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

    /// Destroys a data key. The objects that it sealed, and all copies of them, can then be opened
    /// only with an older record. The caller must first verify that no object that is still needed
    /// was sealed with this key, by opening each of them. Reading the headers is not enough,
    /// because a header can be forged to refer to a different key
    /// ([`is_stale`](crate::Envelope::is_stale)).
    ///
    /// Destroying a destroyed key returns an equal keyset of the next generation.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for the active key,
    /// [`UnknownDataKey`](ErrorKind::UnknownDataKey) if the keyset does not contain it.
    pub fn with_data_key_destroyed(&self, id: DataKeyId) -> Result<Self> {
        let mut next = self.next();
        let Some(entry) = next.keys.iter_mut().find(|entry| entry.id == id) else {
            return Err(Error::new(
                ErrorKind::UnknownDataKey,
                format!("the keyset does not contain the data key {id}"),
            ));
        };
        if entry.state == DataKeyState::Active {
            return Err(Error::invalid_request("the active data key cannot be destroyed: add a new data key first"));
        }
        entry.state = DataKeyState::Destroyed;
        entry.key = None;
        Ok(Self::seal(next, self.0.unlocked_by))
    }

    /// Removes data keys, to make room for new ones. Nothing can open the objects that they sealed,
    /// and their ids become unknown to the keyset. As with
    /// [`with_data_key_destroyed`](Self::with_data_key_destroyed), the caller must first open every
    /// object that is still needed. Ids that the keyset does not contain are ignored.
    ///
    /// ```
    /// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, IndexId, KeySource, Keyset};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
    /// let source = KeySource::from(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM));
    /// let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &source).await?;
    /// let rotated = keyset.with_new_data_key(EncryptionAlgorithm::AES256GCM)?;
    /// let smaller = rotated.with_data_keys_removed(&[keyset.active_key()])?;
    /// assert_eq!(smaller.keys().len(), 1);
    /// assert_eq!(smaller.active_key(), rotated.active_key());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) if the active key is among them.
    pub fn with_data_keys_removed(&self, ids: &[DataKeyId]) -> Result<Self> {
        if ids.contains(&self.active_key()) {
            return Err(Error::invalid_request("the active data key cannot be removed: add a new data key first"));
        }
        let mut next = self.next();
        next.keys.retain(|entry| !ids.contains(&entry.id));
        Ok(Self::seal(next, self.0.unlocked_by))
    }

    /// Adds what this process has sealed since the last record to the usage in the record, so that
    /// [`rotation_due`](super::DataKeyInfo::rotation_due) is accurate even after a restart.
    #[must_use]
    pub fn with_usage_recorded(&self) -> Self {
        Self::seal(self.next(), self.0.unlocked_by)
    }

    /// Returns the content of the next generation, with the usage so far.
    fn next(&self) -> Opened {
        let mut next = self.0.opened.clone();
        // Only a forged record can contain the largest possible generation. The counter then
        // saturates instead of panicking.
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

/// Checks the remaining slots and the sources of new ones, before anything is derived for them.
fn check_slots(kept: &[Slot], sources: &[KeySource]) -> Result<()> {
    if kept.len() + sources.len() > MAX_SLOTS {
        return Err(Error::limit(format!("the keyset would exceed the limit of {MAX_SLOTS} key slots")));
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

    /// Each slot is acceptable on its own. Changes that would lock out the holders of other slots
    /// are refused before any derivation.
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
