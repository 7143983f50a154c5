//! Reads a bucket in order: everything stored so far, then every later write.
//!
//! An ephemeral push consumer with flow control delivers the messages. It numbers its deliveries
//! and reports their number in its heartbeats. When deliveries are missing or the consumer is
//! silent, for example after a reconnect, it is abandoned. A new consumer then starts after the
//! last revision that was passed on, so nothing is repeated or skipped. The stream is checked
//! before each start, because a stream that was recreated or rolled back can no longer be followed.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::stream::{ConsumerErrorKind, RawMessage, Stream};
use async_nats::jetstream::{self};
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use cim_ipld_backend::{
    Bucket, Entry, EntryStream, Error, ErrorKind, KeyPrefix, KeyedEntry, Result, Revision, WatchEvent, WatchStream,
};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::backoff::Backoff;
use crate::buckets::{Buckets, stream_name};
use crate::delete_on_drop::DeleteOnDrop;
use crate::delivery::{self, Content, Delivery};
use crate::error::{error_response, unavailable};
use crate::leader::{self, Wanted};
use crate::notices::Notices;

/// Entries buffered ahead of the reader. Bounds the memory used for a slow reader, together with
/// the flow control window of the server.
const READ_AHEAD: usize = 64;
const HEARTBEAT: Duration = Duration::from_millis(500);
/// A consumer that sends nothing for this long is considered dead.
const SILENCE: Duration = Duration::from_millis(2_000);
/// How long the server keeps a consumer without a subscriber, if this process ends before it has
/// deleted the consumer. A stream has only so many consumers.
const CONSUMER_LIFE: Duration = Duration::from_secs(3);

/// The bucket to follow, and how.
pub(crate) struct Source {
    pub(crate) context: jetstream::Context,
    pub(crate) buckets: Buckets,
    pub(crate) notices: Notices,
    pub(crate) bucket: Bucket,
    pub(crate) prefix: KeyPrefix,
    /// How long to wait for an unavailable server while `CaughtUp` has not been sent yet.
    pub(crate) patience: Duration,
}

/// Where to start.
#[derive(Clone, Copy)]
enum Start {
    /// After a revision that was seen. If the bucket ends before this revision, it has lost data.
    AfterSeen,
    /// After any number, possibly beyond the end of the bucket.
    AfterAny,
}

pub(crate) fn watch(source: Source, after: Revision) -> WatchStream {
    follow(source, after, Start::AfterSeen)
}

