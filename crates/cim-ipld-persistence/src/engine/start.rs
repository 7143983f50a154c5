//! Starts the tasks of an engine for an index that was opened or created.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc};

use super::creation;
use super::open_checks::check_floor;
use super::opening::EngineBuilder;
use super::{Engine, Tasks};
use crate::format::digest::ShortDigest;
use crate::history::follower::Follower;
use crate::history::manifest::{ManifestVersion, read_manifest};
use crate::history::pin::{self, Mode, Pin, check_manifest, check_root};
use crate::history::progress::{IgnoredEntries, Progress, Seen};
use crate::history::shared::Shared;
use crate::history::state::View;
use crate::history::writer::Writer;
use crate::maintenance::Maintenance;
use crate::objects::Objects;
use crate::rules::Rule;
use crate::{ErrorKind, Result};

impl EngineBuilder {
    /// Starts an engine for an index that was just created (`manifest` is `None`) or opened.
    pub(super) async fn start(
        self,
        objects: Objects,
        manifest: Option<ManifestVersion>,
        pinned: Option<Vec<u8>>,
    ) -> Result<Engine> {
        let is_new = manifest.is_none();
        let manifest = match manifest {
            Some(manifest) => manifest,
            None => read_manifest(&objects).await?,
        };
        check_floor(&objects, &manifest)?;
        let analyzer = creation::analyzer_of(&manifest.manifest.analyzer()?, self.analyzer.as_ref())?;
        let (pin, pinned) = self.open_pin(&objects, &manifest, pinned, is_new).await?;
        let objects = Arc::new(objects);
        let progress = first_progress(&manifest);
        let view = View::empty(manifest.clone(), analyzer)?;
        let shared = Arc::new(Shared::new(objects, self.settings.clone(), view, progress));
        let (command_sender, commands) = mpsc::channel(8);
        let follower = Follower::start(&shared, manifest, commands, pinned).await?;
        let closes = match &pin {
            Some(pin) if shared.objects.rules.enforces(Rule::Close) => pin.unclosed(),
            _ => Vec::new(),
        };
        let (writer, submit) = Writer::new(Arc::clone(&shared), pin.clone(), closes);
        let maintenance = Arc::new(Maintenance::new(Arc::clone(&shared), submit.clone(), command_sender));
        let mut background = vec![tokio::spawn(Arc::clone(&maintenance).keep_folding_displaced())];
        if shared.settings.background {
            background.push(tokio::spawn(Arc::clone(&maintenance).run()));
            background.push(tokio::spawn(Arc::clone(&maintenance).run_merges()));
            if let Some(every) = shared.settings.collect_garbage_every {
                background.push(tokio::spawn(Arc::clone(&maintenance).keep_collecting(every)));
            }
        }
        if let Some(pin) = &pin {
            pin.save(&shared).await?;
            background.push(tokio::spawn(keep_pin(Arc::clone(pin), Arc::clone(&shared))));
        }
        let tasks = Tasks { follower: tokio::spawn(follower.run()), writer: tokio::spawn(writer.run()), background };
        let buckets_checked = Arc::new(OnceCell::new_with(is_new.then_some(())));
        let engine =
            Engine { shared, maintenance, submit, pin, tasks: Arc::new(Mutex::new(Some(tasks))), buckets_checked };
        if self.accepts_older {
            // The pin keeps its old state until the new epoch has begun, because lost records could
            // still be accepted before that.
            if engine.algorithm().is_some() {
                engine.maintenance.begin_epoch().await?;
            }
            if let Some(pin) = &engine.pin {
                pin.start_over();
                pin.save(&engine.shared).await?;
            }
        }
        Ok(engine)
    }

    /// Compares the store with the pin. Returns the position that the journal must reach.
    async fn open_pin(
        &self,
        objects: &Objects,
        manifest: &ManifestVersion,
        sealed: Option<Vec<u8>>,
        is_new: bool,
    ) -> Result<(Option<Arc<Pin>>, Option<(u64, ShortDigest)>)> {
        let Some(store) = &self.pin else { return Ok((None, None)) };
        let mode = match () {
            () if is_new || !objects.rules.enforces(Rule::Pin) => Mode::StartOver,
            () if self.accepts_older => Mode::Accepting,
            () => Mode::Keep,
        };
        let root = objects.root();
        let record = match sealed.map(|sealed| pin::open(&root.envelope, &sealed)).transpose() {
            Err(error) if mode != Mode::Keep && error.kind() == ErrorKind::Rollback => None,
            record => record?,
        };
        let mut pinned = None;
        if let (Some(record), Mode::Keep) = (&record, mode) {
            check_root(record, &root)?;
            pinned = check_manifest(objects, record, manifest).await?;
        }
        let pin = Pin::new(Arc::clone(store), record, mode);
        Ok((Some(Arc::new(pin)), pinned))
    }
}

fn first_progress(manifest: &ManifestVersion) -> Progress {
    Progress {
        seen: Seen { position: 0, order: manifest.manifest.watermark.digest, generation: 0, manifest: manifest.digest },
        following: manifest.generation(),
        memtable_bytes: 0,
        frozen_bytes: 0,
        grace_until: None,
        refused: None,
        fatal: None,
        ignored: IgnoredEntries::default(),
    }
}

/// Stores the pin at most once a second while the index changes.
async fn keep_pin(pin: Arc<Pin>, shared: Arc<Shared>) {
    const INTERVAL: Duration = Duration::from_secs(1);
    let mut stored = shared.progress.read(|progress| progress.seen);
    loop {
        stored = shared
            .progress
            .wait_for(|progress| (progress.seen != stored && progress.fatal.is_none()).then_some(progress.seen))
            .await;
        if let Err(error) = pin.save(&shared).await {
            tracing::warn!(%error, "the pin was not stored; retrying");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
