//! The streams of buckets: creating, opening, checking and caching them.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Placement, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self};
use cim_ipld_backend::{Bucket, Error, ErrorKind, Result};
use futures::StreamExt;

use crate::NatsSettings;
use crate::backoff::Backoff;
use crate::error::{JETSTREAM_OFF, bucket_missing, error_response, jetstream_kind, unavailable};
use crate::notices::Notices;

/// The minimum duplicate window. A write with `AbsentWhile` that is repeated within this window is
/// stored once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The prefix of the names of streams that are buckets.
const STREAM_PREFIX: &str = "KV_";

/// The buckets of one connection. Each is checked on first use.
#[derive(Clone)]
pub(crate) struct Buckets {
    context: jetstream::Context,
    notices: Notices,
    settings: NatsSettings,
    known: Arc<Mutex<HashMap<String, Stream>>>,
    /// The last revision of each bucket seen by this process.
    seen: Arc<Mutex<HashMap<String, u64>>>,
    /// The number of skipped messages that are not values of keys.
    foreign: Arc<AtomicU64>,
}

impl Buckets {
    pub(crate) fn new(context: jetstream::Context, notices: Notices, settings: NatsSettings) -> Self {
        Self { context, notices, settings, known: Arc::default(), seen: Arc::default(), foreign: Arc::default() }
    }

    /// Returns the stream of a bucket, from the cache if possible.
    pub(crate) async fn open(&self, bucket: &Bucket) -> Result<Stream> {
        let known = self.known().get(bucket.name()).cloned();
        match known {
            Some(stream) => Ok(stream),
            None => self.refresh(bucket).await,
        }
    }

