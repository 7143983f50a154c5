//! Follows the catalog: judges every record in order, takes manifests up, publishes what readers see.
//!
//! Two states at most: the live one, which was published, and one that is being rebuilt from a newer manifest. Everything the
//! store shows is held against the live one; the other takes its place when it has reached what was published before.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Entry, ErrorKind as StoreErrorKind, KeyPrefix, KeyedEntry, Revision, WatchEvent, WatchStream};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::manifest::{self, ManifestVersion, Succession, check_digest, is_no_manifest};
use super::order::{Ignored, OpenedRecord, Order, Verdict};
use super::progress::{IgnoredEntries, Progress, Seen};
use super::records;
use super::remains;
use super::root::{self, RootChange};
use super::shared::Shared;
use super::state::{Change, Changes, FoldInput, Origin, State};
use crate::format::digest::{Digest, ShortDigest};
use crate::objects::Backoff;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// What others ask of the follower, answered between two entries.
pub(crate) enum Command {
    /// Stop the memtable and return what is to be folded.
    Freeze(oneshot::Sender<Option<Frozen>>),
    /// Return the order as of now, and the manifest.
    Capture(oneshot::Sender<(Order, Arc<ManifestVersion>)>),
    /// Put root and manifest back into a store that lost them, and go on.
    PutBack(oneshot::Sender<Result<()>>),
}

/// What there is to fold, and the manifest that the fold's own must follow.
pub(crate) struct Frozen {
    pub(crate) input: Arc<FoldInput>,
    pub(crate) manifest: Arc<ManifestVersion>,
}

pub(crate) struct Follower {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    live: State,
    /// Begun from a newer manifest, or from the one that the index was opened with.
    rebuilding: Option<State>,
    catalog: WatchStream,
    /// Set until everything that was there when the watch began has been looked at: nothing is published before.
    catching_up: bool,
    /// What was missing when this follower read the manifest again, and since when.
    missing: Option<(Missing, Instant)>,
    /// Whether anything was published yet.
    is_open: bool,
    /// A position that must be reached before anything is published, beside the live one's: what a pin remembers.
    pinned: Option<(u64, ShortDigest)>,
    refused: Option<Digest>,
    unsettled_until: Option<Instant>,
    ignored: IgnoredEntries,
}

/// How long something that is missing is looked for by a process that runs: what it needs may have been put under a newer
/// manifest, and that may have to be put back first.
const PATIENCE: Duration = Duration::from_secs(6);

/// How long whoever knows a newer manifest has to put it back. A live process does so as soon as it follows the catalog so
/// far.
const SETTLING: Duration = Duration::from_secs(3);

/// Something that an entry needs and that was not there under a manifest. A newer manifest may explain that; missing under
/// the same one once more, it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing {
    record: Revision,
    gap: Gap,
    manifest: u64,
}

/// What a record refers to and that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// Records before this position.
    Records(u64),
    /// Records up to this position, which a pin remembers.
    Pinned(u64),
    /// A manifest of this generation.
    Manifest(u64),
    Body,
    /// What a manifest says of the order.
    Window,
    /// A page of a segment, needed to find what the record replaces.
    Page,
    /// The history that the record was sealed over.
    History,
}

/// What an entry of the catalog means for the follower.
enum Step {
    Applied,
    /// The manifest changed under the journal, or may have: begin again from the newest.
    Resync(Option<Missing>),
}

