//! A pin records, outside the store, the newest state of an index that a process has seen. It
//! detects a store that was rolled back.

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
use crate::format::writer_id::WriterId;
use crate::objects::{Objects, Root};
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

/// Stores one pin, outside the store that it protects.
///
/// The engine calls these methods rarely and on threads that may block. The pin is sealed, so it
/// need not be secret. However, an attacker who can change it can make the engine refuse the store,
/// and one who can replace it with an older pin can hide a rollback to any state that is at least
/// as new as that pin.
///
/// ```
/// use std::io;
/// use std::sync::Mutex;
///
/// use cim_ipld_persistence::PinStore;
///
/// #[derive(Debug, Default)]
/// struct MemoryPin(Mutex<Option<Vec<u8>>>);
///
/// impl PinStore for MemoryPin {
///     fn load(&self) -> io::Result<Option<Vec<u8>>> {
///         Ok(self.0.lock().unwrap().clone())
///     }
///
///     fn store(&self, pin: &[u8]) -> io::Result<()> {
///         *self.0.lock().unwrap() = Some(pin.to_vec());
///         Ok(())
///     }
/// }
///
/// let pin = MemoryPin::default();
/// pin.store(b"sealed")?;
/// pin.update(&mut |present| present.map(|pin| [pin.as_slice(), b"!"].concat()))?;
/// assert_eq!(pin.load()?.as_deref(), Some(&b"sealed!"[..]));
/// # Ok::<(), io::Error>(())
/// ```
pub trait PinStore: fmt::Debug + Send + Sync {
    /// Returns the pin stored last, or `None` if there is none.
    ///
    /// # Errors
    /// Any I/O error that prevents the pin from being read. The index is then not opened.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the pin durably and atomically: after a crash, [`load`](Self::load) returns either
    /// the old or the new pin.
    ///
    /// # Errors
    /// Any I/O error that prevents the pin from being stored.
    fn store(&self, pin: &[u8]) -> io::Result<()>;

    /// Replaces the pin with the result of `change`, which is called with the current pin, or
    /// leaves it unchanged if the result is `None`. If several processes share the pin, an
    /// implementation must prevent another process from storing a pin in between. The default
    /// implementation does not.
    ///
    /// # Errors
    /// The same as for [`load`](Self::load) and [`store`](Self::store).
    fn update(&self, change: &mut dyn FnMut(Option<Vec<u8>>) -> Option<Vec<u8>>) -> io::Result<()> {
        match change(self.load()?) {
            Some(pin) => self.store(&pin),
            None => Ok(()),
        }
    }
}

/// The state of an index that a pin records, as returned by
/// [`EngineBuilder::read_pin`](crate::EngineBuilder::read_pin).
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_persistence::{Engine, FilePin, Protection};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let backend = Arc::new(MemoryBackend::new());
/// let pin = Arc::new(FilePin::new(folder.path().join("photos.pin")));
/// let builder = Engine::builder(backend.clone()).pin(pin.clone());
/// builder.create(Protection::Plaintext).await?.close().await;
///
/// let recorded = Engine::builder(backend).pin(pin).read_pin(None).await?.expect("a pin");
/// assert_eq!((recorded.generation, recorded.position.number()), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinInfo {
    /// The generation of the newest manifest seen.
    pub generation: u64,
    /// The last position seen in the order of all writes.
    pub position: Position,
    /// The generation of the newest keyset seen.
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
    /// Held while the pin is stored, so that an earlier state never overwrites a later one.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// Writers recorded in the pin that may not have ended cleanly.
    unclosed: Vec<WriterId>,
    /// Writers of this process.
    own: Vec<WriterId>,
    /// Writers that this process has closed, or that have ended cleanly, since the pin was stored.
    ended: Vec<WriterId>,
    stored: Option<PinRecord>,
    mode: Mode,
}

/// How an existing pin is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The later state is kept: that of the pin or that of this process.
    Keep,
    /// Until the store has been accepted, the state recorded in an existing pin is kept as it is,
    /// and only the writers are merged. A pin that cannot be decrypted is left alone.
    Accepting,
    /// The pin is replaced.
    StartOver,
}

