use std::fmt;
use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{self, kv};
use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, BucketKind, Durability, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits,
    Precondition, Result, Revision, WatchStream,
};

use crate::error::{bucket_missing, publish, unavailable};
use crate::follow;

/// What headers and subject may take of the server's largest payload.
const PAYLOAD_RESERVE_BYTES: usize = 8 << 10;
const PREFERRED_VALUE_BYTES: usize = 256 << 10;

/// How buckets are made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsSettings {
    /// Copies of each bucket in the cluster.
    pub replicas: usize,
    /// Whether buckets live in memory instead of files.
    pub in_memory: bool,
    /// How long an acknowledgement is waited for, in milliseconds.
    pub ack_timeout_ms: u64,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self { replicas: 1, in_memory: false, ack_timeout_ms: 5_000 }
    }
}

/// Stores buckets in NATS JetStream. Clones share the connection.
#[derive(Clone)]
pub struct NatsBackend {
    context: jetstream::Context,
    settings: NatsSettings,
}

impl NatsBackend {
    /// Uses a JetStream context of the caller's.
    #[must_use]
    pub fn new(context: jetstream::Context) -> Self {
        Self::with_settings(context, NatsSettings::default())
    }

    /// Uses a JetStream context of the caller's, with settings.
    #[must_use]
    pub fn with_settings(mut context: jetstream::Context, settings: NatsSettings) -> Self {
        context.set_timeout(Duration::from_millis(settings.ack_timeout_ms));
        Self { context, settings }
    }

    /// Connects to the server at `url`, `nats://[USER:PASSWORD@]HOST:PORT`.
    ///
    /// # Errors
    /// `Unavailable` when it does not answer, `Denied` when it refuses the credentials.
    pub async fn connect(url: &str) -> Result<Self> {
        let client = async_nats::connect(url).await.map_err(|error| {
            let kind = match error.kind() {
                async_nats::ConnectErrorKind::Authentication | async_nats::ConnectErrorKind::AuthorizationViolation => {
                    ErrorKind::Denied
                }
                _ => ErrorKind::Unavailable,
            };
            // The error's own text may hold the address with its password.
            Error::new(kind, format!("the NATS server cannot be reached: {:?}", error.kind()))
        })?;
        Ok(Self::new(jetstream::new(client)))
    }

    /// Notes that the server is expected to encrypt its files, and checks what a client can: that JetStream answers and that
    /// buckets are to live in files at all. Whether the server encrypts them it does not tell its clients: only its
    /// operator, and the bytes on its disk, can say.
    ///
    /// # Errors
    /// `Unavailable` when JetStream does not answer, `Incompatible` when buckets are to live in memory.
    pub async fn expect_server_encryption(&self) -> Result<()> {
        self.context.query_account().await.map_err(|error| unavailable("asking for the account", error))?;
        if self.settings.in_memory {
            let message = "encryption at rest is expected of buckets that live in the server's memory";
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        tracing::info!("the server is expected to encrypt its files; a client cannot check that it does");
        Ok(())
    }

    async fn stream(&self, bucket: &Bucket) -> Result<Stream> {
        find_stream(&self.context, bucket).await
    }
}

impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend").field("settings", &self.settings).finish_non_exhaustive()
    }
}

pub(crate) async fn find_stream(context: &jetstream::Context, bucket: &Bucket) -> Result<Stream> {
    context.get_stream(format!("KV_{bucket}")).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(answer) if answer.code() == 404 => bucket_missing(bucket),
        _ => unavailable(&format!("opening bucket {bucket}"), error),
    })
}

pub(crate) fn subject(bucket: &Bucket, key: &Key) -> String {
    format!("$KV.{bucket}.{key}")
}

