//! Reads a bucket in its order: everything so far, and then what comes.
//!
//! An ephemeral push consumer with flow control delivers; its deliveries are numbered, and its heartbeats say how many there
//! were. Whatever does not fit (a gap, a silence, a connection that came back) ends the consumer, and another one begins after
//! the last revision that was passed on. So nothing is repeated or skipped, whatever becomes of connections and servers. The
//! stream is looked at each time: one that was made anew, or that went back, cannot be followed on.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self};
use async_nats::{Message, StatusCode};
use bytes::Bytes;
use cim_ipld_backend::{
    Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Result, Revision, WatchEvent, WatchStream,
};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::backend::is_marker;
use crate::backoff::Backoff;
use crate::buckets::{Buckets, stream_name};
use crate::denials::Denials;
use crate::error::unavailable;

/// Entries read ahead of whoever reads the stream: bounds the memory of a slow reader, beside the window of the server's flow
/// control.
const READ_AHEAD: usize = 64;
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Without a word for this long, a consumer is taken for dead.
const SILENCE: Duration = Duration::from_millis(2_000);
/// How long the server keeps a consumer that nobody listens to.
const CONSUMER_LIFE: Duration = Duration::from_secs(10);

/// What is followed.
pub(crate) struct Source {
    pub(crate) context: jetstream::Context,
    pub(crate) buckets: Buckets,
    pub(crate) denials: Denials,
    pub(crate) bucket: Bucket,
    pub(crate) prefix: KeyPrefix,
    /// How long a server that is away is waited for before everything older was told.
    pub(crate) patience: Duration,
}

/// Where following begins.
#[derive(Clone, Copy)]
enum Start {
    /// After a revision that was seen: a bucket that ends before it has lost that.
    AfterSeen,
    /// After any number: where nothing stands behind it, there is nothing to tell.
    AfterAny,
}

pub(crate) fn watch(source: Source, after: Revision) -> WatchStream {
    follow(source, after, Start::AfterSeen)
}

fn follow(source: Source, after: Revision, start: Start) -> WatchStream {
    let (events, received) = mpsc::channel(READ_AHEAD);
    // In a task of its own, so that heartbeats are answered however seldom the reader comes.
    let task = tokio::spawn(async move {
        let follower = Follower { source, start, last: after.number(), caught_up: false, created: None };
        if let Err(error) = follower.run(&events).await {
            // A reader that has gone has no use for the error.
            let _ = events.send(Err(error)).await;
        }
    });
    let guard = AbortOnDrop(task);
    futures::stream::unfold((received, guard), |(mut received, guard)| async move {
        received.recv().await.map(|event| (event, (received, guard)))
    })
    .boxed()
}