const CONTEXT: ObjectContext<'static> = ObjectContext::new("pin", ObjectKind::STATE, "pin", 0);

fn seal(envelope: &Envelope, record: &PinRecord) -> Result<Bytes> {
    Ok(envelope.seal(&CONTEXT, &record.to_bytes(), &SealOptions::default())?)
}

/// Opens a pin with the keys of its index.
pub(crate) fn open(envelope: &Envelope, sealed: &[u8]) -> Result<PinRecord> {
    let opened = envelope.open(&CONTEXT, sealed).map_err(|error| {
        let message = "the pin belongs to another index, or to a newer state of this one";
        Error::new(ErrorKind::Rollback, message).with_source(error)
    })?;
    PinRecord::from_bytes(&opened)
}

/// Runs blocking I/O, on a blocking thread unless the environment is single-threaded.
async fn blocking<T: Send + 'static>(
    environment: &Environment,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = if environment.is_single_threaded() {
        work()
    } else {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(io::Error::other("the access was aborted")))
    };
    done.map_err(|error| {
        Error::new(ErrorKind::PinUnavailable, format!("the pin cannot be accessed: {error}")).with_source(error)
    })
}

/// Reads the pin in `store`.
pub(crate) async fn read(store: &Arc<dyn PinStore>, environment: &Environment) -> Result<Option<Vec<u8>>> {
    let loading = Arc::clone(store);
    blocking(environment, move || loading.load()).await
}

impl Pin {
    /// Creates a pin in `store`, which held `record`.
    pub(crate) fn new(store: Arc<dyn PinStore>, record: Option<PinRecord>, mode: Mode) -> Self {
        let unclosed = record.map(|record| record.writers).unwrap_or_default();
        let state = State { unclosed, own: Vec::new(), ended: Vec::new(), stored: None, mode };
        Self { store, state: Mutex::new(state), storing: tokio::sync::Mutex::default() }
    }

    /// Returns the recorded writers that may not have ended cleanly.
    pub(crate) fn unclosed(&self) -> Vec<WriterId> {
        self.lock().unclosed.clone()
    }

    /// Records a writer before its first record.
    pub(crate) async fn begin_writer(&self, shared: &Shared, writer: WriterId) -> Result<()> {
        {
            let mut state = self.lock();
            if !state.own.contains(&writer) {
                state.own.push(writer);
            }
        }
        self.save(shared).await
    }

    /// Removes writers that a record of this process has closed.
    pub(crate) fn closed(&self, writers: &[WriterId]) {
        let mut state = self.lock();
        state.unclosed.retain(|writer| !writers.contains(writer));
        state.own.retain(|writer| !writers.contains(writer));
        state.ended.extend(writers);
    }

    /// Removes the writers of this process. Call this only when the outcome of every record that
    /// they wrote is known.
    pub(crate) fn ended_cleanly(&self) {
        let mut state = self.lock();
        let own = std::mem::take(&mut state.own);
        state.ended.extend(own);
    }

    /// Makes the next save replace the pin with the state of this process.
    pub(crate) fn start_over(&self) {
        let mut state = self.lock();
        (state.mode, state.stored) = (Mode::StartOver, None);
    }