impl Follower {
    /// Reads the journal after `manifest` up to its present end; returns once that is published.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        manifest: ManifestVersion,
        commands: mpsc::Receiver<Command>,
        pinned: Option<(u64, ShortDigest)>,
    ) -> Result<Self> {
        let (live, after) = open_newest(shared, manifest, None).await?;
        shared.journal().begin(live.order.clone());
        let mut follower = Self {
            shared: Arc::clone(shared),
            commands,
            rebuilding: Some(live.begin()),
            live,
            catalog: watch(shared, after),
            catching_up: true,
            missing: None,
            is_open: false,
            pinned,
            refused: None,
            unsettled_until: None,
            ignored: IgnoredEntries::default(),
        };
        let mut backoff = Backoff::new();
        let deadline = Instant::now() + shared.settings.write_timeout();
        while follower.rebuilding.is_some() || follower.catching_up {
            match follower.step().await {
                Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() < deadline => {
                    backoff.wait().await;
                    follower.rewatch();
                }
                stepped => stepped?,
            }
        }
        Ok(follower)
    }

    /// Follows until the engine is dropped, or something happened that no retry can mend.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let stepped = tokio::select! {
                biased;
                command = self.commands.recv(), if !self.catching_up => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                event = next(&self.shared, &mut self.catalog) => match event {
                    Ok(event) => self.take(event).await,
                    Err(error) => Err(error),
                },
            };
            match stepped {
                Ok(()) => backoff = Backoff::new(),
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(%error, "the catalog is out of reach; following it again");
                    backoff.wait().await;
                    self.rewatch();
                }
                Err(error) => {
                    tracing::error!(%error, "the catalog cannot be followed any further");
                    let is_lost = error.kind() == ErrorKind::Lost;
                    self.shared.progress.fail(error);
                    if !is_lost || !self.wait_for_put_back().await {
                        return;
                    }
                }
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        let event = next(&self.shared, &mut self.catalog).await?;
        self.take(event).await
    }

    fn current(&mut self) -> &mut State {
        self.rebuilding.as_mut().unwrap_or(&mut self.live)
    }

    fn order(&self) -> &Order {
        &self.rebuilding.as_ref().unwrap_or(&self.live).order
    }

    /// Watches again from what has been looked at; what is published stays until this has caught up.
    fn rewatch(&mut self) {
        let after = self.current().last_seen;
        self.catalog = watch(&self.shared, after);
        self.catching_up = true;
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Freeze(reply) => {
                let exact = self.shared.objects.rules.hold(Rule::ExactWatermark);
                let input = self.live.freeze(exact);
                let frozen = input.map(|input| Frozen { input, manifest: Arc::clone(&self.live.manifest) });
                let _ = reply.send(frozen);
                // The snapshot is the same, but its memtables are cut differently.
                self.publish()
            }
            Command::Capture(reply) => {
                let _ = reply.send((self.live.order.clone(), Arc::clone(&self.live.manifest)));
                Ok(())
            }
            Command::PutBack(reply) => {
                self.put_back(reply).await;
                Ok(())
            }
        }
    }

    async fn take(&mut self, event: WatchEvent) -> Result<()> {
        match event {
            WatchEvent::Entry(entry) => {
                if self.has_gap_before(&entry) && has_moved_on(&self.shared, &self.live).await? {
                    return self.resync().await;
                }
                self.look_at(entry).await
            }
            WatchEvent::CaughtUp => self.caught_up().await,
            _ => Ok(()),
        }
    }

    async fn look_at(&mut self, entry: KeyedEntry) -> Result<()> {
        let revision = entry.entry.revision;
        match self.apply(entry).await? {
            Step::Applied => {
                self.current().last_seen = revision;
                if !self.catching_up { self.publish() } else { Ok(()) }
            }
            Step::Resync(None) => self.resync().await,
            Step::Resync(Some(missing)) => self.look_again(missing).await,
        }
    }

    /// Tells whether something was removed or replaced between the last entry and this one. Whoever did that published a
    /// manifest before.
    fn has_gap_before(&self, entry: &KeyedEntry) -> bool {
        // While a state is rebuilt, one look at the end is enough: nothing is published before.
        self.rebuilding.is_none()
            && entry.entry.revision.number() > self.live.last_seen.number() + 1
            && self.shared.objects.rules.hold(Rule::GapRead)
    }

    async fn caught_up(&mut self) -> Result<()> {
        // What was there when the watch began may have been trimmed while it went on: then a newer manifest holds it.
        let current = self.rebuilding.as_ref().unwrap_or(&self.live);
        if self.shared.objects.rules.hold(Rule::CaughtUpRead) && has_moved_on(&self.shared, current).await? {
            return self.resync().await;
        }
        if let Some(rebuilt) = &self.rebuilding {
            if self.shared.objects.rules.hold(Rule::ReachFormer) {
                let (live, digest) = (self.live.order.position(), self.live.order.digest());
                let former = (Gap::Records(live), live, digest);
                let pinned = self.pinned.map(|(position, digest)| (Gap::Pinned(position), position, digest));
                for (gap, position, digest) in [former].into_iter().chain(pinned) {
                    if rebuilt.order.position() < position {
                        let manifest = rebuilt.manifest.generation();
                        return self.look_again(Missing { record: Revision::ZERO, gap, manifest }).await;
                    }
                    let found = manifest::digest_at(&self.shared.objects, &rebuilt.order, position).await?;
                    check_digest(position, found, digest)?;
                }
            }
            self.pinned = None;
            self.live = self.rebuilding.take().expect("it was looked at");
            self.shared.journal().forget(self.live.manifest.manifest.previous_position);
        }
        self.catching_up = false;
        self.publish()
    }

    /// Reads the manifest again for something that is missing. Gives up when that was done before: an opening at once, a
    /// process that runs after some time.
    async fn look_again(&mut self, missing: Missing) -> Result<()> {
        let mut since = Instant::now();
        if let Some((_, known)) = self.missing.filter(|(known, _)| *known == missing) {
            since = known;
            if !self.is_open || since.elapsed() >= PATIENCE {
                return Err(lost(missing));
            }
            tokio::time::sleep(PATIENCE / 20).await;
        }
        self.resync().await?;
        // Only now: what could not be read again has not been missed again.
        self.missing = Some((missing, since));
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        self.is_open = true;
        let (state, shared) = (&self.live, &self.shared);
        let progress = Progress {
            seen: Seen {
                position: state.order.position(),
                order: state.order.digest(),
                generation: state.manifest.generation(),
                manifest: state.manifest.digest,
            },
            memtable_bytes: state.memtable_bytes(),
            frozen_bytes: state.frozen_bytes(),
            unsettled_until: self.unsettled_until,
            refused: self.refused,
            fatal: None,
            ignored: self.ignored,
        };
        #[cfg(feature = "simulation")]
        shared.objects.environment.observe(|| crate::observer::Event::Published {
            position: progress.seen.position,
            order: progress.seen.order.0,
            generation: progress.seen.generation,
            manifest: progress.seen.manifest.0,
        });
        shared.publish(state.view()?, progress, &state.order);
        Ok(())
    }

    async fn apply(&mut self, entry: KeyedEntry) -> Result<Step> {
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

    async fn apply_record(&mut self, entry: KeyedEntry) -> Result<Step> {
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
        // What a record needs goes when a newer manifest holds it: the chunks of its body when it is folded, the pages of
        // older segments when they are merged.
        let operations = match records::operations(&self.shared.objects, &opened.record.body).await {
            Err(error) if error.kind() == ErrorKind::Lost => return Ok(self.missed(revision, Gap::Body)),
            operations => operations?,
        };
        let changes: Result<Vec<Change>> = operations.iter().map(Change::decode).collect();
        let Ok(changes) = changes else {
            // A holder of a key wrote what no document is: every process finds that alike.
            self.ignore_record(entry.key, &opened, Ignored::Junk);
            return Ok(Step::Applied);
        };
        let shared = Arc::clone(&self.shared);
        let changes: Changes = match self.current().locate(&shared, changes).await {
            Err(error) if error.kind() == ErrorKind::Lost => return Ok(self.missed(revision, Gap::Page)),
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
        self.wake_folds(before, opened.writer);
        Ok(Step::Applied)
    }

    /// Opens a record; `None` when it is none, which is noted.
    async fn open_record(&mut self, entry: &KeyedEntry) -> Result<Option<OpenedRecord>> {
        let error = match records::open(&self.shared.objects, entry) {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => error,
        };
        match error.kind() {
            // Nobody vouches for the key that an entry names. A newer root may hold it.
            ErrorKind::KeyRotated => {
                if root::read_newer(&self.shared, self.order()).await?
                    && let Ok(opened) = records::open(&self.shared.objects, entry)
                {
                    return Ok(Some(opened));
                }
            }
            ErrorKind::UnsupportedVersion => return Err(error),
            _ if self.shared.objects.rules.hold(Rule::IgnoreJunk) => {}
            _ => return Err(error),
        }
        tracing::warn!(key = %entry.key, %error, "an entry of the journal is ignored: it does not open");
        self.ignored.count(Ignored::Junk);
        Ok(None)
    }

    fn ignore_record(&mut self, key: cim_ipld_backend::Key, opened: &OpenedRecord, reason: Ignored) {
        // What a replay shows again was judged when it was new.
        let is_replay = reason == Ignored::Duplicate && self.rebuilding.is_some();
        if !is_replay {
            self.ignored.count(reason);
        }
        // One that this state holds already, and has not published, is accepted: the writer learns that when it is.
        let holds = self.order().writer(opened.writer).is_some_and(|writer| {
            writer.sequence == Some(opened.sequence) && writer.record == opened.digest
        });
        if !holds {
            self.shared.ignored(opened.writer, opened.sequence, opened.digest, reason);
        }
        self.shared.journal().ignored(key, records::chunked(&opened.record.body));
    }

    /// Checks that the record was sealed over this history; returns a step when the manifest has to be read first.
    async fn check_past(&mut self, revision: Revision, opened: &OpenedRecord) -> Result<Option<Step>> {
        let shared = Arc::clone(&self.shared);
        let (objects, rules) = (&shared.objects, shared.objects.rules);
        let state = self.current();
        let generation = opened.record.generation;
        let manifest = if rules.hold(Rule::RecordManifest) {
            if generation > state.manifest.generation() {
                return Ok(Some(self.missed(revision, Gap::Manifest(generation))));
            }
            state.manifest.ancestor(objects, generation).await?
        } else {
            Some(Digest::default())
        };
        let attested = manifest.is_some_and(|manifest| state.order.attests(&opened.record, manifest));
        if attested || !rules.hold(Rule::RecordChain) {
            return Ok(None);
        }
        Ok(Some(self.missed(revision, Gap::History)))
    }

    /// The manifest has to be read again for something that is missing.
    fn missed(&mut self, record: Revision, gap: Gap) -> Step {
        let manifest = self.current().manifest.generation();
        Step::Resync(Some(Missing { record, gap, manifest }))
    }

    async fn apply_manifest(&mut self, entry: Entry) -> Result<Step> {
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
            Err(error)
                if error.kind() == ErrorKind::UnsupportedVersion
                    && manifest::is_authentic(&self.shared.objects, &entry) =>
            {
                return Err(error);
            }
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
        match succession.as_ref().map_err(Error::kind) {
            Err(ErrorKind::Forked) => return Ok(self.missed(entry.revision, Gap::History)),
            // What it names may be gone because a newer one has replaced it.
            Err(ErrorKind::Lost) => return Ok(self.missed(entry.revision, Gap::Window)),
            _ => {}
        }
        match succession? {
            Succession::Same => Ok(Step::Applied),
            Succession::Older => self.ignore_manifest(&entry, Ignored::Replayed).await,
            Succession::Retired => self.ignore_manifest(&entry, Ignored::Retired).await,
            Succession::Newer => Ok(self.take_up(next)),
        }
    }

    async fn ignore_manifest(&mut self, entry: &Entry, reason: Ignored) -> Result<Step> {
        self.ignored.count(reason);
        self.refused = Some(manifest::manifest_digest(&entry.value));
        self.unsettled_until = Some(Instant::now() + SETTLING);
        self.mend().await.map(|()| Step::Applied)
    }

    /// Puts the newest root and manifest back where something else was put in their places. A copy of the catalog that lags
    /// delivers what was replaced long ago: what counts is what is there now.
    async fn mend(&mut self) -> Result<()> {
        let (shared, manifest) = (Arc::clone(&self.shared), Arc::clone(&self.live.manifest));
        let announced = self.live.order.announced();
        remains::mend(&shared, &manifest, |root| announced.contains(root)).await
    }

    fn take_up(&mut self, next: ManifestVersion) -> Step {
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

    async fn apply_root(&mut self, entry: Entry) -> Result<()> {
        match root::examine(&self.shared.objects, |root| self.order().has_announced(root), &entry)? {
            RootChange::Known | RootChange::Taken => {}
            RootChange::Ignored(reason) => {
                tracing::warn!(?reason, "what is in the root's place is ignored");
                self.ignored.count(reason);
                self.mend().await?;
            }
            RootChange::Unknown => {
                tracing::warn!("what is in the root's place opens under no known key, and nobody announced it");
                self.ignored.count(Ignored::Junk);
                self.mend().await?;
            }
            RootChange::Rotated => return Err(root::rotated()),
        }
        Ok(())
    }

    /// Begins again from the manifest as it is now; what is published stays until this has caught up.
    async fn resync(&mut self) -> Result<()> {
        let manifest = loop {
            match manifest::read_manifest(&self.shared.objects).await {
                Err(error) if is_no_manifest(&error) => {
                    remains::mend(&self.shared, &self.live.manifest, |root| self.live.order.has_announced(root))
                        .await?;
                    break (*self.live.manifest).clone();
                }
                Err(error) if error.kind() == ErrorKind::KeyRotated => {
                    if !root::read_newer(&self.shared, &self.live.order).await? {
                        remains::mend(&self.shared, &self.live.manifest, |root| self.live.order.has_announced(root))
                            .await?;
                        break (*self.live.manifest).clone();
                    }
                }
                read => break read?,
            }
        };
        let (rebuilding, after) = open_newest(&self.shared, manifest, Some(&self.live)).await?;
        self.rebuilding = Some(rebuilding);
        self.catalog = watch(&self.shared, after);
        self.catching_up = true;
        Ok(())
    }

    /// The writer whose record takes the tail over the budget folds, so that one process does; the further it grows, the more
    /// of them do.
    fn wake_folds(&mut self, before: usize, writer: u64) {
        let budget = self.shared.settings.memtable_budget_bytes.max(1);
        let after = self.current().memtable_bytes();
        let crossed = [4, 5, 6].iter().any(|quarters| {
            let threshold = budget / 4 * quarters;
            before < threshold && threshold <= after
        });
        if !self.shared.settings.background {
            return;
        }
        if crossed && self.shared.is_own(writer) {
            self.shared.folds.notify_one();
        } else if after >= 2 * budget && before < 2 * budget {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                shared.jitter().await;
                shared.folds.notify_one();
            });
        }
    }

    /// After the store lost the index: keeps what this process holds until it is to be put back. Returns false when the engine
    /// is dropped.
    async fn wait_for_put_back(&mut self) -> bool {
        self.rebuilding = None;
        while let Some(command) = self.commands.recv().await {
            let Command::PutBack(reply) = command else { continue };
            if self.put_back(reply).await {
                return true;
            }
        }
        false
    }

    /// Puts root and manifest back, and follows the catalog from its beginning. Returns false when that failed.
    async fn put_back(&mut self, reply: oneshot::Sender<Result<()>>) -> bool {
        let revision = remains::put_back(&self.shared, &self.live.manifest).await;
        let is_back = revision.is_ok();
        if let Ok(revision) = revision {
            self.rebuilding = None;
            self.live.moved(revision);
            self.live.last_seen = Revision::ZERO;
            self.shared.progress.modify(|progress| progress.fatal = None);
            self.rewatch();
        }
        let _ = reply.send(revision.map(drop));
        is_back
    }
}

