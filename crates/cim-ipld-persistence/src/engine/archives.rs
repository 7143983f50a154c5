//! Exporting, importing and copying an index.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use cim_ipld_envelope::KeySource;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};

use super::opening::EngineBuilder;
use super::{Engine, creation};
use crate::archive::import::{Importing, Target};
use crate::archive::{ExportOptions, ExportReport, ImportOptions, ImportReport, export, file};
use crate::objects::layout::Layout;
use crate::{Error, ErrorKind, Result};

/// The size of the pipe between the two halves of a copy.
const PIPE_BYTES: usize = 1 << 20;

/// The result of [`EngineBuilder::import`]: the imported index, open,
/// and what was read.
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, ExportOptions, ImportOptions, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
/// let mut archive = Vec::new();
/// let exported = engine.export(&mut archive, ExportOptions::default()).await?;
/// let target = Engine::builder(Arc::new(MemoryBackend::new()));
/// let imported = target.import(&archive[..], None, ImportOptions::default()).await?;
/// assert_eq!(imported.engine.stats().await?.index.documents, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Import {
    /// The engine of the imported index.
    pub engine: Engine,
    /// What was read and stored.
    pub report: ImportReport,
}

/// The result of [`Engine::copy_to`].
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, ExportOptions, ImportOptions, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
/// let target = Engine::builder(Arc::new(MemoryBackend::new()));
/// let copy = engine.copy_to(target, None, ExportOptions::default()).await?;
/// assert_eq!(copy.export.root, copy.import.root);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct CopyReport {
    /// The engine of the copy.
    pub engine: Engine,
    /// What was read from the index.
    pub export: ExportReport,
    /// What was stored in the copy.
    pub import: ImportReport,
}

impl Engine {
    /// Writes an archive of the index: one CARv1 file that any store can
    /// [import](EngineBuilder::import).
    ///
    /// The archive includes every write that was acknowledged to any process before this call, and
    /// exactly the writes up to [`ExportReport::position`]; writes made during the call may be
    /// among them. With [`ExportOptions::snapshot`], it holds the state of that snapshot instead.
    /// The blocks are the sealed objects of the index, so the archive is as confidential as the
    /// store, and opens with the keys that are valid now. Writers are not blocked.
    ///
    /// ```
    /// # use std::sync::{Arc, OnceLock};
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, ExportOptions, ImportOptions, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
    /// engine.index(&[Document::new(content_cid(b"1")).with_text("ebb and flow")]).await?;
    /// let mut archive = Vec::new();
    /// engine.export(&mut archive, ExportOptions::default()).await?;
    ///
    /// let empty = Engine::builder(Arc::new(MemoryBackend::new()));
    /// let import = empty.import(&archive[..], None, ImportOptions::default()).await?;
    /// assert_eq!(import.engine.stats().await?.index.documents, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`SnapshotMissing`](ErrorKind::SnapshotMissing) if there is no snapshot of the given name.
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if an earlier archive belongs to another index,
    ///   and [`Damaged`](ErrorKind::Damaged) if it is incomplete.
    /// * [`Lost`](ErrorKind::Lost) or [`Damaged`](ErrorKind::Damaged) if an object of the index
    ///   cannot be read. What was written until then is not a complete archive.
    /// * [`Conflict`](ErrorKind::Conflict) if a snapshot was deleted during the export.
    /// * [`Full`](ErrorKind::Full), [`Denied`](ErrorKind::Denied) or
    ///   [`Unavailable`](ErrorKind::Unavailable) if `writer` fails, and otherwise the same as for
    ///   [`create_snapshot`](Engine::create_snapshot).
    pub async fn export(&self, writer: impl AsyncWrite + Send, options: ExportOptions) -> Result<ExportReport> {
        self.shared.check()?;
        let writer = std::pin::pin!(writer);
        let ExportOptions { snapshot, bases } = options;
        let bases = export::Bases::read(bases, &self.shared.objects.root().envelope).await?;
        let state = self.maintenance.pin_for_export(snapshot.as_deref()).await?;
        let written = export::write(&self.shared, &state, bases, writer).await;
        state.release().await;
        written
    }

    /// Like [`export`](Self::export), to a new file. The file appears under its name only when it
    /// is complete and durable; until then it has an additional suffix that ends in `.part`.
    ///
    /// ```
    /// # use std::sync::{Arc, OnceLock};
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, ErrorKind, ExportOptions, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
    /// let monday = folder.path().join("monday.car");
    /// engine.export_to_file(&monday, ExportOptions::default()).await?;
    /// let again = engine.export_to_file(&monday, ExportOptions::default()).await;
    /// assert_eq!(again.unwrap_err().kind(), ErrorKind::FileExists);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FileExists`](ErrorKind::FileExists) if there is a file of this name, and otherwise the
    /// same as for [`export`](Self::export).
    pub async fn export_to_file(&self, path: impl AsRef<Path>, options: ExportOptions) -> Result<ExportReport> {
        self.shared.check()?;
        let unique = u64::from_le_bytes(self.shared.objects.environment.random());
        let mut file = file::NewFile::create(path.as_ref(), unique).await?;
        let report = self.export(file.writer(), options).await?;
        file.finish().await?;
        Ok(report)
    }

