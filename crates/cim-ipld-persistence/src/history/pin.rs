//! A pin: what a process remembers, outside the store, of the newest state it saw. A store that went back is found by it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cim_ipld_envelope::{Envelope, ObjectContext, ObjectKind, SealOptions};

use super::manifest::ManifestVersion;
use super::shared::Shared;
use crate::environment::Environment;
use crate::format::digest::ShortDigest;
use crate::format::pin::{MAX_PINNED_WRITERS, PinRecord};
use crate::objects::{Objects, Root};
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

/// Keeps one pin, outside the store that it is about.
///
/// The engine calls it seldom and from threads where it may block. What is stored is sealed: it need not be kept secret, but
/// whoever can change it can make the engine refuse the store, and whoever can put an older pin back makes it blind to what
/// happened since.
pub trait PinStore: fmt::Debug + Send + Sync {
    /// Returns the pin stored last, or `None` when there is none.
    ///
    /// # Errors
    /// What keeps it from being read: the index is not opened then.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the pin, durably and at once: after a crash there is the old one or the new one.
    ///
    /// # Errors
    /// What keeps it from being stored.
    fn store(&self, pin: &[u8]) -> io::Result<()>;
}

/// The state of an index that a pin remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinInfo {
    /// Generation of the newest manifest that was seen.
    pub generation: u64,
    /// The last position that was seen in the order of all writes.
    pub position: Position,
    /// Generation of the newest keyset that was seen.
    pub keyset_generation: u64,
}

impl From<&PinRecord> for PinInfo {
    fn from(record: &PinRecord) -> Self {
        Self {
            generation: record.generation,
            position: Position::new(record.position),
            keyset_generation: record.keyset_generation,
        }
    }
}

/// The pin of one engine.
#[derive(Debug)]
pub(crate) struct Pin {
    store: Arc<dyn PinStore>,
    state: Mutex<State>,
    /// Held while the pin is stored: an earlier state never comes after a later one.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Writers of this place whose ends are unknown.
    unclosed: Vec<u64>,
    own: Vec<u64>,
    stored: Option<PinRecord>,
    /// The store was accepted as it is: what the pin held does not count.
    starts_over: bool,
}

const CONTEXT: ObjectContext<'static> = ObjectContext::new("pin", ObjectKind::STATE, "pin", 0);

fn seal(envelope: &Envelope, record: &PinRecord) -> Result<Bytes> {
    Ok(envelope.seal(&CONTEXT, &record.to_bytes(), &SealOptions::default())?)
}

fn open(envelope: &Envelope, sealed: &[u8]) -> Result<PinRecord> {
    let opened = envelope.open(&CONTEXT, sealed).map_err(|error| {
        let message = "the pin of this place was made for another index, or for a newer state of this one";
        Error::new(ErrorKind::Rollback, message).with_source(error)
    })?;
    PinRecord::from_bytes(&opened)
}

/// Runs what may block where it may.
async fn blocking<T: Send + 'static>(
    environment: &Environment,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = if environment.is_single_threaded() {
        work()
    } else {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(io::Error::other("the access was cut off")))
    };
    done.map_err(|error| {
        Error::new(ErrorKind::PinUnavailable, format!("the pin cannot be accessed: {error}")).with_source(error)
    })
}

/// Reads the pin in `store`, which the root opens if it was made for this index.
pub(crate) async fn load(
    store: &Arc<dyn PinStore>,
    environment: &Environment,
    envelope: &Envelope,
) -> Result<Option<PinRecord>> {
    let loading = Arc::clone(store);
    match blocking(environment, move || loading.load()).await? {
        Some(sealed) => open(envelope, &sealed).map(Some),
        None => Ok(None),
    }
}

impl Pin {
    /// A pin over `store`, which held `record`. One that `starts_over` replaces whatever is there.
    pub(crate) fn new(store: Arc<dyn PinStore>, record: Option<PinRecord>, starts_over: bool) -> Self {
        let unclosed = record.as_ref().map(|record| record.writers.clone()).unwrap_or_default();
        let state = State { unclosed, own: Vec::new(), stored: record.filter(|_| !starts_over), starts_over };
        Self { store, state: Mutex::new(state), storing: tokio::sync::Mutex::default() }
    }