/// Reads the manifest; returns whether it is a newer one than that of `state`.
async fn has_moved_on(shared: &Shared, state: &State) -> Result<bool> {
    match manifest::read_manifest(&shared.objects).await {
        Ok(newest) => Ok(newest.generation() > state.manifest.generation()),
        // Nothing in its place, or junk: what this process knows is newer.
        Err(error) if is_no_manifest(&error) => {
            remains::mend(shared, &state.manifest, |root| state.order.has_announced(root)).await.map(|()| false)
        }
        Err(error) => Err(error),
    }
}

/// Opens what `manifest` names, or what a newer one names when that has let go of it meanwhile. Returns the revision after
/// which its journal begins.
async fn open_newest(
    shared: &Shared,
    mut manifest: ManifestVersion,
    live: Option<&State>,
) -> Result<(State, Revision)> {
    let objects = &shared.objects;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match open_once(shared, &mut manifest, live).await {
            Err(error) if error.kind() == ErrorKind::Lost => error,
            opened => return opened,
        };
        let newest = match manifest::read_manifest(objects).await {
            Err(error) if live.is_some() && is_no_manifest(&error) => None,
            newest => Some(newest?),
        };
        let Some(newest) = newest.filter(|newest| newest.generation() > manifest.generation()) else {
            if live.is_none() || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PATIENCE / 20).await;
            continue;
        };
        if live.is_none() && newest.ancestor(objects, manifest.generation()).await? != Some(manifest.digest) {
            return Err(Error::new(
                ErrorKind::Forked,
                "the manifest was replaced by one that does not descend from it",
            ));
        }
        manifest = newest;
    }
}

