//! The streams that buckets are: made, looked at once, and found again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self};
use cim_ipld_backend::{Bucket, Error, ErrorKind, Result};

use crate::NatsSettings;
use crate::denials::Denials;
use crate::error::{bucket_missing, jetstream_kind, unavailable};

/// How long the server recognises a message by its id, at least. A write that is tried again within it lands once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The buckets of one connection. Each is checked when it is first used.
#[derive(Clone)]
pub(crate) struct Buckets {
    context: jetstream::Context,
    denials: Denials,
    settings: NatsSettings,
    known: Arc<Mutex<HashMap<String, Stream>>>,
}

impl Buckets {
    pub(crate) fn new(context: jetstream::Context, denials: Denials, settings: NatsSettings) -> Self {
        Self { context, denials, settings, known: Arc::default() }
    }

    /// Returns the stream of a bucket that exists and can hold an index.
    pub(crate) async fn open(&self, bucket: &Bucket) -> Result<Stream> {
        let known = self.known().get(bucket.name()).cloned();
        match known {
            Some(stream) => Ok(stream),
            None => self.look(bucket).await,
        }
    }

    /// As [`open`](Self::open), but asks the server even if it was asked before: what the stream says of itself is new.
    pub(crate) async fn look(&self, bucket: &Bucket) -> Result<Stream> {
        let name = stream_name(bucket);
        let subject = format!("$JS.API.STREAM.INFO.{name}");
        let asked = async {
            self.context.get_stream(&name).await.map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(answer) if jetstream_kind(&answer) == Some(ErrorKind::BucketMissing) => {
                    self.forget(bucket);
                    bucket_missing(bucket)
                }
                _ => unavailable(&format!("opening bucket {bucket}"), error),
            })
        };
        let stream = self.denials.watch(&[&subject], asked).await?;
        self.check(bucket, &stream.cached_info().config)?;
        self.known().insert(bucket.name().to_owned(), stream.clone());
        Ok(stream)
    }

    /// Makes the bucket unless it is there.
    pub(crate) async fn create(&self, bucket: &Bucket) -> Result<()> {
        match self.look(bucket).await {
            Err(error) if error.kind() == ErrorKind::BucketMissing => {}
            found => return found.map(drop),
        }
        let config = self.config(bucket);
        let subject = format!("$JS.API.STREAM.CREATE.{}", config.name);
        let asked = async {
            self.context.create_stream(config).await.map_err(|error| {
                let kind = match error.kind() {
                    CreateStreamErrorKind::JetStream(answer) => jetstream_kind(&answer),
                    _ => None,
                };
                match kind {
                    Some(kind) => {
                        Error::new(kind, format!("bucket {bucket} cannot be made: {error}")).with_source(error)
                    }
                    None => unavailable(&format!("making bucket {bucket}"), error),
                }
            })
        };
        match self.denials.watch(&[&subject], asked).await {
            Ok(_) => Ok(()),
            // Another process may have been first, or the answer was lost.
            Err(error) => self.look(bucket).await.map(drop).map_err(|_| error),
        }
    }

    pub(crate) fn forget(&self, bucket: &Bucket) {
        self.known().remove(bucket.name());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Stream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `nats kv add` makes with a history of 1, written out: nothing here is left to a default of the client.
    fn config(&self, bucket: &Bucket) -> Config {
        Config {
            name: stream_name(bucket),
            subjects: vec![format!("$KV.{bucket}.>")],
            storage: if self.settings.in_memory { StorageType::Memory } else { StorageType::File },
            num_replicas: self.settings.replicas,
            max_messages_per_subject: 1,
            max_messages: -1,
            max_bytes: -1,
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

    /// Refuses a bucket that would lose, keep or hide what it must not. It is left as it is.
    fn check(&self, bucket: &Bucket, config: &Config) -> Result<()> {
        let largest = self.context.client().server_info().max_payload;
        let message_bytes = usize::try_from(config.max_message_size).ok().filter(|bytes| *bytes > 0);
        let problem = if config.max_messages_per_subject != 1 {
            "keeps more than one value per key: set its history to 1".to_owned()
        } else if !config.max_age.is_zero() {
            "lets values expire: set its time to live to none".to_owned()
        } else if config.retention != RetentionPolicy::Limits {
            "drops values that were read: set its retention to limits".to_owned()
        } else if config.discard == DiscardPolicy::Old && (config.max_bytes > 0 || config.max_messages > 0) {
            "drops old values when it is full: set its discard policy to new".to_owned()
        } else if config.deny_purge {
            "refuses to remove values: allow purging".to_owned()
        } else if config.sealed || config.mirror.is_some() {
            "takes no writes: it is sealed, or a mirror".to_owned()
        } else if config.duplicate_window < DUPLICATE_WINDOW {
            let seconds = DUPLICATE_WINDOW.as_secs();
            format!("recognises a repeated write for too short a time: set its duplicate window to {seconds} s or more")
        } else if config.no_ack {
            "acknowledges nothing: turn acknowledgements on".to_owned()
        } else if !config.subjects.iter().any(|subject| *subject == format!("$KV.{bucket}.>")) {
            format!("does not listen to the subjects $KV.{bucket}.>")
        } else if let Some(bytes) = message_bytes.filter(|bytes| *bytes < largest) {
            format!("takes no value over {bytes} bytes: raise its largest value size to {largest}")
        } else if config.storage == StorageType::Memory && !self.settings.in_memory {
            "lives in the server's memory: give it file storage".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Incompatible, format!("bucket {bucket} {problem}")))
    }
}

pub(crate) fn stream_name(bucket: &Bucket) -> String {
    format!("KV_{bucket}")
}