    /// Like [`open`](Self::open), but always requests the stream information from the server, so
    /// that it is current.
    pub(crate) async fn refresh(&self, bucket: &Bucket) -> Result<Stream> {
        let name = stream_name(bucket);
        let subject = format!("$JS.API.STREAM.INFO.{name}");
        let asked = async {
            self.context.get_stream(&name).await.map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(answer) if jetstream_kind(&answer) == Some(ErrorKind::BucketMissing) => {
                    self.forget(bucket);
                    bucket_missing(bucket)
                }
                GetStreamErrorKind::JetStream(answer) => error_response(&format!("opening bucket {bucket}"), answer),
                _ => self.no_response(&format!("opening bucket {bucket}"), error),
            })
        };
        let stream = self.notices.watch(&[&subject], asked).await?;
        self.check(bucket, &stream.cached_info().config)?;
        self.known().insert(bucket.name().to_owned(), stream.clone());
        Ok(stream)
    }

    /// Creates the bucket, or gives an existing one the size limit of the settings. Retries while
    /// the server reports a temporary failure, as it does after a restart or while it is removing a
    /// bucket of the same name.
    pub(crate) async fn create(&self, bucket: &Bucket) -> Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(self.settings.patience_ms));
        loop {
            match self.refresh(bucket).await {
                Err(error) if error.kind() == ErrorKind::BucketMissing => {}
                found => return self.limit(bucket, &found?.cached_info().config).await,
            }
            match self.create_stream(bucket).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Unavailable && backoff.wait().await => {}
                // Another process may have created the bucket first.
                Err(error) => return self.refresh(bucket).await.map(drop).map_err(|_| error),
            }
        }
    }

    /// Changes the size limit of an existing bucket, which an earlier attempt may have created with
    /// one that is too small.
    async fn limit(&self, bucket: &Bucket, config: &Config) -> Result<()> {
        let wanted = self.config(bucket).max_bytes;
        if self.settings.max_bytes.is_none() || config.max_bytes == wanted {
            return Ok(());
        }
        let config = Config { max_bytes: wanted, ..config.clone() };
        let subject = format!("$JS.API.STREAM.UPDATE.{}", config.name);
        let asked = async {
            let changing = format!("changing the size limit of bucket {bucket}");
            self.context.update_stream(config).await.map_err(|error| self.refused(&changing, error))
        };
        self.notices.watch(&[&subject], asked).await.map(drop)
    }

    async fn create_stream(&self, bucket: &Bucket) -> Result<()> {
        let config = self.config(bucket);
        let subject = format!("$JS.API.STREAM.CREATE.{}", config.name);
        let asked = async {
            let making = format!("creating bucket {bucket}");
            self.context.create_stream(config).await.map_err(|error| self.refused(&making, error))
        };
        self.notices.watch(&[&subject], asked).await?;
        // This call created the stream, so restarting its revisions is expected.
        self.seen_by_bucket().remove(bucket.name());
        Ok(())
    }

    /// Converts the error from a request to create or to change a stream.
    fn refused(&self, what: &str, error: CreateStreamError) -> Error {
        match error.kind() {
            CreateStreamErrorKind::JetStream(answer) => error_response(what, answer),
            _ => self.no_response(what, error),
        }
    }

    /// Converts the error from a request that received no response. If JetStream is not enabled,
    /// the server immediately reports that the request has no responders.
    fn no_response(&self, what: &str, error: impl StdError + Send + Sync + 'static) -> Error {
        if has_no_responders(&error) && !self.context.client().server_info().jetstream {
            let message = format!("{what}: JetStream is not enabled on the NATS server");
            return Error::new(ErrorKind::Disabled, message).with_hint(JETSTREAM_OFF).with_source(error);
        }
        unavailable(what, error)
    }

    /// Returns the names of all buckets, in alphabetical order.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let listing = "listing the buckets";
        let mut names = Vec::new();
        let asked = async {
            let mut streams = self.context.stream_names();
            while let Some(stream) = streams.next().await {
                let stream = stream.map_err(|error| self.no_response(listing, error))?;
                names.extend(stream.strip_prefix(STREAM_PREFIX).map(str::to_owned));
            }
            Ok(())
        };
        self.notices.watch(&["$JS.API.STREAM.NAMES"], asked).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the bucket with everything in it.
    pub(crate) async fn remove(&self, bucket: &Bucket) -> Result<()> {
        let (name, removing) = (stream_name(bucket), format!("removing bucket {bucket}"));
        let asked = async {
            self.context.delete_stream(&name).await.map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(answer) if jetstream_kind(&answer) == Some(ErrorKind::BucketMissing) => {
                    bucket_missing(bucket)
                }
                GetStreamErrorKind::JetStream(answer) => error_response(&removing, answer),
                _ => self.no_response(&removing, error),
            })
        };
        let removed = self.notices.watch(&[&format!("$JS.API.STREAM.DELETE.{name}")], asked).await;
        self.forget(bucket);
        removed.map(drop)
    }

    /// Returns whether any bucket opened so far is stored in the server's memory.
    pub(crate) fn any_in_memory(&self) -> bool {
        self.known().values().any(|stream| stream.cached_info().config.storage == StorageType::Memory)
    }

    pub(crate) fn forget(&self, bucket: &Bucket) {
        self.known().remove(bucket.name());
    }

    /// Records a revision received from the server.
    pub(crate) fn record_seen(&self, bucket: &Bucket, sequence: u64) {
        let mut seen = self.seen_by_bucket();
        match seen.get_mut(bucket.name()) {
            Some(last) => *last = sequence.max(*last),
            None => drop(seen.insert(bucket.name().to_owned(), sequence)),
        }
    }

    /// Returns the last revision seen, or zero. Every later write to the same stream gets a larger
    /// one.
    pub(crate) fn last_seen(&self, bucket: &Bucket) -> u64 {
        self.seen_by_bucket().get(bucket.name()).copied().unwrap_or_default()
    }

    fn seen_by_bucket(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message that is not a value of a key.
    pub(crate) fn count_foreign(&self, bucket: &Bucket) {
        let count = self.foreign.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(%bucket, count, "a message that is not a value of a key is skipped");
    }

    pub(crate) fn foreign_messages(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Stream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the configuration that `nats kv add --history 1` creates, with every setting that
    /// matters written out instead of left to defaults of the client.
    fn config(&self, bucket: &Bucket) -> Config {
        Config {
            name: stream_name(bucket),
            subjects: vec![format!("$KV.{bucket}.>")],
            storage: if self.settings.in_memory { StorageType::Memory } else { StorageType::File },
            num_replicas: self.settings.replicas,
            max_messages_per_subject: 1,
            max_messages: -1,
            max_bytes: self.settings.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            placement: placement(&self.settings.placement_tags),
            max_message_size: -1,
            max_consumers: -1,
            discard: DiscardPolicy::New,
            retention: RetentionPolicy::Limits,
            allow_rollup: true,
            deny_delete: true,
            deny_purge: false,
            allow_direct: true,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        }
    }

    /// Refuses a bucket whose configuration violates the contract, and leaves it unchanged.
    fn check(&self, bucket: &Bucket, config: &Config) -> Result<()> {
        let largest = self.context.client().server_info().max_payload;
        let message_bytes = usize::try_from(config.max_message_size).ok().filter(|bytes| *bytes > 0);
        let problem = if config.max_messages_per_subject != 1 {
            "keeps more than one value per key: set its history to 1".to_owned()
        } else if !config.max_age.is_zero() {
            "lets values expire: remove its time to live".to_owned()
        } else if config.retention != RetentionPolicy::Limits {
            "drops values after they are read: set its retention policy to limits".to_owned()
        } else if config.discard == DiscardPolicy::Old && (config.max_bytes > 0 || config.max_messages > 0) {
            "drops old values when it is full: set its discard policy to new".to_owned()
        } else if config.deny_purge {
            "does not allow values to be removed: allow purging".to_owned()
        } else if config.sealed || config.mirror.is_some() {
            "does not accept writes because it is sealed or a mirror".to_owned()
        } else if config.duplicate_window < DUPLICATE_WINDOW {
            let seconds = DUPLICATE_WINDOW.as_secs();
            format!("has a duplicate window that is too short: set it to {seconds} s or more")
        } else if config.no_ack {
            "does not acknowledge writes: turn acknowledgements on".to_owned()
        } else if !config.subjects.iter().any(|subject| *subject == format!("$KV.{bucket}.>")) {
            format!("does not store the subjects $KV.{bucket}.>: add them to its stream")
        } else if let Some(bytes) = message_bytes.filter(|bytes| *bytes < largest) {
            format!("accepts values of at most {bytes} bytes: raise its maximum value size to {largest}")
        } else if config.storage == StorageType::Memory && !self.settings.in_memory && !self.settings.allow_in_memory {
            "is stored in the server's memory: use file storage".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Incompatible, format!("bucket {bucket} {problem}")))
    }
}

fn placement(tags: &[String]) -> Option<Placement> {
    (!tags.is_empty()).then(|| Placement { tags: tags.to_vec(), cluster: None })
}

/// Returns whether a request failed because it had no responders.
fn has_no_responders(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let request = error.downcast_ref::<jetstream::context::RequestError>();
        if request.is_some_and(|request| request.kind() == RequestErrorKind::NoResponders) {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(crate) fn stream_name(bucket: &Bucket) -> String {
    format!("{STREAM_PREFIX}{bucket}")
}
