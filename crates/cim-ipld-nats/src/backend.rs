use std::fmt;
use std::time::Duration;

use async_nats::jetstream::context::AccountErrorKind;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{PurgeErrorKind, Stream};
use async_nats::jetstream::{self};
use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, BucketKind, Durability, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits,
    Precondition, Result, Revision, WatchStream,
};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::NatsSettings;
use crate::backoff::Backoff;
use crate::buckets::{Buckets, stream_name};
use crate::connect;
use crate::connection::NatsConnection;
use crate::delivery::is_marker;
use crate::error::{bucket_missing, error_response, jetstream_kind, unavailable};
use crate::follow::{self, Source};
use crate::leader::{self, Wanted};
use crate::notices::Notices;
use crate::publish::{Publisher, VALUE_OVERHEAD_BYTES, subject};

const PREFERRED_VALUE_BYTES: usize = 256 << 10;
const PARALLEL_PURGES: usize = 32;

/// A backend that stores buckets in NATS JetStream. Clones share the connection.
///
/// ```no_run
/// use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
/// use cim_ipld_nats::NatsBackend;
///
/// # async fn example() -> Result<(), cim_ipld_backend::Error> {
/// let backend = NatsBackend::connect("nats://127.0.0.1:4222").await?;
/// let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// backend.create(&bucket).await?;
/// let revision = backend.put(&bucket, &key, "value".into(), Precondition::Absent).await?;
/// assert_eq!(backend.get(&bucket, &key).await?.unwrap().revision, revision);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NatsBackend {
    context: jetstream::Context,
    buckets: Buckets,
    publisher: Publisher,
    notices: Notices,
    settings: NatsSettings,
}

