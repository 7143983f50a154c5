//! Follows the catalog: applies every record in order, installs manifests, publishes what readers see.

use std::sync::Arc;

use cim_ipld_backend::{Entry, KeyPrefix, KeyedEntry, Revision, WatchEvent, WatchStream};
use cim_ipld_envelope::{Envelope, ErrorKind as KeyErrorKind};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::catalog;
use crate::fold;
use crate::format::manifest::Manifest;
use crate::objects::Backoff;
use crate::shared::{Progress, Shared};
use crate::state::{FoldInput, Gap, ManifestVersion, State};
use crate::{Error, ErrorKind, Result};

/// What others ask of the follower, answered between two records.
pub(crate) enum Command {
    /// Stop the memtable and say what is to be folded.
    Freeze(oneshot::Sender<Option<Frozen>>),
}

/// What there is to fold, and the manifest that the fold's own must follow.
pub(crate) struct Frozen {
    pub(crate) input: Arc<FoldInput>,
    pub(crate) manifest: Arc<ManifestVersion>,
}

pub(crate) struct Follower {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    folds: fold::Trigger,
    state: State,
    catalog: WatchStream,
    /// Set until everything that was there when the watch began has been applied: nothing is published before.
    catching_up: bool,
    /// What was missing when this follower read the manifest again.
    missing: Option<Missing>,
}

/// Something that a record needs and that was not there under a manifest. A newer manifest may explain that; missing under
/// the same one once more, it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing {
    record: Revision,
    gap: Gap,
    manifest: Revision,
}

/// What an event of the catalog means for the follower.
enum Step {
    Applied,
    /// The manifest changed under the journal, or may have: begin again from what it says now.
    Resync(Option<Missing>),
}

