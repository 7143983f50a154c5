//! Judges one catalog entry and applies or ignores it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cim_ipld_backend::{Entry, Key, KeyedEntry, Revision};
use tokio::time::Instant;

use super::Follower;
use super::missing::{Fault, Gap, Missing};
use crate::format::writer_id::WriterId;
use crate::history::change::Changes;
use crate::history::manifest::{self, ManifestVersion, Succession};
use crate::history::order::{Ignored, OpenedRecord, Verdict};
use crate::history::progress::RESTORE_GRACE_PERIOD;
use crate::history::records;
use crate::history::repair::{self, Reading};
use crate::history::root::{self, RootChange};
use crate::history::shared::SHORT_TAIL_RECORDS;
use crate::history::state::Origin;
use crate::rules::Rule;
use crate::{ErrorKind, Result};

/// What the follower does after an entry.
pub(super) enum Step {
    Applied,
    /// Rebuild from this manifest, which succeeds the current one, or from a newer one.
    Follow(Box<ManifestVersion>),
    /// Rebuild from the newest manifest, which may have changed, because something is missing.
    Resync(Missing),
}

impl Follower {
    pub(super) async fn apply(&mut self, entry: KeyedEntry) -> Result<Step> {
        let layout = &self.shared.objects.layout;
        if layout.journal.contains(&entry.key) {
            self.apply_record(entry).await
        } else if entry.key == layout.manifest {
            self.apply_manifest(entry.entry).await
        } else if entry.key == layout.root {
            self.apply_root(entry.entry).await.map(|()| Step::Applied)
        } else {
            if !layout.snapshots.contains(&entry.key) {
                self.ignored.count(Ignored::Junk);
            }
            Ok(Step::Applied)
        }
    }

    pub(super) async fn apply_record(&mut self, entry: KeyedEntry) -> Result<Step> {
        let revision = entry.entry.revision;
        let Some(opened) = self.open_record(&entry).await? else { return Ok(Step::Applied) };
        match self.order().judge(&opened) {
            Verdict::Next => {}
            Verdict::Ignored(reason) => {
                self.ignore_record(entry.key, &opened, reason);
                return Ok(Step::Applied);
            }
            Verdict::Ahead => return Ok(self.missed(revision, Gap::Records(opened.record.seen))),
        }
        if let Some(step) = self.check_attestation(revision, &opened).await? {
            return Ok(step);
        }
        // The publisher of a newer manifest may have removed objects that the record needs: the
        // chunks of its body after a fold, or the pages of older segments after a merge.
        let changes = match records::changes(&self.shared.objects, &opened.record.body).await {
            Err(error) => match Fault::of(&error) {
                Some(fault) => return Ok(self.missed(revision, Gap::Body(fault))),
                None => return Err(error),
            },
            changes => changes?,
        };
        let Some(changes) = changes else {
            self.ignore_record(entry.key, &opened, Ignored::Junk);
            return Ok(Step::Applied);
        };
        let shared = Arc::clone(&self.shared);
        let changes: Changes = match self.current().locate(&shared.objects, &shared.cache, changes).await {
            Err(error) => match Fault::of(&error) {
                Some(fault) => return Ok(self.missed(revision, Gap::Page(fault))),
                None => return Err(error),
            },
            changes => changes?,
        };
        let before = self.current().memtable_bytes();
        self.accept(&opened, &changes).await;
        self.current().apply(changes)?;
        let position = self.order().position();
        self.shared.journal().accepted(entry.key, position, records::chunked(&opened.record.body));
        self.claim_fold(before, opened.writer);
        self.claim_closing_fold(opened.writer);
        Ok(Step::Applied)
    }