    /// Copies the index to the empty store of `target`, in which it becomes an index of its own. An
    /// interrupted copy is continued by another call.
    ///
    /// `key` opens the index, as for [`EngineBuilder::open`].
    ///
    /// ```
    /// # use std::sync::{Arc, OnceLock};
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, ExportOptions, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
    /// engine.index(&[Document::new(content_cid(b"1")).with_text("ebb and flow")]).await?;
    ///
    /// let target = Engine::builder(Arc::new(MemoryBackend::new()));
    /// let copy = engine.copy_to(target, None, ExportOptions::default()).await?;
    /// assert_eq!(copy.engine.stats().await?.index.documents, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`export`](Self::export) and [`EngineBuilder::import`]. `InvalidInput` if
    /// `options` names earlier archives: a copy is complete.
    pub async fn copy_to(
        &self,
        target: EngineBuilder,
        key: Option<KeySource>,
        options: ExportOptions,
    ) -> Result<CopyReport> {
        if !options.bases.is_empty() {
            let message = "a copy cannot leave out the blocks of earlier archives: export and import them instead";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let (writer, reader) = tokio::io::duplex(PIPE_BYTES);
        // The half that fails first closes the pipe, and the other one fails because of that.
        let first = OnceLock::new();
        let note = |error: &Error| drop(first.set(error.clone()));
        let (exported, imported) =
            futures::future::join(async { self.export(writer, options).await.inspect_err(note) }, async {
                target.import(reader, key, ImportOptions::default()).await.inspect_err(note)
            })
            .await;
        let failed = || first.get().cloned();
        let export = exported.map_err(|error| failed().unwrap_or(error))?;
        let Import { engine, report } = imported.map_err(|error| failed().unwrap_or(error))?;
        Ok(CopyReport { engine, export, import: report })
    }
}

impl EngineBuilder {
    /// Imports an [archive](Engine::export) under an index name for which the store holds nothing
    /// yet, checking each block, and opens the new index.
    ///
    /// The new index has the id, the keys and the snapshots of the exported one, and continues its
    /// history from the export on. An encrypted index gets a new data key, so that nothing the
    /// exported index writes later is valid in the new one. If a [pin](Self::pin) is set, it is not
    /// compared with the store. It is replaced with the state of the new index.
    ///
    /// An import that was interrupted is continued by another import of the same index; the blocks
    /// that the store holds already are not stored again. There is no index before everything is
    /// stored.
    ///
    /// ```
    /// # use std::sync::{Arc, OnceLock};
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
    /// # use cim_ipld_persistence::{Engine, ErrorKind, ExportOptions, ImportOptions, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = || KeySource::from(EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [7; 32]));
    /// # let protection = Protection::of(Some(key()), None)?;
    /// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(protection).await?;
    /// # let mut archive = Vec::new();
    /// # engine.export(&mut archive, ExportOptions::default()).await?;
    /// let store = Arc::new(MemoryBackend::new());
    /// let import = Engine::builder(store.clone()).import(&archive[..], Some(key()), ImportOptions::default());
    /// import.await?.engine.close().await;
    ///
    /// let again = Engine::builder(store).import(&archive[..], Some(key()), ImportOptions::default());
    /// assert_eq!(again.await.unwrap_err().kind(), ErrorKind::IndexExists);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if the stream is not an archive, or an earlier
    ///   archive is not one that it builds on.
    /// * [`WrongKey`](ErrorKind::WrongKey), [`KeyRequired`](ErrorKind::KeyRequired) or
    ///   [`NotEncrypted`](ErrorKind::NotEncrypted) if the key does not fit.
    /// * [`Damaged`](ErrorKind::Damaged) if the archive is cut off or was altered.
    /// * [`Lost`](ErrorKind::Lost) if an earlier archive is needed.
    /// * [`IndexExists`](ErrorKind::IndexExists) if the store already holds objects under this
    ///   index name (other than those of an interrupted import of the same index).
    /// * [`Incompatible`](ErrorKind::Incompatible) if the store accepts only smaller values than
    ///   the archive holds, or the index needs another analyzer.
    /// * [`Full`](ErrorKind::Full), [`Denied`](ErrorKind::Denied),
    ///   [`Unavailable`](ErrorKind::Unavailable) or [`OutcomeUnknown`](ErrorKind::OutcomeUnknown)
    ///   as reported by the store.
    pub async fn import(
        self,
        reader: impl AsyncRead + Send,
        key: Option<KeySource>,
        options: ImportOptions,
    ) -> Result<Import> {
        let reader = std::pin::pin!(BufReader::with_capacity(PIPE_BYTES, reader));
        creation::check_limits(&*self.backend)?;
        let target = Target {
            backend: Arc::clone(&self.backend),
            layout: Layout::new(&self.name)?,
            settings: self.settings.clone(),
            environment: self.environment.clone(),
            rules: self.rules,
        };
        let importing = Importing::begin(reader, key.as_ref(), &target).await?;
        creation::analyzer_of(&importing.manifest().manifest.analyzer()?, self.analyzer.as_ref())?;
        let (objects, report) = importing.run(key.as_ref(), options.bases).await?;
        // The pin starts over, so its state is not compared with the store. It is read only for the
        // writers that it names, which are closed before the first write.
        let pinned = self.pinned().await?;
        let engine = self.start(objects, None, pinned).await?;
        Ok(Import { engine, report })
    }

    /// Like [`import`](Self::import), from a file.
    ///
    /// ```
    /// # use std::sync::{Arc, OnceLock};
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, ExportOptions, ImportOptions, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let monday = folder.path().join("monday.car");
    /// # let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
    /// # engine.export_to_file(&monday, ExportOptions::default()).await?;
    /// let store = Arc::new(MemoryBackend::new());
    /// let import = Engine::builder(store).import_file(&monday, None, ImportOptions::default()).await?;
    /// assert_eq!(import.report.documents, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if there is no such file, and otherwise the same
    /// as for [`import`](Self::import).
    pub async fn import_file(
        self,
        path: impl AsRef<Path>,
        key: Option<KeySource>,
        options: ImportOptions,
    ) -> Result<Import> {
        let file = file::open(path.as_ref()).await?;
        self.import(file, key, options).await
    }
}