async fn open_once(shared: &Shared, manifest: &mut ManifestVersion, live: Option<&State>) -> Result<(State, Revision)> {
    let objects = &shared.objects;
    if let Some(live) = live {
        match live.manifest.succession(objects, &live.order, manifest).await? {
            Succession::Same | Succession::Newer => {}
            Succession::Older | Succession::Retired => *manifest = (*live.manifest).clone(),
        }
    }
    let opened = State::open(objects, manifest.clone(), live);
    let (mut state, after) = futures::future::try_join(opened, start_of_journal(shared, manifest)).await?;
    state.last_seen = after;
    Ok((state, after))
}

/// Finds the record at the watermark, behind which the journal begins. A store that numbered its entries anew has it under
/// another revision, as has one in which it was put again: its journal is read from the beginning.
async fn start_of_journal(shared: &Shared, manifest: &ManifestVersion) -> Result<Revision> {
    let Some(mark) = &manifest.manifest.watermark.record else { return Ok(Revision::ZERO) };
    let layout = &shared.objects.layout;
    let key = crate::objects::layout::Layout::record(mark.writer, mark.sequence)?;
    let entry = shared.objects.backend.get(&layout.catalog, &key).await?;
    let is_there = entry.is_some_and(|entry| {
        entry.revision.number() == mark.revision && records::sealed_digest(&entry.value) == mark.digest
    });
    Ok(if is_there { Revision::new(mark.revision) } else { Revision::ZERO })
}

