//! Scans and watches, with lagging batches, false claims to have caught up, and interruptions.

use std::collections::VecDeque;

use cim_ipld_backend::{
    Bucket, EntryStream, Error, ErrorKind, KeyPrefix, KeyedEntry, Result, Revision, WatchEvent, WatchStream,
};
use futures::stream::{self, StreamExt};
use tokio::time::sleep;

use super::client::Client;

/// Streams the entries after a revision.
pub(super) fn scan(client: Client, bucket: Bucket, prefix: KeyPrefix, after: Revision) -> EntryStream {
    let follower = Follower::new(client, bucket, prefix, after);
    stream::unfold(follower, |mut follower| async move {
        match follower.next().await? {
            Ok(WatchEvent::Entry(entry)) => Some((Ok(entry), follower)),
            Ok(_) => None,
            Err(error) => Some((Err(error), follower)),
        }
    })
    .boxed()
}

/// Streams the entries after a revision, then `CaughtUp`, then new entries.
pub(super) fn watch(client: Client, bucket: Bucket, prefix: KeyPrefix, after: Revision) -> WatchStream {
    let follower = Follower::new(client, bucket, prefix, after);
    stream::unfold(follower, |mut follower| async move { follower.next().await.map(|event| (event, follower)) }).boxed()
}

struct Follower {
    client: Client,
    bucket: Bucket,
    prefix: KeyPrefix,
    after: Revision,
    /// The incarnation of the bucket that it follows, once it has started.
    incarnation: Option<u64>,
    /// The last revision to deliver before it reports that it has caught up; `None` once it has
    /// reported that.
    tail: Option<u64>,
    delivered: VecDeque<KeyedEntry>,
    /// Whether it ends with an error after the delivered entries.
    breaks: bool,
    has_ended: bool,
}

impl Follower {
    fn new(client: Client, bucket: Bucket, prefix: KeyPrefix, after: Revision) -> Self {
        let delivered = VecDeque::new();
        Self {
            client,
            bucket,
            prefix,
            after,
            incarnation: None,
            tail: None,
            delivered,
            breaks: false,
            has_ended: false,
        }
    }

    async fn next(&mut self) -> Option<Result<WatchEvent>> {
        if self.has_ended {
            return None;
        }
        let event = self.event().await;
        self.has_ended = event.is_err();
        self.client.awake().await;
        let what = match &event {
            Ok(WatchEvent::Entry(entry)) => {
                format!("{} {} bytes at {}", entry.key, entry.entry.value.len(), entry.entry.revision)
            }
            Ok(_) => "caught up".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        self.client.shared.lock().note(format_args!("{} follows {}: {what}", self.client.id, self.bucket));
        Some(event)
    }

    async fn event(&mut self) -> Result<WatchEvent> {
        if self.incarnation.is_none() {
            self.open().await?;
        }
        loop {
            self.client.awake().await;
            let has_passed = |entry: &KeyedEntry, tail| entry.entry.revision.number() > tail;
            if let (Some(entry), Some(tail)) = (self.delivered.front(), self.tail)
                && has_passed(entry, tail)
            {
                self.tail = None;
                return Ok(WatchEvent::CaughtUp);
            }
            if let Some(entry) = self.delivered.pop_front() {
                return Ok(WatchEvent::Entry(entry));
            }
            if self.breaks {
                return Err(unavailable("the simulated store ended the stream"));
            }
            let shared = std::sync::Arc::clone(&self.client.shared);
            let changed = shared.changed.notified();
            if self.read().await? {
                continue;
            }
            if self.tail.take().is_some() {
                return Ok(WatchEvent::CaughtUp);
            }
            changed.await;
        }
    }

    async fn open(&mut self) -> Result<()> {
        self.client.begin(&format!("follow {} after {}", self.bucket, self.after)).await?;
        let mut guard = self.client.shared.lock();
        let world = &mut *guard;
        let tail = world.branch(self.client.id).tail(&self.bucket)?;
        let is_early = world.random.happens(world.faults.lies.early_caught_up);
        let behind = if is_early { world.random.below(tail.last.saturating_sub(self.after.number()) + 1) } else { 0 };
        self.incarnation = Some(tail.incarnation);
        self.tail = Some(tail.last - behind);
        Ok(())
    }

    /// Fetches the next batch, immediately or after a lag. Returns whether there was one.
    async fn read(&mut self) -> Result<bool> {
        if self.batch()?.is_empty() {
            return Ok(false);
        }
        let lag = {
            let mut guard = self.client.shared.lock();
            let world = &mut *guard;
            let lags = world.random.happens(world.faults.lagging_watch);
            lags.then(|| (world.random.within(&world.faults.lag), world.random.below(2) == 1))
        };
        let mut batch = self.batch()?;
        if let Some((time, is_read_late)) = lag {
            sleep(time).await;
            // If the batch is read after the lag, entries that were replaced or removed during the
            // lag are never delivered.
            if is_read_late {
                batch = self.batch()?;
            }
        }
        let Some(last) = batch.last().map(|entry| entry.entry.revision) else { return Ok(true) };
        self.after = last;
        self.client.has_seen(&self.bucket, last);
        let mut guard = self.client.shared.lock();
        let world = &mut *guard;
        if world.random.happens(world.faults.broken_stream) {
            self.breaks = true;
            batch.truncate(world.random.index(batch.len()));
        }
        self.delivered.extend(world.lie_in(self.client.id, &self.bucket, &self.prefix, batch));
        Ok(true)
    }

    fn batch(&self) -> Result<Vec<KeyedEntry>> {
        let world = self.client.shared.lock();
        let branch = world.branch(self.client.id);
        if Some(branch.tail(&self.bucket)?.incarnation) != self.incarnation {
            return Err(Error::new(ErrorKind::Corrupt, "the bucket was recreated"));
        }
        branch.after(&self.bucket, &self.prefix, self.after)
    }
}

fn unavailable(message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}
