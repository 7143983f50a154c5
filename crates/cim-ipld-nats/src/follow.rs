//! Reads a bucket in its order: everything so far, and then what comes.
//!
//! An ephemeral push consumer with flow control delivers; its deliveries are numbered, and its
//! heartbeats say how many there were. Whatever does not fit (a gap, a silence, a connection that
//! came back) ends the consumer, and another one begins after the last revision that was passed on.
//! So nothing is repeated or skipped, whatever becomes of connections and servers. The stream is
//! looked at each time: one that was made anew, or that went back, cannot be followed on.

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
use crate::delivery::{self, Content, Delivery};
use crate::denials::Denials;
use crate::error::{answered, unavailable};
use crate::leader::{self, Wanted};

/// Entries read ahead of whoever reads the stream: bounds the memory of a slow reader, beside the
/// window of the server's flow control.
const READ_AHEAD: usize = 64;
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Without a word for this long, a consumer is taken for dead.
const SILENCE: Duration = Duration::from_millis(2_000);
/// How often consumers break at one place before the message there is read by itself.
const STUMBLES: u32 = 2;
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
        let follower = Follower { source, start, last: after.number(), caught_up: false, goal: None, created: None };
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
    /// The sequence whose passing shows that everything older was delivered.
    goal: Option<u64>,
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

/// What is known of one consumer.
struct Consumer {
    deliveries: Subscriber,
    /// Deliveries that arrived.
    received: u64,
    /// Whether whoever serves it may lag behind the stream's leader.
    may_lag: bool,
}