    /// Appends the record to the order. If it is one of this process, its writer seals and sends
    /// the next record while the documents of this one are inserted.
    async fn accept(&mut self, opened: &OpenedRecord, changes: &Changes) {
        #[cfg(feature = "simulation")]
        let before = self.order().digest();
        self.current().order.accept(opened);
        #[cfg(feature = "simulation")]
        self.shared.objects.environment.observe(|| crate::observer::Event::Accepted {
            before: before.0,
            after: self.order().digest().0,
            position: self.order().position(),
            writer: opened.writer.0,
            record: opened.digest.0,
            epoch: opened.epoch,
            changes: changes.list(),
        });
        #[cfg(not(feature = "simulation"))]
        let _ = changes;
        // If the state is not live yet, the writer is answered when it is published.
        let is_live = self.rebuilding.is_none() && !self.catching_up;
        if is_live && self.shared.accepted((opened.writer, opened.sequence, opened.digest), self.live.seen()) {
            // Inserting the documents does not yield, and the writer may run on the same thread.
            tokio::task::yield_now().await;
        }
    }

    /// Opens a record. Returns `None` and counts the entry as junk if it is not a record.
    pub(super) async fn open_record(&mut self, entry: &KeyedEntry) -> Result<Option<OpenedRecord>> {
        if let Some(own) = self.shared.own_record(entry)
            && let Ok(opened) = records::open_own(&self.shared.objects, entry, &own)
        {
            return Ok(Some(opened));
        }
        let error = match records::open(&self.shared.objects, entry) {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => error,
        };
        match error.kind() {
            // The key id is not authenticated. A newer root may contain the key.
            ErrorKind::KeyRotated => {
                if root::read_newer(&self.shared, self.order()).await?
                    && let Ok(opened) = records::open(&self.shared.objects, entry)
                {
                    return Ok(Some(opened));
                }
                // The rotation to the data key of this record was announced, but the newest root
                // does not contain that key or cannot be opened: the key of the index has changed.
                let known = self.shared.objects.root().digest();
                if self.order().announced().has_key_of(&known, &entry.entry.value) {
                    return Err(root::rotated());
                }
            }
            ErrorKind::UnsupportedVersion => return Err(error),
            _ if self.shared.objects.rules.enforces(Rule::IgnoreJunk) => {}
            _ => return Err(error),
        }
        tracing::warn!(key = %entry.key, %error, "ignoring a journal entry that cannot be decrypted or decoded");
        self.ignored.count(Ignored::Junk);
        self.note_displaced(&entry.key);
        self.shared.journal().junk();
        Ok(None)
    }

    pub(super) fn ignore_record(&mut self, key: Key, opened: &OpenedRecord, reason: Ignored) {
        // During a replay, the entry was already counted when it was new.
        let is_replay = reason == Ignored::Duplicate && self.rebuilding.is_some();
        if !is_replay {
            self.ignored.count(reason);
        }
        // If the state contains the record but is not published yet, the writer is answered on
        // publication.
        let holds = self
            .order()
            .writer(opened.writer)
            .is_some_and(|writer| writer.sequence == Some(opened.sequence) && writer.record == opened.digest);
        if !holds {
            self.shared.ignored(opened.writer, opened.sequence, opened.digest, reason);
        }
        if reason == Ignored::Duplicate {
            self.note_displaced(&key);
        }
        self.shared.journal().ignored(key, records::chunked(&opened.record.body));
    }

    /// Notes an accepted record that was stored again or overwritten before a manifest covered it.
    /// In the store, the record now comes later than in the order, or is missing. Until this
    /// process publishes a manifest, a process that opens the index would read a different order.
    fn note_displaced(&mut self, key: &Key) {
        let position = self.shared.journal().position(key);
        if self.rebuilding.is_none()
            && let Some(position) = position.filter(|position| *position > self.live.manifest.position())
        {
            self.shared.displaced.note(position);
        }
    }

    /// Checks that the record attests this history. Returns a step if the manifest has to be reread
    /// first.
    pub(super) async fn check_attestation(
        &mut self,
        revision: Revision,
        opened: &OpenedRecord,
    ) -> Result<Option<Step>> {
        let shared = Arc::clone(&self.shared);
        let (objects, rules) = (&shared.objects, shared.objects.rules);
        let state = self.current();
        let generation = opened.record.generation;
        if generation > state.manifest.generation() && rules.enforces(Rule::RecordManifest) {
            return Ok(Some(self.missed(revision, Gap::Manifest(generation))));
        }
        let manifest = state.manifest.attested(objects, generation).await?;
        let attested = manifest.is_some_and(|manifest| state.order.attests(&opened.record, manifest));
        if attested || !rules.enforces(Rule::RecordChain) {
            return Ok(None);
        }
        Ok(Some(self.missed(revision, Gap::History)))
    }

