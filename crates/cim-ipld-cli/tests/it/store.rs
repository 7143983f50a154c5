//! Stores for tests: a folder, or an index on a real nats-server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cim_ipld::backend::{Backend, Bucket, Key, KeyPrefix, Precondition, Revision};
use cim_ipld::embedded::EmbeddedBackend;
use cim_ipld::nats::NatsBackend;
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use futures::StreamExt;
use tempfile::TempDir;

use crate::program::done;

/// A store for an index, and a folder for other files.
pub(crate) struct Store {
    files: TempDir,
    /// The name of the folder of the index.
    index: &'static str,
    server: Option<NatsServer>,
}

/// One stored value, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) revision: u64,
    pub(crate) value: Vec<u8>,
}

impl Store {
    /// Creates a store in a folder.
    pub(crate) fn folder() -> Self {
        Self::folder_named("store")
    }

    /// Creates a store in a folder of this name.
    pub(crate) fn folder_named(index: &'static str) -> Self {
        Self { files: tempfile::tempdir().expect("a temporary folder"), index, server: None }
    }

    /// Creates a store on a separate nats-server.
    pub(crate) fn nats() -> Self {
        Self::nats_with(ServerOptions::default())
    }

    pub(crate) fn nats_with(options: ServerOptions) -> Self {
        Self { server: Some(NatsServer::start(options)), ..Self::folder() }
    }

    /// Returns one store of each kind.
    pub(crate) fn each() -> [Self; 2] {
        [Self::folder(), Self::nats()]
    }

    /// Returns the STORE argument.
    pub(crate) fn name(&self) -> String {
        match &self.server {
            Some(server) => server.url(),
            None => format!("file:{}", self.data_folder().display()),
        }
    }

    /// Returns the folder that contains the bytes of the index.
    pub(crate) fn data_folder(&self) -> PathBuf {
        match &self.server {
            Some(server) => server.store_folder(),
            None => self.file(self.index),
        }
    }

    pub(crate) fn server(&self) -> Option<&NatsServer> {
        self.server.as_ref()
    }

    /// Returns a path in the folder for other files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a file to the folder for other files and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder is made");
        std::fs::write(&path, content).expect("the file is written");
        path.display().to_string()
    }

    /// Generates a key file with the program and returns its path.
    pub(crate) fn key(&self, name: &str) -> String {
        let path = self.file(name).display().to_string();
        done(["key", "generate", &path]);
        path
    }

    /// Creates an index with a new key, and returns the path of the key file.
    pub(crate) fn init_with_key(&self) -> String {
        let key = self.key("key");
        done(["init", &self.name(), "--key-file", &key]);
        key
    }

    /// Opens the backend without the program.
    pub(crate) async fn backend(&self) -> Arc<dyn Backend> {
        match &self.server {
            Some(server) => Arc::new(NatsBackend::connect(&server.url()).await.expect("the server answers")),
            None => Arc::new(EmbeddedBackend::open_existing(self.data_folder()).await.expect("the store opens")),
        }
    }

    /// Returns all stored values.
    pub(crate) fn contents(&self) -> Vec<Stored> {
        block_on(async {
            let backend = self.backend().await;
            let mut contents = Vec::new();
            for bucket in buckets() {
                let mut entries = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO);
                while let Some(entry) = entries.next().await {
                    let found = entry.expect("the bucket can be read");
                    contents.push(Stored {
                        bucket: bucket.name().to_owned(),
                        key: found.key.as_str().to_owned(),
                        revision: found.entry.revision.number(),
                        value: found.entry.value.to_vec(),
                    });
                }
            }
            contents
        })
    }

    /// Replaces a stored value, like a faulty disk or an attacker.
    pub(crate) fn replace(&self, stored: &Stored, value: Vec<u8>) {
        let (bucket, key) = stored.place();
        block_on(async {
            let backend = self.backend().await;
            backend.put(&bucket, &key, value.into(), Precondition::Any).await.expect("the value is written");
        });
    }

    /// Removes a stored value.
    pub(crate) fn delete(&self, stored: &Stored) {
        let (bucket, key) = stored.place();
        block_on(async { self.backend().await.delete(&bucket, &[key]).await.expect("the value is removed") });
    }
}

impl Stored {
    fn place(&self) -> (Bucket, Key) {
        let bucket = buckets().into_iter().find(|bucket| bucket.name() == self.bucket).expect("a known bucket");
        (bucket, Key::new(&self.key).expect("a stored key"))
    }
}

/// Returns every file below a folder with its content.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).expect("the file can be read");
                files.push((path, content));
            }
        }
    }
    files.sort();
    files
}

fn buckets() -> [Bucket; 5] {
    let objects = |name| Bucket::objects(name).expect("a bucket name");
    [
        objects("text_index_v1"),
        objects("tag_index_v1"),
        objects("type_index_v1"),
        objects("metadata_cache_v1"),
        Bucket::log("catalog_v1").expect("a bucket name"),
    ]
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