impl Follower {
    async fn run(mut self, events: &Events) -> Result<()> {
        let mut backoff = Backoff::new(self.source.patience);
        let mut broken_here = 0;
        loop {
            let last = self.last;
            let problem = match self.follow(events, broken_here).await {
                Ok(End::ReaderGone) => return Ok(()),
                Ok(End::Broken) => None,
                Err(error) if error.kind() == ErrorKind::Unavailable => Some(error),
                Err(error) => return Err(error),
            };
            broken_here += 1;
            if self.last > last {
                backoff = Backoff::new(self.source.patience);
                broken_here = 0;
            }
            if let Some(error) = problem {
                tracing::warn!(bucket = %self.source.bucket, %error, "following is broken off; it is tried again");
                // Whoever waits for what is there must hear of it; whoever waits for what comes can
                // wait longer.
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
    async fn follow(&mut self, events: &Events, broken_here: u32) -> Result<End> {
        let stream = self.source.buckets.look(&self.source.bucket).await?;
        if matches!(self.start, Start::AfterAny) && stream.cached_info().state.last_sequence <= self.last {
            return Ok(if self.tell_caught_up(events).await { End::Broken } else { End::ReaderGone });
        }
        let stream = self.check_history(stream).await?;
        // Asked of the leader after the watch began: what was acknowledged before that stands no
        // later.
        self.goal.get_or_insert(stream.cached_info().state.last_sequence);
        if broken_here >= STUMBLES && !self.step_over(events).await? {
            return Ok(End::ReaderGone);
        }
        let client = self.source.context.client();
        let inbox = client.new_inbox();
        // Before the consumer is made: its first delivery needs somebody who listens.
        let deliveries =
            client.subscribe(inbox.clone()).await.map_err(|error| unavailable("following a bucket", error))?;
        let made = self.make_consumer(&stream, inbox).await?;
        let made = made.cached_info();
        let mut consumer = Consumer { deliveries, received: 0, may_lag: stream.cached_info().config.num_replicas > 1 };
        let nothing_waits = made.num_pending == 0 && made.delivered.consumer_sequence == 0;
        if nothing_waits && !self.consider_caught_up(&consumer, Evidence::NothingPending, events).await? {
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

    /// Takes what a consumer sent; returns how the consumer ends if it does.
    async fn take(&mut self, message: Message, consumer: &mut Consumer, events: &Events) -> Result<Option<End>> {
        let goes_on = match delivery::decode(&self.subjects(), &message) {
            Delivery::Stored { place, .. } if place.consumer != consumer.received + 1 => return Ok(Some(End::Broken)),
            Delivery::Stored { place, content } => {
                consumer.received = place.consumer;
                self.tell(content, message.payload, place.stream, events).await
                    && (place.pending > 0
                        || self.consider_caught_up(consumer, Evidence::NothingPending, events).await?)
            }
            Delivery::Heartbeat { delivered, answer_to, is_idle } => {
                if let Some(subject) = answer_to {
                    // An answer that is not sent shows as a consumer that stays silent.
                    let _ = self.source.context.client().publish(subject, Bytes::new()).await;
                }
                if delivered.is_some_and(|delivered| delivered != consumer.received) {
                    return Ok(Some(End::Broken));
                }
                !is_idle || self.consider_caught_up(consumer, Evidence::Idle, events).await?
            }
            Delivery::Stray => {
                self.source.buckets.count_foreign(&self.source.bucket);
                true
            }
        };
        Ok((!goes_on).then_some(End::ReaderGone))
    }

    /// Passes on the message at which consumers break, read by itself from the leader: bytes in the
    /// place of its headers that are none end the connection of a client that they are delivered
    /// to. Returns false when the reader has gone.
    async fn step_over(&mut self, events: &Events) -> Result<bool> {
        let filter = self.filter();
        let Some(message) = self.ask_leader(Wanted::Next(&filter, self.last + 1)).await? else { return Ok(true) };
        let sequence = message.sequence;
        Ok(match leader::take_apart(message) {
            Some(message) => {
                let content = delivery::content(&self.subjects(), &message.subject, Some(&message.headers));
                self.tell(content, message.payload, sequence, events).await
            }
            None => self.tell(Content::Foreign, Bytes::new(), sequence, events).await,
        })
    }

    async fn ask_leader(&self, wanted: Wanted<'_>) -> Result<Option<RawMessage>> {
        leader::read(&self.source.context, &self.source.denials, &self.source.bucket, wanted).await
    }

    /// A stream that was made anew, or whose end stays before what was seen of it, has lost what it
    /// acknowledged. A leader may come to a message a moment after the replica that delivered it.
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
                let message = format!(
                    "bucket {} is not the one that was followed: it went back or was made anew",
                    self.source.bucket
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream = self.source.buckets.look(&self.source.bucket).await?;
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
                ConsumerErrorKind::JetStream(answer) => answered("following a bucket", answer),
                _ => unavailable("following a bucket", error),
            })
        };
        self.source.denials.watch(&[&asked], made).await
    }

    /// Tells that everything older was delivered once that is certain; returns false when the
    /// reader has gone.
    ///
    /// A consumer may be served by a copy that lags behind: what is pending there is no proof.
    /// Delivery past the leader's last sequence is one; so is it when the last message that the
    /// leader has under the prefix was delivered, because what stood behind it when the watch began
    /// was removed.
    async fn consider_caught_up(&mut self, consumer: &Consumer, evidence: Evidence, events: &Events) -> Result<bool> {
        if self.caught_up {
            return Ok(true);
        }
        let passed = |this: &Self| this.goal.is_some_and(|goal| this.last >= goal);
        let certain = passed(self) || (evidence == Evidence::NothingPending && !consumer.may_lag) || {
            let last = self.last_of_leader().await?;
            self.goal = self.goal.map(|goal| goal.min(last));
            passed(self)
        };
        Ok(!certain || self.tell_caught_up(events).await)
    }

    /// The sequence of the last message under the prefix, zero if there is none.
    async fn last_of_leader(&self) -> Result<u64> {
        let filter = self.filter();
        Ok(self.ask_leader(Wanted::Last(&filter)).await?.map_or(0, |message| message.sequence))
    }

    /// Passes a message on if it is a value; returns false when the reader has gone.
    async fn tell(&mut self, content: Content, value: Bytes, sequence: u64, events: &Events) -> bool {
        if sequence <= self.last {
            return true;
        }
        self.last = sequence;
        self.source.buckets.note_seen(&self.source.bucket, sequence);
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

    async fn tell_caught_up(&mut self, events: &Events) -> bool {
        if self.caught_up {
            return true;
        }
        self.caught_up = true;
        events.send(Ok(WatchEvent::CaughtUp)).await.is_ok()
    }

    /// What the subjects of the bucket begin with.
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

/// Why everything older may have been delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// The consumer has nothing to deliver, as whoever serves it sees it at this moment.
    NothingPending,
    /// It has delivered nothing for a while; what was pending may have been removed.
    Idle,
}