    /// Returns the step to reread the manifest because of `gap`.
    pub(super) fn missed(&mut self, record: Revision, gap: Gap) -> Step {
        let manifest = self.current().manifest.generation();
        Step::Resync(Missing { record, gap, manifest })
    }

    pub(super) async fn apply_manifest(&mut self, entry: Entry) -> Result<Step> {
        for state in [Some(&mut self.live), self.rebuilding.as_mut()].into_iter().flatten() {
            if entry.value == state.manifest.sealed {
                if state.set_manifest_revision(entry.revision) {
                    self.grace_until = Some(Instant::now() + RESTORE_GRACE_PERIOD);
                }
                return Ok(Step::Applied);
            }
        }
        let opened = match manifest::open_manifest(&self.shared.objects, &entry) {
            Err(error) if error.kind() == ErrorKind::KeyRotated => {
                root::read_newer(&self.shared, &self.live.order).await?;
                manifest::open_manifest(&self.shared.objects, &entry)
            }
            opened => opened,
        };
        let next = match opened {
            Ok(next) => next,
            Err(error) if error.kind() == ErrorKind::UnsupportedVersion => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "ignoring a manifest entry that cannot be decrypted or decoded");
                return self.ignore_manifest(&entry, Ignored::Junk).await;
            }
        };
        if self.rebuilding.as_ref().is_some_and(|rebuilding| next.generation() <= rebuilding.manifest.generation()) {
            // Already superseded: a watch may lag behind the authoritative copy.
            return Ok(Step::Applied);
        }
        self.shared.progress.note_following(next.generation());
        let succession = self.live.manifest.succession(&self.shared.objects, &self.live.order, &next).await;
        let succession = match succession {
            Err(error) if error.kind() == ErrorKind::Forked => return Ok(self.missed(entry.revision, Gap::History)),
            // The objects that this manifest names may be missing because a newer one has replaced
            // it.
            Err(error) => match Fault::of(&error) {
                Some(fault) => return Ok(self.missed(entry.revision, Gap::Window(fault))),
                None => return Err(error),
            },
            Ok(succession) => succession,
        };
        match succession {
            Succession::Same => Ok(Step::Applied),
            Succession::Older if next.generation() == self.live.manifest.generation() => {
                self.ignore_sibling(&entry).await
            }
            Succession::Older => self.ignore_manifest(&entry, Ignored::Replayed).await,
            Succession::Retired => self.ignore_manifest(&entry, Ignored::Retired).await,
            Succession::Newer => Ok(self.adopt(next)),
        }
    }

    pub(super) async fn ignore_manifest(&mut self, entry: &Entry, reason: Ignored) -> Result<Step> {
        self.ignored.count(reason);
        self.refused = Some(manifest::manifest_digest(&entry.value));
        self.grace_until = Some(Instant::now() + RESTORE_GRACE_PERIOD);
        self.repair(entry.revision).await.map(|()| Step::Applied)
    }

    /// Handles a different manifest of the same generation. Some other process follows that
    /// manifest and restores it, just as this process restores the one that it follows. Each of
    /// them does so only after a random pause, so that the two do not overwrite each other
    /// continuously. A later record decides which of the two must stop.
    async fn ignore_sibling(&mut self, entry: &Entry) -> Result<Step> {
        if self.rival_until.is_some_and(|until| until > Instant::now()) {
            self.ignored.count(Ignored::Replayed);
            self.grace_until = Some(Instant::now() + RESTORE_GRACE_PERIOD);
            return Ok(Step::Applied);
        }
        let pause = Duration::from_millis(2000 + self.shared.objects.environment.below(6000));
        self.rival_until = Some(Instant::now() + pause);
        self.ignore_manifest(entry, Ignored::Replayed).await
    }

    /// Restores the newest root and manifest if they were overwritten. The current entries are read
    /// first, because a lagging copy of the catalog may deliver entries that were replaced long
    /// ago.
    pub(super) async fn repair(&mut self, seen: Revision) -> Result<()> {
        let (shared, manifest) = (Arc::clone(&self.shared), Arc::clone(&self.live.manifest));
        let reading = Reading { seen, is_gapless: self.rebuilding.is_none() };
        repair::repair_entries(&shared, &manifest, &self.order().announced(), reading).await
    }

    pub(super) fn adopt(&mut self, next: ManifestVersion) -> Step {
        if self.rebuilding.is_some() {
            return Step::Follow(Box::new(next));
        }
        let current = &self.live.manifest;
        let is_same_index = next.manifest.watermark == current.manifest.watermark
            && next.manifest.segments == current.manifest.segments
            && next.manifest.epoch == current.manifest.epoch;
        if is_same_index {
            self.live.renew(next);
            return Step::Applied;
        }
        let own = self.shared.replacement().filter(|replacement| replacement.manifest == next.digest);
        match own {
            Some(own) if !self.catching_up && self.live.install(&next, &own) => {
                if let Origin::Memtable { blocks, .. } = &own.origin {
                    self.live.order.stored(next.position(), blocks.clone());
                }
                Step::Applied
            }
            _ => Step::Follow(Box::new(next)),
        }
    }

    pub(super) async fn apply_root(&mut self, entry: Entry) -> Result<()> {
        match root::examine(&self.shared.objects, &self.order().announced(), &entry)? {
            RootChange::Known | RootChange::Adopted => {}
            RootChange::Ignored(reason) => {
                tracing::warn!(?reason, "ignoring a root entry");
                self.ignored.count(reason);
                self.repair(entry.revision).await?;
            }
            RootChange::Unknown => {
                tracing::warn!("ignoring an unannounced root entry that cannot be decrypted under any known key");
                self.ignored.count(Ignored::Junk);
                self.repair(entry.revision).await?;
            }
            RootChange::Rotated => return Err(root::rotated()),
        }
        Ok(())
    }

    /// Claims the fold if a record of this process pushes the tail over the budget.
    pub(super) fn claim_fold(&mut self, before: usize, writer: WriterId) {
        let settings = &self.shared.settings;
        let budget = settings.budget().memtable_bytes();
        let state = self.rebuilding.as_ref().unwrap_or(&self.live);
        if settings.background && before < budget && state.memtable_bytes() >= budget && self.shared.is_own(writer) {
            self.shared.turn.claim(state.manifest.position());
            self.shared.folds.notify_one();
        }
    }

    /// Notes whether a record of this process brought the tail to a multiple of
    /// [`SHORT_TAIL_RECORDS`]. If so, this process folds when it closes, because every opener
    /// replays the tail.
    fn claim_closing_fold(&mut self, writer: WriterId) {
        let state = self.current();
        let tail = state.order.position().saturating_sub(state.manifest.position());
        if tail > 0 && tail.is_multiple_of(SHORT_TAIL_RECORDS) {
            let is_own = self.shared.is_own(writer);
            self.shared.folds_on_closing.store(is_own, Ordering::Relaxed);
        }
    }

    /// Gives another process time to fold a tail that exceeds the budget, but only a short time if
    /// this process has just opened the index.
    pub(super) fn expect_fold(&self, was_open: bool) {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        if !settings.background {
            return;
        }
        if self.live.memtable_bytes().max(self.live.frozen_bytes()) < settings.budget().memtable_bytes() {
            return shared.turn.end();
        }
        const ON_OPENING: std::time::Duration = std::time::Duration::from_secs(1);
        let patience = |took| if was_open { shared.patience(took) } else { shared.jitter(ON_OPENING) };
        if shared.turn.wait(self.live.manifest.position(), patience) {
            shared.folds.notify_one();
        }
    }
}
