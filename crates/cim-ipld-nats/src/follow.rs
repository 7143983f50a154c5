//! Reads a bucket in its order: everything so far, and then what comes.
//!
//! Each delivery carries its stream sequence; the ordered consumer recreates itself after a gap. When it ends or misses its
//! heartbeats the stream is looked at again: one that was recreated has lower sequences and cannot be followed on.

use std::time::Duration;

use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::{self};
use cim_ipld_backend::{
    Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Result, Revision, WatchEvent, WatchStream,
};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::backend::find_stream;
use crate::error::unavailable;

/// Entries read ahead of whoever reads the stream: bounds the memory of a slow reader.
const READ_AHEAD: usize = 64;

pub(crate) fn watch(context: jetstream::Context, bucket: Bucket, prefix: KeyPrefix, after: Revision) -> WatchStream {
    let (events, received) = mpsc::channel(READ_AHEAD);
    let task = tokio::spawn(async move {
        let follower = Follower { context, bucket, prefix, last: after.number() };
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

pub(crate) fn scan(context: jetstream::Context, bucket: Bucket, prefix: KeyPrefix, after: Revision) -> EntryStream {
    watch(context, bucket, prefix, after)
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
    context: jetstream::Context,
    bucket: Bucket,
    prefix: KeyPrefix,
    /// The last sequence delivered.
    last: u64,
}

type Events = mpsc::Sender<Result<WatchEvent>>;

impl Follower {
    async fn run(mut self, events: &Events) -> Result<()> {
        let stream = find_stream(&self.context, &self.bucket).await?;
        let created = stream.cached_info().created;
        let mut caught_up = false;
        let mut pause = Duration::from_millis(50);
        loop {
            let mut stream = find_stream(&self.context, &self.bucket).await?;
            let info = stream.info().await.map_err(|error| unavailable("looking at a bucket", error))?;
            if info.created != created || info.state.last_sequence < self.last {
                let message =
                    format!("bucket {} is not the one that was followed: it went back or was made anew", self.bucket);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            if self.follow_once(&stream, &mut caught_up, events).await?.is_gone() {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Follows with one consumer until it fails or the reader has gone.
    async fn follow_once(
        &mut self,
        stream: &jetstream::stream::Stream,
        caught_up: &mut bool,
        events: &Events,
    ) -> Result<Reader> {
        let mut consumer = stream
            .create_consumer(OrderedConfig {
                deliver_subject: self.context.client().new_inbox(),
                filter_subject: self.filter(),
                replay_policy: ReplayPolicy::Instant,
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last + 1 },
                ..OrderedConfig::default()
            })
            .await
            .map_err(|error| unavailable("following a bucket", error))?;
        let pending = consumer.info().await.map_err(|error| unavailable("following a bucket", error))?.num_pending;
        if pending == 0 && !*caught_up && self.is_empty_after(stream).await? {
            *caught_up = true;
            if events.send(Ok(WatchEvent::CaughtUp)).await.is_err() {
                return Ok(Reader::Gone);
            }
        }
        let mut messages = consumer.messages().await.map_err(|error| unavailable("following a bucket", error))?;
        while let Some(message) = messages.next().await {
            let Ok(message) = message else { return Ok(Reader::There) };
            let info = message.info().map_err(|_| Error::new(ErrorKind::Corrupt, "a message without its sequence"))?;
            let (sequence, pending) = (info.stream_sequence, info.pending);
            if sequence > self.last {
                self.last = sequence;
                let entry = self.entry(message.subject.as_str(), message.payload.clone(), sequence)?;
                if events.send(Ok(WatchEvent::Entry(entry))).await.is_err() {
                    return Ok(Reader::Gone);
                }
            }
            if pending == 0 && !*caught_up {
                *caught_up = true;
                if events.send(Ok(WatchEvent::CaughtUp)).await.is_err() {
                    return Ok(Reader::Gone);
                }
            }
        }
        Ok(Reader::There)
    }

    /// Whether nothing that the filter lets through stands after the last sequence delivered.
    async fn is_empty_after(&self, stream: &jetstream::stream::Stream) -> Result<bool> {
        // The consumer's own count was taken before its first delivery: none pending means none there or some on their
        // way, which the first and last sequence of the stream tell apart well enough to be asked about by subject.
        let found = stream.get_first_raw_message_by_subject(self.filter(), self.last + 1).await;
        match found {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == jetstream::stream::LastRawMessageErrorKind::NoMessageFound => Ok(true),
            Err(error) => Err(unavailable("following a bucket", error)),
        }
    }

    fn filter(&self) -> String {
        match self.prefix.tokens() {
            Some(tokens) => format!("$KV.{}.{tokens}.>", self.bucket),
            None => format!("$KV.{}.>", self.bucket),
        }
    }

    fn entry(&self, subject: &str, value: bytes::Bytes, sequence: u64) -> Result<KeyedEntry> {
        let bucket = format!("$KV.{}.", self.bucket);
        let key = subject.strip_prefix(&bucket).map(Key::new);
        let Some(Ok(key)) = key else {
            return Err(Error::new(ErrorKind::Corrupt, format!("bucket {} holds a key that is none", self.bucket)));
        };
        Ok(KeyedEntry { key, entry: Entry { value, revision: Revision::new(sequence) } })
    }
}

/// Whether anybody still reads.
enum Reader {
    There,
    Gone,
}

impl Reader {
    fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}