#[async_trait]
impl Backend for NatsBackend {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        match self.stream(bucket).await {
            Ok(stream) => return check(bucket, &stream),
            Err(error) if error.kind() == ErrorKind::BucketMissing => {}
            Err(error) => return Err(error),
        }
        let config = kv::Config {
            bucket: bucket.name().to_owned(),
            history: 1,
            storage: if self.settings.in_memory { StorageType::Memory } else { StorageType::File },
            num_replicas: self.settings.replicas,
            ..kv::Config::default()
        };
        match self.context.create_key_value(config).await {
            Ok(_) => Ok(()),
            Err(error) => match self.stream(bucket).await {
                // Another process was first.
                Ok(stream) => check(bucket, &stream),
                Err(_) => Err(unavailable(&format!("creating bucket {bucket}"), error)),
            },
        }
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        let stream = self.stream(bucket).await?;
        let subject = subject(bucket, key);
        if bucket.kind() == BucketKind::Objects {
            match stream.direct_get_last_for_subject(subject.as_str()).await {
                Ok(message) => {
                    return Ok(Some(Entry { value: message.payload, revision: Revision::new(message.sequence) }));
                }
                // A replica may not have it yet: only the leader's word counts.
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
                Err(error) => return Err(unavailable(&format!("reading {key} from bucket {bucket}"), error)),
            }
        }
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(Entry { value: message.payload, revision: Revision::new(message.sequence) })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(&format!("reading {key} from bucket {bucket}"), error)),
        }
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        let limit = self.limits().max_value_bytes;
        if value.len() > limit {
            let message = format!("a value of {} bytes is over the server's limit of {limit}", value.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let message = PublishMessage::build().payload(value);
        let message = match precondition {
            Precondition::Absent => message.expected_last_subject_sequence(0),
            Precondition::Unchanged(revision) => message.expected_last_subject_sequence(revision.number()),
            _ => message,
        };
        let sent = self.context.send_publish(subject(bucket, key), message).await;
        let ack = sent.map_err(|error| publish(bucket, key, error))?;
        match ack.await {
            Ok(ack) => Ok(Revision::new(ack.sequence)),
            Err(error) => {
                let error = publish(bucket, key, error);
                // No stream listens: nothing was stored.
                match self.stream(bucket).await {
                    Err(missing) if missing.kind() == ErrorKind::BucketMissing => Err(missing),
                    _ => Err(error),
                }
            }
        }
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        use futures::stream::StreamExt;
        const PARALLEL_PURGES: usize = 32;
        let stream = self.stream(bucket).await?;
        let purges: Vec<_> = keys.iter().map(|key| stream.purge().filter(subject(bucket, key))).collect();
        let mut purges = futures::stream::iter(purges).map(IntoFuture::into_future).buffer_unordered(PARALLEL_PURGES);
        while let Some(purged) = purges.next().await {
            purged.map_err(|error| {
                let message = format!("whether all keys were removed from bucket {bucket} could not be learned");
                Error::new(ErrorKind::OutcomeUnknown, message).with_source(error)
            })?;
        }
        Ok(())
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        follow::scan(self.context.clone(), bucket.clone(), prefix.clone(), after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        follow::watch(self.context.clone(), bucket.clone(), prefix.clone(), after)
    }

    fn limits(&self) -> Limits {
        let payload = self.context.client().server_info().max_payload;
        let max_value_bytes = payload.saturating_sub(PAYLOAD_RESERVE_BYTES).max(PAYLOAD_RESERVE_BYTES);
        Limits {
            max_value_bytes,
            preferred_value_bytes: PREFERRED_VALUE_BYTES.min(max_value_bytes),
            durability: if self.settings.in_memory { Durability::Process } else { Durability::Crash },
        }
    }
}

/// A bucket that keeps old values or drops new ones cannot hold an index.
fn check(bucket: &Bucket, stream: &Stream) -> Result<()> {
    let config = &stream.cached_info().config;
    let problem = if config.max_messages_per_subject != 1 {
        "keeps more than one value per key: set its history to 1"
    } else if !config.max_age.is_zero() {
        "lets values expire: set its time to live to none"
    } else if config.deny_purge {
        "refuses to remove values: allow purging"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Incompatible, format!("bucket {bucket} {problem}")))
}
