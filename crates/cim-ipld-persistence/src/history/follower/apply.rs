//! One entry of the catalog: judged, and taken in or passed over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cim_ipld_backend::{Entry, Key, KeyedEntry, Revision};
use tokio::time::Instant;

use super::Follower;
use super::missing::{Fault, Gap, Missing};
use crate::history::change::Changes;
use crate::history::manifest::{self, ManifestVersion, Succession};
use crate::history::order::{Ignored, OpenedRecord, Verdict};
use crate::history::progress::SETTLING;
use crate::history::records;
use crate::history::remains::{self, Reading};
use crate::history::root::{self, RootChange};
use crate::history::shared::SHORT_TAIL_RECORDS;
use crate::history::state::Origin;
use crate::rules::Rule;
use crate::{ErrorKind, Result};

/// What an entry of the catalog means for the follower.
pub(super) enum Step {
    Applied,
    /// The manifest changed under the journal, or may have: begin again from the newest.
    Resync(Option<Missing>),
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
        if let Some(step) = self.check_past(revision, &opened).await? {
            return Ok(step);
        }
        // What a record needs goes when a newer manifest holds it: the chunks of its body when it
        // is folded, the pages of older segments when they are merged.
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
        #[cfg(feature = "simulation")]
        let (digest_before, listed) = (self.order().digest(), changes.list());
        self.current().apply(&opened, changes)?;
        #[cfg(feature = "simulation")]
        shared.objects.environment.observe(|| crate::observer::Event::Accepted {
            before: digest_before.0,
            after: self.order().digest().0,
            position: self.order().position(),
            writer: opened.writer,
            record: opened.digest.0,
            epoch: opened.epoch,
            changes: listed,
        });
        let position = self.order().position();
        self.shared.journal().accepted(entry.key, position, records::chunked(&opened.record.body));
        self.claim_fold(before, opened.writer);
        self.claim_closing_fold(opened.writer);
        Ok(Step::Applied)
    }

    /// Opens a record; `None` when it is none, which is noted.
    pub(super) async fn open_record(&mut self, entry: &KeyedEntry) -> Result<Option<OpenedRecord>> {
        let digest = self.shared.digest_of(&entry.entry.value);
        let error = match records::open_as(&self.shared.objects, entry, digest) {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => error,
        };
        match error.kind() {
            // Nobody vouches for the key that an entry names. A newer root may hold it.
            ErrorKind::KeyRotated => {
                if root::read_newer(&self.shared, self.order()).await?
                    && let Ok(opened) = records::open_as(&self.shared.objects, entry, digest)
                {
                    return Ok(Some(opened));
                }
                // Somebody who held the key announced another root: this is what was sealed under
                // it.
                let known = self.shared.objects.root().digest();
                if self.order().announced().has_key_of(&known, &entry.entry.value) {
                    return Err(root::rotated());
                }
            }
            ErrorKind::UnsupportedVersion => return Err(error),
            _ if self.shared.objects.rules.hold(Rule::IgnoreJunk) => {}
            _ => return Err(error),
        }
        tracing::warn!(key = %entry.key, %error, "an entry of the journal is ignored: it does not open");
        self.ignored.count(Ignored::Junk);
        self.note_displaced(&entry.key);
        Ok(None)
    }

    pub(super) fn ignore_record(&mut self, key: Key, opened: &OpenedRecord, reason: Ignored) {
        // What a replay shows again was judged when it was new.
        let is_replay = reason == Ignored::Duplicate && self.rebuilding.is_some();
        if !is_replay {
            self.ignored.count(reason);
        }
        // One that this state holds already, and has not published, is accepted: the writer learns
        // that when it is.
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

    /// An accepted record that no manifest holds yet was put again, or overwritten: it comes later
    /// in the store now than in the order, or nowhere. Whoever opens the index would be misled,
    /// until what this process knows is in a manifest.
    fn note_displaced(&mut self, key: &Key) {
        let position = self.shared.journal().position(key);
        if self.rebuilding.is_none()
            && let Some(position) = position.filter(|position| *position > self.live.manifest.position())
        {
            self.shared.displaced.note(position);
        }
    }

    /// Checks that the record was sealed over this history; returns a step when the manifest has to
    /// be read first.
    pub(super) async fn check_past(&mut self, revision: Revision, opened: &OpenedRecord) -> Result<Option<Step>> {
        let shared = Arc::clone(&self.shared);
        let (objects, rules) = (&shared.objects, shared.objects.rules);
        let state = self.current();
        let generation = opened.record.generation;
        if generation > state.manifest.generation() && rules.hold(Rule::RecordManifest) {
            return Ok(Some(self.missed(revision, Gap::Manifest(generation))));
        }
        let manifest = state.manifest.attested(objects, generation).await?;
        let attested = manifest.is_some_and(|manifest| state.order.attests(&opened.record, manifest));
        if attested || !rules.hold(Rule::RecordChain) {
            return Ok(None);
        }
        Ok(Some(self.missed(revision, Gap::History)))
    }

    /// The manifest has to be read again for something that is missing.
    pub(super) fn missed(&mut self, record: Revision, gap: Gap) -> Step {
        let manifest = self.current().manifest.generation();
        Step::Resync(Some(Missing { record, gap, manifest }))
    }

    pub(super) async fn apply_manifest(&mut self, entry: Entry) -> Result<Step> {
        for state in [Some(&mut self.live), self.rebuilding.as_mut()].into_iter().flatten() {
            if entry.value == state.manifest.sealed {
                if state.moved(entry.revision) {
                    self.unsettled_until = Some(Instant::now() + SETTLING);
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
                tracing::warn!(%error, "what is in the manifest's place is ignored: it does not open");
                return self.ignore_manifest(&entry, Ignored::Junk).await;
            }
        };
        if self.rebuilding.as_ref().is_some_and(|rebuilding| next.generation() <= rebuilding.manifest.generation()) {
            // Passed already: a watch may lag behind the authoritative copy.
            return Ok(Step::Applied);
        }
        let succession = self.live.manifest.succession(&self.shared.objects, &self.live.order, &next).await;
        let succession = match succession {
            Err(error) if error.kind() == ErrorKind::Forked => return Ok(self.missed(entry.revision, Gap::History)),
            // What it names may be gone because a newer one has replaced it.
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
            Succession::Newer => Ok(self.take_up(next)),
        }
    }

    pub(super) async fn ignore_manifest(&mut self, entry: &Entry, reason: Ignored) -> Result<Step> {
        self.ignored.count(reason);
        self.refused = Some(manifest::manifest_digest(&entry.value));
        self.unsettled_until = Some(Instant::now() + SETTLING);
        self.mend(entry.revision).await.map(|()| Step::Applied)
    }

    /// A manifest of the known one's generation: some process knows it instead, and puts it back as
    /// this one does. Each does so now and then only, until a record tells which of them has to
    /// stop.
    async fn ignore_sibling(&mut self, entry: &Entry) -> Result<Step> {
        if self.rival_until.is_some_and(|until| until > Instant::now()) {
            self.ignored.count(Ignored::Replayed);
            self.unsettled_until = Some(Instant::now() + SETTLING);
            return Ok(Step::Applied);
        }
        let pause = Duration::from_millis(2000 + self.shared.objects.environment.below(6000));
        self.rival_until = Some(Instant::now() + pause);
        self.ignore_manifest(entry, Ignored::Replayed).await
    }

    /// Puts the newest root and manifest back where something else was put in their places. A copy
    /// of the catalog that lags delivers what was replaced long ago: what counts is what is there
    /// now.
    pub(super) async fn mend(&mut self, seen: Revision) -> Result<()> {
        let (shared, manifest) = (Arc::clone(&self.shared), Arc::clone(&self.live.manifest));
        let reading = Reading { seen, is_whole: self.rebuilding.is_none() };
        remains::mend(&shared, &manifest, &self.order().announced(), reading).await
    }

    pub(super) fn take_up(&mut self, next: ManifestVersion) -> Step {
        if self.rebuilding.is_some() {
            return Step::Resync(None);
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
                if let Origin::Memtable { chunks, .. } = &own.origin {
                    self.live.order.stored(next.position(), chunks.clone());
                }
                Step::Applied
            }
            _ => Step::Resync(None),
        }
    }

    pub(super) async fn apply_root(&mut self, entry: Entry) -> Result<()> {
        match root::examine(&self.shared.objects, &self.order().announced(), &entry)? {
            RootChange::Known | RootChange::Taken => {}
            RootChange::Ignored(reason) => {
                tracing::warn!(?reason, "what is in the root's place is ignored");
                self.ignored.count(reason);
                self.mend(entry.revision).await?;
            }
            RootChange::Unknown => {
                tracing::warn!("what is in the root's place opens under no known key, and nobody announced it");
                self.ignored.count(Ignored::Junk);
                self.mend(entry.revision).await?;
            }
            RootChange::Rotated => return Err(root::rotated()),
        }
        Ok(())
    }

    /// The process whose record takes the tail over the budget folds.
    pub(super) fn claim_fold(&mut self, before: usize, writer: u64) {
        let settings = &self.shared.settings;
        let budget = settings.memtable_budget_bytes.max(1);
        let state = self.rebuilding.as_ref().unwrap_or(&self.live);
        if settings.background && before < budget && state.memtable_bytes() >= budget && self.shared.is_own(writer) {
            self.shared.turn.claim(state.manifest.position());
            self.shared.folds.notify_one();
        }
    }

    /// The process whose record takes the tail to a multiple of this length folds when it ends, if
    /// that is soon: every opener replays the tail, and one process in so many is enough.
    fn claim_closing_fold(&mut self, writer: u64) {
        let state = self.current();
        let tail = state.order.position().saturating_sub(state.manifest.position());
        if tail > 0 && tail.is_multiple_of(SHORT_TAIL_RECORDS) {
            let is_own = self.shared.is_own(writer);
            self.shared.folds_on_closing.store(is_own, Ordering::Relaxed);
        }
    }

    /// Gives another process time to fold a tail that is over the budget: little if it was so when
    /// this one came.
    pub(super) fn expect_fold(&self, was_open: bool) {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        if !settings.background {
            return;
        }
        if self.live.memtable_bytes().max(self.live.frozen_bytes()) < settings.memtable_budget_bytes.max(1) {
            return shared.turn.end();
        }
        const ON_OPENING: std::time::Duration = std::time::Duration::from_secs(1);
        let patience = |took| if was_open { shared.patience(took) } else { shared.random_part(ON_OPENING) };
        if shared.turn.wait(self.live.manifest.position(), patience) {
            shared.folds.notify_one();
        }
    }
}