    /// Writers of this place that did not end in order.
    pub(crate) fn unclosed(&self) -> Vec<u64> {
        self.lock().unclosed.clone()
    }

    /// Remembers a writer before its first record.
    pub(crate) async fn begin_writer(&self, shared: &Shared, writer: u64) -> Result<()> {
        self.lock().own.push(writer);
        self.save(shared).await
    }

    /// Forgets the writers that a record of this process has closed.
    pub(crate) fn closed(&self) {
        self.lock().unclosed.clear();
    }

    /// Forgets this process's writers: the outcome of each of their records is known.
    pub(crate) fn ended_in_order(&self) {
        self.lock().own.clear();
    }

    /// Stores the present state unless it is stored already.
    pub(crate) async fn save(&self, shared: &Shared) -> Result<()> {
        let _turn = self.storing.lock().await;
        let (root, seen) = (shared.objects.root(), shared.progress.read(|progress| progress.seen));
        let record = {
            let state = self.lock();
            let mut writers: Vec<u64> = state.unclosed.iter().chain(&state.own).copied().collect();
            let surplus = writers.len().saturating_sub(MAX_PINNED_WRITERS);
            writers.drain(..surplus);
            PinRecord {
                generation: seen.generation,
                manifest: seen.manifest,
                position: seen.position,
                order: seen.order,
                keyset_generation: root.generation(),
                root: root.digest(),
                writers,
            }
        };
        if self.lock().stored.as_ref() == Some(&record) {
            return Ok(());
        }
        // Another process of this place may have seen more.
        let starts_over = self.lock().starts_over;
        let present = match starts_over {
            true => None,
            // Never written over when it does not open: it is another index's.
            false => load(&self.store, &shared.objects.environment, &root.envelope).await?,
        };
        if present.is_some_and(|present| is_ahead(&present, &record)) {
            return Ok(());
        }
        let (store, sealed) = (Arc::clone(&self.store), seal(&root.envelope, &record)?);
        blocking(&shared.objects.environment, move || store.store(&sealed)).await?;
        let mut state = self.lock();
        (state.stored, state.starts_over) = (Some(record), false);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `one` is a later state than `other`, which has no writer to remember that `one` does not.
fn is_ahead(one: &PinRecord, other: &PinRecord) -> bool {
    let later = (one.keyset_generation, one.generation, one.position)
        > (other.keyset_generation, other.generation, other.position);
    later && other.writers.iter().all(|writer| one.writers.contains(writer))
}

/// Holds the root that a store shows against the pin.
pub(crate) fn check_root(pin: &PinRecord, root: &Root) -> Result<()> {
    let (found, known) = (root.generation(), pin.keyset_generation);
    if found < known {
        let message = format!("the store has the keyset of generation {found}, and generation {known} was seen");
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    if found == known && root.digest() != pin.root {
        let message = format!("the store has another keyset of generation {known} than the one that was seen");
        return Err(Error::new(ErrorKind::Forked, message));
    }
    Ok(())
}

/// Holds the manifest that a store shows against the pin. Returns the position and digest that its journal must still reach,
/// if the watermark has not.
pub(crate) async fn check_manifest(
    objects: &Objects,
    pin: &PinRecord,
    manifest: &ManifestVersion,
) -> Result<Option<(u64, ShortDigest)>> {
    let (found, known) = (manifest.generation(), pin.generation);
    if found < known {
        let message = format!(
            "the store has the manifest of generation {found}, and generation {known} was seen; at least {} records are \
             missing",
            pin.position.saturating_sub(manifest.position())
        );
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    if manifest.ancestor(objects, known).await? != Some(pin.manifest) {
        let message =
            format!("the manifest of generation {found} does not descend from the one of {known} that was seen");
        return Err(Error::new(ErrorKind::Forked, message));
    }
    Ok(Some((pin.position, pin.order)))
}