pub(crate) fn scan(source: Source, after: Revision) -> EntryStream {
    follow(source, after, Start::AfterAny)
        .take_while(|event| std::future::ready(!matches!(event, Ok(WatchEvent::CaughtUp))))
        .filter_map(|event| {
            std::future::ready(match event {
                Ok(WatchEvent::Entry(entry)) => Some(Ok(entry)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        })
        .boxed()
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Follower {
    source: Source,
    start: Start,
    /// The last sequence that was passed on.
    last: u64,
    /// Whether everything older was told.
    caught_up: bool,
    /// When the stream was made that is being followed.
    created: Option<String>,
}

type Events = mpsc::Sender<Result<WatchEvent>>;

/// Why a consumer came to its end.
#[derive(PartialEq, Eq)]
enum End {
    /// It no longer fits what was received.
    Broken,
    /// Nobody reads any more.
    ReaderGone,
}

impl Follower {
    async fn run(mut self, events: &Events) -> Result<()> {
        let mut backoff = Backoff::new(self.source.patience);
        loop {
            let last = self.last;
            let problem = match self.follow(events).await {
                Ok(End::ReaderGone) => return Ok(()),
                Ok(End::Broken) => None,
                Err(error) if error.kind() == ErrorKind::Unavailable => Some(error),
                Err(error) => return Err(error),
            };
            if self.last > last {
                backoff = Backoff::new(self.source.patience);
            }
            if let Some(error) = problem {
                tracing::warn!(bucket = %self.source.bucket, %error, "following is broken off; it is tried again");
                // Whoever waits for what is there must hear of it; whoever waits for what comes can wait longer.
                if !self.caught_up && !backoff.wait().await {
                    return Err(error);
                }
            }
            if self.caught_up {
                backoff.pause().await;
            }
        }
    }

    /// Follows with one consumer, until it no longer fits or the reader has gone.
    async fn follow(&mut self, events: &Events) -> Result<End> {
        let stream = self.source.buckets.look(&self.source.bucket).await?;
        if matches!(self.start, Start::AfterAny) && stream.cached_info().state.last_sequence <= self.last {
            return Ok(if self.tell_caught_up(events).await { End::Broken } else { End::ReaderGone });
        }
        self.check_history(&stream)?;
        let client = self.source.context.client();
        let inbox = client.new_inbox();
        // Before the consumer is made: its first delivery needs somebody who listens.
        let mut deliveries =
            client.subscribe(inbox.clone()).await.map_err(|error| unavailable("following a bucket", error))?;
        let consumer = self.make_consumer(&stream, inbox).await?;
        let info = consumer.cached_info();
        let mut received = 0;
        if info.num_pending == 0 && info.delivered.consumer_sequence == 0 && !self.tell_caught_up(events).await {
            return Ok(End::ReaderGone);
        }
        loop {
            let delivery = tokio::select! {
                delivery = tokio::time::timeout(SILENCE, deliveries.next()) => delivery,
                () = events.closed() => return Ok(End::ReaderGone),
            };
            let Ok(Some(message)) = delivery else { return Ok(End::Broken) };
            if message.status.is_some() {
                if !self.heartbeat(&message, received).await {
                    return Ok(End::Broken);
                }
                if !self.caught_up
                    && is_idle(&message)
                    && self.has_delivered_all(&stream, &info.name, received).await?
                    && !self.tell_caught_up(events).await
                {
                    return Ok(End::ReaderGone);
                }
                continue;
            }
            let delivered = jetstream::Message { message, context: self.source.context.clone() };
            let place = delivered.info().map_err(|_| foreign(&self.source.bucket))?;
            let (number, sequence, pending) = (place.consumer_sequence, place.stream_sequence, place.pending);
            if number != received + 1 {
                return Ok(End::Broken);
            }
            received = number;
            if !self.tell(delivered.message, sequence, events).await? {
                return Ok(End::ReaderGone);
            }
            if pending == 0 && !self.tell_caught_up(events).await {
                return Ok(End::ReaderGone);
            }
        }
    }

    /// A stream that was made anew, or whose end lies before what was seen of it, has lost what it acknowledged.
    fn check_history(&mut self, stream: &Stream) -> Result<()> {
        let info = stream.cached_info();
        let made = info.created.to_string();
        let created = self.created.get_or_insert_with(|| made.clone());
        if *created != made || info.state.last_sequence < self.last {
            let message = format!(
                "bucket {} is not the one that was followed: it went back or was made anew",
                self.source.bucket
            );
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(())
    }

    async fn make_consumer(
        &self,
        stream: &Stream,
        inbox: String,
    ) -> Result<jetstream::consumer::Consumer<push::Config>> {
        let config = push::Config {
            deliver_subject: inbox,
            filter_subject: self.filter(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last + 1 },
            replay_policy: ReplayPolicy::Instant,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            inactive_threshold: CONSUMER_LIFE,
            num_replicas: 1,
            memory_storage: true,
            ..push::Config::default()
        };
        let asked = format!("$JS.API.CONSUMER.CREATE.{}", stream_name(&self.source.bucket));
        let made =
            async { stream.create_consumer(config).await.map_err(|error| unavailable("following a bucket", error)) };
        self.source.denials.watch(&[&asked], made).await
    }

    /// Takes a heartbeat, and answers it where the server's flow control asks for that. Returns false when it tells of
    /// deliveries that did not arrive.
    async fn heartbeat(&self, message: &Message, received: u64) -> bool {
        let headers = message.headers.as_ref();
        let stalled = headers.and_then(|headers| headers.get("Nats-Consumer-Stalled"));
        let answer_to = message.reply.clone().or_else(|| stalled.map(|subject| subject.as_str().into()));
        if let Some(subject) = answer_to {
            // An answer that is not sent shows as a consumer that stays silent.
            let _ = self.source.context.client().publish(subject, Bytes::new()).await;
        }
        let delivered = headers.and_then(|headers| headers.get("Nats-Last-Consumer"));
        let delivered = delivered.and_then(|number| number.as_str().parse::<u64>().ok());
        delivered.is_none_or(|delivered| delivered == received)
    }

    /// What was still to come when the consumer was made may have been removed since: then no last delivery says so.
    async fn has_delivered_all(&self, stream: &Stream, consumer: &str, received: u64) -> Result<bool> {
        let info = stream.consumer_info(consumer).await.map_err(|error| unavailable("following a bucket", error))?;
        Ok(info.num_pending == 0 && info.delivered.consumer_sequence == received)
    }

    /// Passes a delivery on; returns false when the reader has gone.
    async fn tell(&mut self, message: Message, sequence: u64, events: &Events) -> Result<bool> {
        if sequence <= self.last {
            return Ok(true);
        }
        self.last = sequence;
        if message.headers.as_ref().is_some_and(is_marker) {
            return Ok(true);
        }
        let entry = self.entry(message.subject.as_str(), message.payload, sequence)?;
        Ok(events.send(Ok(WatchEvent::Entry(entry))).await.is_ok())
    }

    async fn tell_caught_up(&mut self, events: &Events) -> bool {
        if self.caught_up {
            return true;
        }
        self.caught_up = true;
        events.send(Ok(WatchEvent::CaughtUp)).await.is_ok()
    }

    fn filter(&self) -> String {
        let bucket = &self.source.bucket;
        match self.source.prefix.tokens() {
            Some(tokens) => format!("$KV.{bucket}.{tokens}.>"),
            None => format!("$KV.{bucket}.>"),
        }
    }

    fn entry(&self, subject: &str, value: Bytes, sequence: u64) -> Result<KeyedEntry> {
        let bucket = &self.source.bucket;
        let key = subject.strip_prefix(&format!("$KV.{bucket}.")).map(Key::new);
        let Some(Ok(key)) = key else { return Err(foreign(bucket)) };
        Ok(KeyedEntry { key, entry: Entry { value, revision: Revision::new(sequence) } })
    }
}

/// A heartbeat that is no request of the flow control: nothing was to be delivered for a while.
fn is_idle(message: &Message) -> bool {
    message.status == Some(StatusCode::IDLE_HEARTBEAT) && message.reply.is_none()
}

fn foreign(bucket: &Bucket) -> Error {
    Error::new(ErrorKind::Corrupt, format!("bucket {bucket} holds something that is no value of a key"))
}