impl Follower {
    /// Reads the manifest and the journal after it up to its present end; returns once that is published.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        manifest: ManifestVersion,
        commands: mpsc::Receiver<Command>,
        folds: fold::Trigger,
    ) -> Result<Self> {
        let state = open_newest(shared, manifest).await?;
        let catalog = watch(shared, state.manifest.watermark());
        let mut follower =
            Self { shared: Arc::clone(shared), commands, folds, state, catalog, catching_up: true, missing: None };
        while follower.catching_up {
            follower.step().await?;
        }
        Ok(follower)
    }

    /// Follows until the engine is dropped, or something happened that no retry can mend.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let stepped = tokio::select! {
                command = self.commands.recv(), if !self.catching_up => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                stepped = step(&self.shared, &mut self.catalog) => match stepped {
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
                    self.shared.fail(error);
                    return;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        let event = step(&self.shared, &mut self.catalog).await?;
        self.take(event).await
    }

    /// Watches again from what has been applied; what is published stays until this has caught up.
    fn rewatch(&mut self) {
        self.catalog = watch(&self.shared, self.state.applied);
        self.catching_up = true;
    }

    fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Freeze(reply) => {
                let frozen =
                    self.state.freeze().map(|input| Frozen { input, manifest: Arc::clone(&self.state.manifest) });
                let _ = reply.send(frozen);
                // The snapshot is the same, but its memtables are cut differently.
                self.publish()
            }
        }
    }

    async fn take(&mut self, event: WatchEvent) -> Result<()> {
        match event {
            WatchEvent::Entry(entry) => match self.apply(entry).await? {
                Step::Applied if self.catching_up => {}
                Step::Applied => self.publish()?,
                Step::Resync(missing) => {
                    self.resync().await?;
                    // Only now: what could not be read again has not been missed again.
                    self.missing = missing;
                }
            },
            WatchEvent::CaughtUp => {
                self.catching_up = false;
                self.publish()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        // A resync may end behind what was applied before: everything in between is in the newer manifest.
        self.state.applied = self.state.applied.max(self.shared.progress().applied);
        let progress = Progress {
            applied: self.state.applied,
            last_record: self.state.last_record(),
            generation: self.state.manifest.manifest.generation,
            memtable_bytes: self.state.memtable_bytes(),
            frozen_bytes: self.state.frozen_bytes(),
            fatal: None,
        };
        if progress.memtable_bytes >= self.shared.settings.memtable_budget_bytes && self.shared.settings.background {
            self.folds.wake();
        }
        self.shared.publish(self.state.view()?, progress);
        Ok(())
    }

    async fn apply(&mut self, entry: KeyedEntry) -> Result<Step> {
        let revision = entry.entry.revision;
        let layout = &self.shared.objects.layout;
        let step = if layout.journal.contains(&entry.key) {
            self.apply_record(entry).await?
        } else if entry.key == layout.manifest {
            self.apply_manifest(entry.entry)?
        } else {
            if entry.key == layout.root {
                self.apply_keyset(&entry.entry)?;
            }
            Step::Applied
        };
        if matches!(step, Step::Applied) {
            self.state.applied = revision;
        }
        Ok(step)
    }

    async fn apply_record(&mut self, entry: KeyedEntry) -> Result<Step> {
        let revision = entry.entry.revision;
        let record = catalog::open_record(&self.shared.objects, entry)?;
        if let Some(gap) = self.state.gap(&record) {
            return self.resync_for(revision, gap).ok_or_else(|| lost(revision, gap));
        }
        // What a record needs goes when a newer manifest holds it: the chunks of its body when it is folded, the pages of
        // older segments when they are merged.
        let operations = match catalog::operations(&self.shared.objects, record.body).await {
            Err(error) if error.kind() == ErrorKind::Lost => {
                return self.resync_for(revision, Gap::Body).ok_or_else(|| lost(revision, Gap::Body));
            }
            operations => operations?,
        };
        match self.state.apply(&self.shared, revision, &operations).await {
            Err(error) if error.kind() == ErrorKind::Lost => self.resync_for(revision, Gap::Page).ok_or(error),
            applied => applied.map(|()| Step::Applied),
        }
    }

    /// Answers that the manifest has to be read again, or `None` when it has been and names what is missing still.
    fn resync_for(&self, record: Revision, gap: Gap) -> Option<Step> {
        let missing = Missing { record, gap, manifest: self.state.manifest.revision };
        (self.missing != Some(missing)).then_some(Step::Resync(Some(missing)))
    }

    fn apply_manifest(&mut self, entry: Entry) -> Result<Step> {
        let current = &self.state.manifest;
        // A copy that lags behind the authoritative one may deliver what has been replaced already.
        if entry.revision <= current.revision {
            return Ok(Step::Applied);
        }
        let manifest = catalog::open_manifest(&self.shared.objects, &entry)?;
        check_succession(current, &manifest.manifest)?;
        if current.is_same_index(&manifest) {
            self.state.manifest = Arc::new(manifest);
            return Ok(Step::Applied);
        }
        let own = self.shared.expected().filter(|replacement| replacement.manifest_hash == manifest.hash);
        match own {
            Some(own) if !self.catching_up && self.state.install(manifest, &own) => Ok(Step::Applied),
            _ => Ok(Step::Resync(None)),
        }
    }

    /// Takes up a keyset that another process changed. One that this process cannot open is not an error yet: what it
    /// has opened so far stays readable, and the first object sealed under a new key says `KeyRotated`.
    fn apply_keyset(&self, entry: &Entry) -> Result<()> {
        let envelope = self.shared.objects.envelope();
        let Some(current) = envelope.keyset().filter(|keyset| keyset.record() != &entry.value) else { return Ok(()) };
        match current.reopen(&entry.value) {
            Ok(newer) => {
                if newer.generation() > current.generation() {
                    self.shared.objects.replace_envelope(Envelope::encrypted(newer));
                }
                Ok(())
            }
            Err(error) if error.kind() == KeyErrorKind::WrongKey => {
                tracing::warn!("the index was re-keyed by another process; open it with the new key");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins again from the manifest as it is now; what is published stays until this has caught up.
    async fn resync(&mut self) -> Result<()> {
        let manifest = catalog::read_manifest(&self.shared.objects).await?;
        if manifest.revision != self.state.manifest.revision {
            check_succession(&self.state.manifest, &manifest.manifest)?;
        }
        self.state = open_newest(&self.shared, manifest).await?;
        self.catalog = watch(&self.shared, self.state.manifest.watermark());
        self.catching_up = true;
        Ok(())
    }
}

/// Opens what `manifest` names, or what a newer one names when that has let go of it meanwhile.
async fn open_newest(shared: &Shared, mut manifest: ManifestVersion) -> Result<State> {
    loop {
        let error = match State::open(shared, manifest.clone()).await {
            Err(error) if error.kind() == ErrorKind::Lost => error,
            opened => return opened,
        };
        let newest = catalog::read_manifest(&shared.objects).await?;
        if newest.revision == manifest.revision {
            return Err(error);
        }
        check_succession(&manifest, &newest.manifest)?;
        manifest = newest;
    }
}

async fn step(shared: &Shared, catalog: &mut WatchStream) -> Result<WatchEvent> {
    match catalog.next().await {
        Some(event) => Ok(event?),
        None => {
            let message = format!("the watch of bucket {} ended", shared.objects.layout.catalog);
            Err(Error::new(ErrorKind::Unavailable, message))
        }
    }
}

fn watch(shared: &Shared, after: Revision) -> WatchStream {
    shared.objects.backend.watch(&shared.objects.layout.catalog, &KeyPrefix::all(), after)
}

fn check_succession(current: &ManifestVersion, next: &Manifest) -> Result<()> {
    let known = current.manifest.generation;
    if next.generation <= known {
        let message = format!("a manifest of generation {} was served after generation {known}", next.generation);
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    if next.generation == known + 1 && next.previous != current.hash {
        let message =
            format!("the manifest of generation {} does not follow the one of generation {known}", next.generation);
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    Ok(())
}

fn lost(revision: Revision, gap: Gap) -> Error {
    let message = match gap {
        Gap::Record(missing) => {
            format!("the journal record at {revision} follows one at r{missing} that is gone from the store")
        }
        Gap::Manifest(generation) => {
            format!(
                "the journal record at {revision} follows a manifest of generation {generation} that is gone from the store"
            )
        }
        Gap::Page => format!("a page that the journal record at {revision} needs is gone from the store"),
        Gap::Body => format!("the body of the journal record at {revision} is gone from the store"),
    };
    Error::new(ErrorKind::Lost, message)
}