impl NatsBackend {
    /// Returns a backend on an existing JetStream context. With such a context, a denied permission
    /// appears as `Unavailable` or `OutcomeUnknown` after a timeout, because only the creator of
    /// the connection can receive the reason. A backend made by [`connect`](Self::connect) reports
    /// the reason at once.
    ///
    /// ```no_run
    /// use cim_ipld_nats::{NatsBackend, async_nats};
    ///
    /// # async fn example() -> Result<(), async_nats::ConnectError> {
    /// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
    /// let backend = NatsBackend::new(async_nats::jetstream::new(client));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(context: jetstream::Context) -> Self {
        Self::with_settings(context, NatsSettings::default())
    }

    /// Returns a backend on an existing JetStream context, with `settings`.
    #[must_use]
    pub fn with_settings(context: jetstream::Context, settings: NatsSettings) -> Self {
        Self::over(context, Notices::new(), settings)
    }

    /// Connects to the servers in `url`, which has the form described at [`NatsConnection::to`].
    ///
    /// # Errors
    /// As for [`NatsConnection::to`] and [`connect_to`](Self::connect_to).
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, NatsSettings::default()).await
    }

    /// Connects to the servers in `url`, with `settings`.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_with(url: &str, settings: NatsSettings) -> Result<Self> {
        Self::connect_to(&NatsConnection::to(url)?, settings).await
    }

    /// Connects with the options in `connection`, and with `settings`.
    ///
    /// ```no_run
    /// use cim_ipld_nats::{NatsBackend, NatsConnection, NatsSettings};
    ///
    /// # async fn example() -> Result<(), cim_ipld_backend::Error> {
    /// let connection = NatsConnection::to("tls://one.example.org,two.example.org")?.credentials_file("notes.creds");
    /// let backend = NatsBackend::connect_to(&connection, NatsSettings::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`InvalidSettings`](ErrorKind::InvalidSettings) if a file named by `connection` cannot be
    ///   read or is malformed.
    /// * [`Unavailable`](ErrorKind::Unavailable) if no server responds.
    /// * [`Unauthenticated`](ErrorKind::Unauthenticated) if a server rejects the credentials.
    /// * [`Untrusted`](ErrorKind::Untrusted) if the identity of a server cannot be verified, or if
    ///   the server does not offer TLS although TLS is required.
    /// * [`Full`](ErrorKind::Full) if a limit on connections is reached.
    pub async fn connect_to(connection: &NatsConnection, settings: NatsSettings) -> Result<Self> {
        let notices = Notices::of(connection);
        let client = connect::connect(connection, notices.clone()).await?;
        Ok(Self::over(jetstream::with_prefix(client, connection.api()), notices, settings))
    }

    fn over(mut context: jetstream::Context, notices: Notices, settings: NatsSettings) -> Self {
        context.set_timeout(Duration::from_millis(settings.request_timeout_ms));
        let buckets = Buckets::new(context.clone(), notices.clone(), settings.clone());
        let publisher = Publisher::new(context.clone(), buckets.clone(), notices.clone(), &settings);
        Self { context, buckets, publisher, notices, settings }
    }

    /// Checks what a client can check if the server is expected to encrypt its files: that
    /// JetStream responds, and that the settings do not store new buckets in memory. Clients cannot
    /// find out whether a server encrypts; only the server's operator can, by its configuration or
    /// the bytes on its disk.
    ///
    /// ```no_run
    /// use cim_ipld_nats::NatsBackend;
    ///
    /// # async fn example() -> Result<(), cim_ipld_backend::Error> {
    /// let backend = NatsBackend::connect("nats://127.0.0.1:4222").await?;
    /// backend.expect_server_encryption().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`Unavailable`](ErrorKind::Unavailable) if JetStream does not respond.
    /// * [`Disabled`](ErrorKind::Disabled) if JetStream is turned off, on the server or for this
    ///   account.
    /// * [`Incompatible`](ErrorKind::Incompatible) if buckets are to be stored in memory.
    pub async fn expect_server_encryption(&self) -> Result<()> {
        self.context.query_account().await.map_err(|error| match error.kind() {
            AccountErrorKind::JetStream(answer) => error_response("reading the account information", answer),
            AccountErrorKind::JetStreamUnavailable => {
                let message = "reading the account information: JetStream is not enabled for this account";
                Error::new(ErrorKind::Disabled, message).with_source(error)
            }
            _ => unavailable("reading the account information", error),
        })?;
        if self.settings.in_memory {
            let message = "encryption at rest is expected, but buckets are to be stored in the server's memory";
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        tracing::info!("the server is expected to encrypt its files; a client cannot check that it does");
        Ok(())
    }

    /// Returns how many messages scans and watches have skipped because they are not values of
    /// valid keys. Clones share the count. Any client that may write to the subjects of a bucket
    /// can leave such messages there.
    #[must_use]
    pub fn foreign_messages(&self) -> u64 {
        self.buckets.foreign_messages()
    }

    /// Returns the names of all key-value buckets of the account, in alphabetical order. Those of
    /// other programs are among them.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) or [`Denied`](ErrorKind::Denied) if the server does
    /// not list them.
    pub async fn bucket_names(&self) -> Result<Vec<String>> {
        self.buckets.names().await
    }

    /// Removes a bucket with everything in it.
    ///
    /// ```no_run
    /// use cim_ipld_backend::Bucket;
    /// use cim_ipld_nats::NatsBackend;
    ///
    /// # async fn example() -> Result<(), cim_ipld_backend::Error> {
    /// let backend = NatsBackend::connect("nats://127.0.0.1:4222").await?;
    /// assert!(backend.bucket_names().await?.contains(&"catalog_v1".to_owned()));
    /// backend.remove_bucket(&Bucket::log("catalog_v1")?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BucketMissing`](ErrorKind::BucketMissing) if there is no such bucket, and
    /// [`Unavailable`](ErrorKind::Unavailable) or [`Denied`](ErrorKind::Denied) if the server does
    /// not remove it.
    pub async fn remove_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.buckets.remove(bucket).await
    }

    /// Reads a value from any replica; returns `None` if the replica does not have the value or no
    /// replica responded.
    async fn get_from_any(&self, stream: &Stream, bucket: &Bucket, subject: &str) -> Option<StreamMessage> {
        let asked = format!("$JS.API.DIRECT.GET.{}.{subject}", stream_name(bucket));
        let read = async {
            let answer = stream.direct_get_last_for_subject(subject).await;
            answer.map_err(|error| unavailable("reading from a replica", error))
        };
        self.notices.watch(&[&asked], read).await.ok()
    }

    /// Reads a value from the leader. If the leader has no value, the key is certainly absent.
    async fn get_from_leader(&self, bucket: &Bucket, subject: &str) -> Result<Option<StreamMessage>> {
        let read = leader::read(&self.context, &self.notices, bucket, Wanted::Last(subject)).await;
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::BucketMissing) {
            self.buckets.forget(bucket);
        }
        let parse = |message| leader::parse(message).ok_or_else(|| leader::unreadable(bucket, &subject));
        read?.map(parse).transpose()
    }

    /// Removes every message of a subject. This is idempotent, so it is retried after a timeout.
    async fn purge(&self, stream: &Stream, bucket: &Bucket, key: &Key) -> Result<()> {
        let asked = format!("$JS.API.STREAM.PURGE.{}", stream_name(bucket));
        let mut backoff = Backoff::new(Duration::from_millis(self.settings.patience_ms));
        loop {
            let purged = async {
                stream.purge().filter(subject(bucket, key)).await.map(drop).map_err(|error| {
                    let kind = match error.kind() {
                        PurgeErrorKind::JetStream(answer) => jetstream_kind(&answer),
                        _ => None,
                    };
                    let kind = kind.unwrap_or(ErrorKind::OutcomeUnknown);
                    let message = format!("it is unknown whether all keys were removed from bucket {bucket}");
                    Error::new(kind, message).with_source(error)
                })
            };
            match self.notices.watch(&[&asked], purged).await {
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown && backoff.wait().await => {}
                Err(error) if error.kind() == ErrorKind::BucketMissing => {
                    self.buckets.forget(bucket);
                    return Err(bucket_missing(bucket));
                }
                done => return done,
            }
        }
    }
}

impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for NatsBackend {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.buckets.create(bucket).await
    }

    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.buckets.open(bucket).await.map(drop)
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        let stream = self.buckets.open(bucket).await?;
        let subject = subject(bucket, key);
        let mut message = None;
        if bucket.kind() == BucketKind::Objects {
            message = self.get_from_any(&stream, bucket, &subject).await;
        }
        if message.is_none() {
            message = self.get_from_leader(bucket, &subject).await?;
        }
        if let Some(message) = &message {
            self.buckets.record_seen(bucket, message.sequence);
        }
        let value = message.filter(|message| !is_marker(&message.headers));
        Ok(value.map(|message| Entry { value: message.payload, revision: Revision::new(message.sequence) }))
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        let limit = self.limits().max_value_bytes;
        if value.len() > limit {
            let message = format!("the value of {} bytes exceeds the server's limit of {limit}", value.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.buckets.open(bucket).await?;
        self.publisher.put(bucket, key, value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        let stream = &self.buckets.open(bucket).await?;
        let purges: Vec<_> = keys.iter().map(|key| self.purge(stream, bucket, key)).collect();
        stream::iter(purges).buffer_unordered(PARALLEL_PURGES).try_collect().await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        follow::scan(self.source(bucket, prefix), after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        follow::watch(self.source(bucket, prefix), after)
    }

    fn limits(&self) -> Limits {
        let payload = self.context.client().server_info().max_payload;
        let max_value_bytes = payload.saturating_sub(VALUE_OVERHEAD_BYTES);
        Limits {
            max_value_bytes,
            preferred_value_bytes: PREFERRED_VALUE_BYTES.min(max_value_bytes),
            durability: if self.settings.in_memory || self.buckets.any_in_memory() {
                Durability::Process
            } else {
                Durability::Crash
            },
        }
    }
}

impl NatsBackend {
    fn source(&self, bucket: &Bucket, prefix: &KeyPrefix) -> Source {
        Source {
            context: self.context.clone(),
            buckets: self.buckets.clone(),
            notices: self.notices.clone(),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            patience: Duration::from_millis(self.settings.patience_ms),
        }
    }
}