fn follow(source: Source, after: Revision, start: Start) -> WatchStream {
    let (events, received) = mpsc::channel(READ_AHEAD);
    // In a separate task, so that heartbeats are answered even if the reader polls rarely.
    let task = tokio::spawn(async move {
        let follower = Follower { source, start, last: after.number(), caught_up: false, goal: None, created: None };
        if let Err(error) = follower.run(&events).await {
            // The reader may have been dropped.
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
    /// The last sequence passed on.
    last: u64,
    /// Whether `CaughtUp` was sent.
    caught_up: bool,
    /// The sequence up to which everything must be delivered before `CaughtUp` is sent.
    goal: Option<u64>,
    /// The creation time of the stream being followed.
    created: Option<String>,
}

type Events = mpsc::Sender<Result<WatchEvent>>;

/// Why a consumer ended.
#[derive(PartialEq, Eq)]
enum End {
    /// The deliveries of the consumer do not match its reports, or the consumer is silent.
    Broken,
    /// The reader was dropped.
    ReaderGone,
}

/// The state of one consumer.
struct Consumer {
    deliveries: Subscriber,
    /// The number of deliveries received.
    received: u64,
    /// Whether the replica that serves the consumer may lag behind the leader.
    may_lag: bool,
}

impl Follower {
    async fn run(mut self, events: &Events) -> Result<()> {
        let mut backoff = Backoff::new(self.source.patience);
        let mut first = true;
        loop {
            let last = self.last;
            let problem = match self.follow(events, first).await {
                Ok(End::ReaderGone) => return Ok(()),
                Ok(End::Broken) => None,
                Err(error) if error.kind() == ErrorKind::Unavailable => Some(error),
                Err(error) => return Err(error),
            };
            first = false;
            if self.last > last {
                backoff = Backoff::new(self.source.patience);
            }
            if let Some(error) = problem {
                tracing::warn!(bucket = %self.source.bucket, %error, "following the bucket was interrupted; trying again");
                // Before `CaughtUp`, the caller is waiting for existing data and must receive the
                // error. Afterwards, the caller can wait longer.
                if !self.caught_up && !backoff.wait().await {
                    return Err(error);
                }
            }
            if self.caught_up {
                backoff.pause().await;
            }
        }
    }

    /// Follows with one consumer, until it fails or the reader is dropped. On every call but the
    /// first, the next message is read from the leader beforehand, because the previous consumer
    /// may have failed at that message.
    async fn follow(&mut self, events: &Events, first: bool) -> Result<End> {
        let stream = self.refresh().await?;
        if matches!(self.start, Start::AfterAny) && stream.cached_info().state.last_sequence <= self.last {
            return Ok(if self.send_caught_up(events).await { End::Broken } else { End::ReaderGone });
        }
        let stream = self.check_history(stream).await?;
        // The sequence is read from the leader after the watch began, so every write that was
        // acknowledged before the watch has this sequence or a lower one. A replacement consumer
        // keeps the goal of the first one.
        self.goal.get_or_insert(stream.cached_info().state.last_sequence);
        if !first && !self.read_from_leader(events).await? {
            return Ok(End::ReaderGone);
        }
        let client = self.source.context.client();
        let inbox = client.new_inbox();
        // Subscribes before creating the consumer, so that the first delivery is received.
        let deliveries =
            client.subscribe(inbox.clone()).await.map_err(|error| unavailable("following a bucket", error))?;
        let made = self.make_consumer(&stream, inbox).await?;
        let made = made.cached_info();
        let consumer = Consumer { deliveries, received: 0, may_lag: stream.cached_info().config.num_replicas > 1 };
        let nothing_waits = made.num_pending == 0 && made.delivered.consumer_sequence == 0;
        let _delete = DeleteOnDrop { name: made.name.clone(), bucket: self.source.bucket.clone(), stream };
        self.receive(consumer, nothing_waits, events).await
    }

    /// Handles the deliveries of a consumer, until it fails or the reader is dropped.
    async fn receive(&mut self, mut consumer: Consumer, nothing_waits: bool, events: &Events) -> Result<End> {
        if nothing_waits && !self.check_caught_up(&consumer, Evidence::NothingPending, events).await? {
            return Ok(End::ReaderGone);
        }
        loop {
            let delivery = tokio::select! {
                delivery = tokio::time::timeout(SILENCE, consumer.deliveries.next()) => delivery,
                () = events.closed() => return Ok(End::ReaderGone),
            };
            let Ok(Some(message)) = delivery else { return Ok(End::Broken) };
            if let Some(end) = self.take(message, &mut consumer, events).await? {
                return Ok(end);
            }
        }
    }

    /// Handles a message from the consumer. Returns why the consumer ends, or `None` if it does
    /// not.
    async fn take(&mut self, message: Message, consumer: &mut Consumer, events: &Events) -> Result<Option<End>> {
        let goes_on = match delivery::decode(&self.subjects(), &message) {
            Delivery::Stored { place, .. } if place.consumer != consumer.received + 1 => return Ok(Some(End::Broken)),
            Delivery::Stored { place, content } => {
                consumer.received = place.consumer;
                self.deliver(content, message.payload, place.stream, events).await
                    && (place.pending > 0 || self.check_caught_up(consumer, Evidence::NothingPending, events).await?)
            }
            Delivery::Heartbeat { delivered, answer_to, is_idle } => {
                if let Some(subject) = answer_to {
                    // If the response is lost, the consumer stays silent and is replaced.
                    let _ = self.source.context.client().publish(subject, Bytes::new()).await;
                }
                if delivered.is_some_and(|delivered| delivered != consumer.received) {
                    return Ok(Some(End::Broken));
                }
                !is_idle || self.check_caught_up(consumer, Evidence::Idle, events).await?
            }
            Delivery::Stray => {
                self.source.buckets.count_foreign(&self.source.bucket);
                true
            }
        };
        Ok((!goes_on).then_some(End::ReaderGone))
    }

    /// Reads the next message from the leader and passes it on. This gets past a message at which
    /// every consumer fails, because the client closes the connection when a message with
    /// malformed headers is delivered. Returns false if the reader was dropped.
    async fn read_from_leader(&mut self, events: &Events) -> Result<bool> {
        let filter = self.filter();
        let Some(message) = self.ask_leader(Wanted::Next(&filter, self.last + 1)).await? else { return Ok(true) };
        let sequence = message.sequence;
        Ok(match leader::parse(message) {
            Some(message) => {
                let content = delivery::content(&self.subjects(), &message.subject, Some(&message.headers));
                self.deliver(content, message.payload, sequence, events).await
            }
            None => self.deliver(Content::Foreign, Bytes::new(), sequence, events).await,
        })
    }

    async fn ask_leader(&self, wanted: Wanted<'_>) -> Result<Option<RawMessage>> {
        let Source { context, notices, bucket, .. } = &self.source;
        notices.while_connected(leader::read(context, notices, bucket, wanted)).await
    }

    async fn refresh(&self) -> Result<Stream> {
        let Source { buckets, notices, bucket, .. } = &self.source;
        notices.while_connected(buckets.refresh(bucket)).await
    }

    /// Refuses a stream that was recreated, or that ends before a sequence already seen, because
    /// acknowledged data is lost. Looks several times, because the leader may apply a message a
    /// moment later than the replica that delivered it.
    async fn check_history(&mut self, mut stream: Stream) -> Result<Stream> {
        const LOOKS: usize = 10;
        for look in 0.. {
            let info = stream.cached_info();
            let made = info.created.to_string();
            let created = self.created.get_or_insert_with(|| made.clone());
            if *created == made && info.state.last_sequence >= self.last {
                break;
            }
            if *created != made || look == LOOKS {
                let message =
                    format!("bucket {} was rolled back or recreated while it was being followed", self.source.bucket);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream = self.refresh().await?;
        }
        Ok(stream)
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
        let made = async {
            stream.create_consumer(config).await.map_err(|error| match error.kind() {
                ConsumerErrorKind::JetStream(answer) => error_response("following a bucket", answer),
                _ => unavailable("following a bucket", error),
            })
        };
        let notices = &self.source.notices;
        notices.while_connected(notices.watch(&[&asked], made)).await
    }

    /// Sends `CaughtUp` once it is certain that everything older was delivered. Returns false if
    /// the reader was dropped.
    ///
    /// The goal is the last sequence that the leader had when the watch began. If the bucket has
    /// one replica, a pending count of zero proves that everything up to the goal was delivered. If
    /// it has several, the consumer may be served by a replica that lags behind, so the count
    /// proves nothing. Then either of two facts proves it: a message at or after the goal was
    /// delivered, or the last message that the leader now has under the prefix was delivered.
    async fn check_caught_up(&mut self, consumer: &Consumer, evidence: Evidence, events: &Events) -> Result<bool> {
        if self.caught_up {
            return Ok(true);
        }
        let passed = |this: &Self| this.goal.is_some_and(|goal| this.last >= goal);
        let certain = passed(self) || (evidence == Evidence::NothingPending && !consumer.may_lag) || {
            let last = self.last_of_leader().await?;
            self.goal = self.goal.map(|goal| goal.min(last));
            passed(self)
        };
        Ok(!certain || self.send_caught_up(events).await)
    }

    /// Returns the sequence of the last message under the prefix, or zero.
    async fn last_of_leader(&self) -> Result<u64> {
        let filter = self.filter();
        Ok(self.ask_leader(Wanted::Last(&filter)).await?.map_or(0, |message| message.sequence))
    }

    /// Passes a message on if it is a value. Returns false if the reader was dropped.
    async fn deliver(&mut self, content: Content, value: Bytes, sequence: u64, events: &Events) -> bool {
        if sequence <= self.last {
            return true;
        }
        self.last = sequence;
        self.source.buckets.record_seen(&self.source.bucket, sequence);
        match content {
            Content::Value(key) => {
                let entry = Entry { value, revision: Revision::new(sequence) };
                return events.send(Ok(WatchEvent::Entry(KeyedEntry { key, entry }))).await.is_ok();
            }
            Content::Foreign => self.source.buckets.count_foreign(&self.source.bucket),
            Content::Removal => {}
        }
        true
    }

    async fn send_caught_up(&mut self, events: &Events) -> bool {
        if self.caught_up {
            return true;
        }
        self.caught_up = true;
        events.send(Ok(WatchEvent::CaughtUp)).await.is_ok()
    }

    /// Returns the common prefix of the subjects of the bucket.
    fn subjects(&self) -> String {
        format!("$KV.{}.", self.source.bucket)
    }

    fn filter(&self) -> String {
        let bucket = &self.source.bucket;
        match self.source.prefix.tokens() {
            Some(tokens) => format!("$KV.{bucket}.{tokens}.>"),
            None => format!("$KV.{bucket}.>"),
        }
    }
}

/// What suggests that everything up to the goal was delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// The consumer has nothing pending, according to the replica that serves it.
    NothingPending,
    /// The consumer has sent an idle heartbeat. If its pending messages were removed, no further
    /// delivery will report that nothing is pending, so the heartbeat is the only evidence.
    Idle,
}