    /// Stores the current state unless it is already stored. If another process that shares the pin
    /// has stored a later state, that state is kept. The writers of other processes are always
    /// kept.
    pub(crate) async fn save(&self, shared: &Shared) -> Result<()> {
        let _turn = self.storing.lock().await;
        let (root, seen) = (shared.objects.root(), shared.progress.read(|progress| progress.seen));
        let (record, ended, mode) = {
            let state = self.lock();
            let record = PinRecord {
                generation: seen.generation,
                manifest: seen.manifest,
                position: seen.position,
                order: seen.order,
                keyset_generation: root.generation(),
                root: root.digest(),
                writers: state.unclosed.iter().chain(&state.own).copied().collect(),
            };
            (record, state.ended.clone(), state.mode)
        };
        if self.lock().stored.as_ref() == Some(&record) && ended.is_empty() {
            return Ok(());
        }
        let (store, own, forgotten) = (Arc::clone(&self.store), record.clone(), ended.clone());
        let changed = move || {
            let mut changed = Ok(());
            store.update(&mut |present| {
                changed = Ok(());
                change(&root.envelope, present, &own, &forgotten, mode).unwrap_or_else(|error| {
                    changed = Err(error);
                    None
                })
            })?;
            Ok(changed)
        };
        blocking(&shared.objects.environment, changed).await??;
        let mut state = self.lock();
        state.ended.retain(|writer| !ended.contains(writer));
        state.stored = Some(record);
        if state.mode == mode && mode == Mode::StartOver {
            state.mode = Mode::Keep;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the sealed pin that replaces the present one, or `None` to keep it.
fn change(
    envelope: &Envelope,
    present: Option<Vec<u8>>,
    own: &PinRecord,
    ended: &[WriterId],
    mode: Mode,
) -> Result<Option<Vec<u8>>> {
    let present = match (mode, present) {
        (Mode::StartOver, _) | (_, None) => None,
        // A pin that cannot be decrypted is never overwritten: it belongs to another index or to a
        // newer root.
        (_, Some(sealed)) => match open(envelope, &sealed) {
            Err(error) if mode == Mode::Accepting && error.kind() == ErrorKind::Rollback => return Ok(None),
            opened => Some(opened?),
        },
    };
    let merged = merge(present.as_ref(), own, ended, mode);
    if present.as_ref() == Some(&merged) {
        return Ok(None);
    }
    seal(envelope, &merged).map(|sealed| Some(sealed.to_vec()))
}

/// Merges two pins: takes the later root, the later manifest and the later position, and the
/// writers of both pins that have not ended.
fn merge(present: Option<&PinRecord>, own: &PinRecord, ended: &[WriterId], mode: Mode) -> PinRecord {
    let mut merged = own.clone();
    if let Some(present) = present {
        // If both pins have the same generation or position, the stored pin takes precedence.
        let may_advance = mode != Mode::Accepting;
        if !may_advance || present.keyset_generation >= own.keyset_generation {
            (merged.keyset_generation, merged.root) = (present.keyset_generation, present.root);
        }
        if !may_advance || present.generation >= own.generation {
            (merged.generation, merged.manifest) = (present.generation, present.manifest);
        }
        if !may_advance || present.position >= own.position {
            (merged.position, merged.order) = (present.position, present.order);
        }
        let others = present.writers.iter().filter(|writer| !own.writers.contains(writer));
        merged.writers = others.chain(&own.writers).copied().collect();
    }
    merged.writers.retain(|writer| !ended.contains(writer));
    let surplus = merged.writers.len().saturating_sub(MAX_PINNED_WRITERS);
    if surplus > 0 {
        tracing::warn!(surplus, "the pin names too many writers that did not end cleanly: dropping the oldest");
        merged.writers.drain(..surplus);
    }
    merged
}

/// Compares the root in the store with the pin.
pub(crate) fn check_root(pin: &PinRecord, root: &Root) -> Result<()> {
    let (found, known) = (root.generation(), pin.keyset_generation);
    if found < known {
        let message = format!("the keyset in the store has generation {found}, but the pin records generation {known}");
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    if found == known && root.digest() != pin.root {
        let message = format!("the keyset of generation {known} in the store differs from the one recorded in the pin");
        return Err(Error::new(ErrorKind::Forked, message));
    }
    Ok(())
}

/// Compares the manifest in the store with the pin. Returns the position and digest that the
/// journal must reach.
pub(crate) async fn check_manifest(
    objects: &Objects,
    pin: &PinRecord,
    manifest: &ManifestVersion,
) -> Result<Option<(u64, ShortDigest)>> {
    let (found, known) = (manifest.generation(), pin.generation);
    if found < known {
        let message = format!(
            "the manifest in the store has generation {found}, but the pin records generation {known}: at least {} \
             records are missing",
            pin.position.saturating_sub(manifest.position())
        );
        return Err(Error::new(ErrorKind::Rollback, message));
    }
    if manifest.ancestor(objects, known).await? != Some(pin.manifest) {
        let message =
            format!("the manifest of generation {found} does not descend from that of generation {known} in the pin");
        return Err(Error::new(ErrorKind::Forked, message));
    }
    Ok(Some((pin.position, pin.order)))
}