async fn next(shared: &Shared, catalog: &mut WatchStream) -> Result<WatchEvent> {
    let bucket = &shared.objects.layout.catalog;
    match catalog.next().await {
        Some(Ok(event)) => Ok(event),
        // The bucket was made anew, went back or is gone: whether the index is lost shows when it is read.
        Some(Err(error)) if matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::BucketMissing) => {
            remains::check(shared).await?;
            Err(Error::new(ErrorKind::Unavailable, format!("bucket {bucket} was read from elsewhere"))
                .with_source(error))
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(Error::new(ErrorKind::Unavailable, format!("the watch of bucket {bucket} ended"))),
    }
}

fn watch(shared: &Shared, after: Revision) -> WatchStream {
    shared.objects.backend.watch(&shared.objects.layout.catalog, &KeyPrefix::all(), after)
}

fn lost(missing: Missing) -> Error {
    let Missing { record, gap, .. } = missing;
    let message = match gap {
        Gap::Records(position) if record == Revision::ZERO => {
            format!("the index had {position} records, and some of them are gone from the store")
        }
        Gap::Records(position) => {
            format!(
                "the journal record at {record} follows {position} records, and some of them are gone from the store"
            )
        }
        Gap::Pinned(position) => {
            let message = format!("the store has fewer than the {position} records that were seen in it");
            return Error::new(ErrorKind::Rollback, message);
        }
        Gap::Manifest(generation) => {
            format!(
                "the journal record at {record} follows a manifest of generation {generation} that is gone from the store"
            )
        }
        Gap::Window => format!("what the manifest at {record} says of the order is gone from the store"),
        Gap::Page => format!("a page that the journal record at {record} needs is gone from the store"),
        Gap::Body => format!("the body of the journal record at {record} is gone from the store"),
        Gap::History => {
            let message =
                format!("the journal record at {record} was written over another history than this process knows");
            return Error::new(ErrorKind::Forked, message);
        }
    };
    Error::new(ErrorKind::Lost, message)
}
