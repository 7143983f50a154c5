use std::sync::Arc;

use cim_ipld_backend::{EntryStream, KeyPrefix, Result, Revision, WatchEvent, WatchStream};
use futures::stream::{self, StreamExt};

use crate::blocking::blocking;
use crate::bucket::BucketHandle;
use crate::database::Chunk;
use crate::store::Store;

/// Large enough that switching to a blocking thread costs little compared with the read itself.
const CHUNK_BYTES: usize = 4 << 20;

/// Streams the entries under `prefix` after `after`.
pub(crate) fn scan(store: Arc<Store>, bucket: Arc<BucketHandle>, prefix: KeyPrefix, after: Revision) -> EntryStream {
    let through = *bucket.last.borrow();
    let reader = Reader { store, bucket, prefix, after };
    let chunks = stream::unfold(Some(reader), move |reader| async move {
        let mut reader = reader?;
        match reader.next(through).await {
            Ok(chunk) => Some((
                stream::iter(chunk.entries.into_iter().map(Ok).collect::<Vec<_>>()),
                chunk.more.then_some(reader),
            )),
            Err(error) => Some((stream::iter(vec![Err(error)]), None)),
        }
    });
    chunks.flatten().boxed()
}

/// Streams what [`scan`] would return, then every later write.
pub(crate) fn watch(store: Arc<Store>, bucket: Arc<BucketHandle>, prefix: KeyPrefix, after: Revision) -> WatchStream {
    let mut news = bucket.last.subscribe();
    let tail = *news.borrow_and_update();
    let reader = Reader { store, bucket, prefix, after };
    let chunks = stream::unfold(Some((reader, news, Some(tail))), |watcher| async move {
        let (mut reader, mut news, mut tail) = watcher?;
        // Reads up to the tail first, so that `CaughtUp` separates old entries from new ones.
        let through = match tail {
            Some(tail) => tail,
            None => {
                let seen = news.wait_for(|last| *last > reader.after).await;
                // The sender is owned by the bucket, which the reader keeps alive.
                *seen.ok()?
            }
        };
        let chunk = match reader.next(through).await {
            Ok(chunk) => chunk,
            Err(error) => return Some((stream::iter(vec![Err(error)]), None)),
        };
        let mut events: Vec<Result<WatchEvent>> =
            chunk.entries.into_iter().map(|entry| Ok(WatchEvent::Entry(entry))).collect();
        if !chunk.more && tail.take().is_some() {
            events.push(Ok(WatchEvent::CaughtUp));
        }
        Some((stream::iter(events), Some((reader, news, tail))))
    });
    chunks.flatten().boxed()
}

/// A position in a bucket.
struct Reader {
    store: Arc<Store>,
    bucket: Arc<BucketHandle>,
    prefix: KeyPrefix,
    after: Revision,
}

impl Reader {
    /// Reads the next chunk, up to `through`.
    async fn next(&mut self, through: Revision) -> Result<Chunk> {
        let (store, bucket) = (Arc::clone(&self.store), Arc::clone(&self.bucket));
        let (prefix, after) = (self.prefix.clone(), self.after);
        let chunk = blocking(move || store.read(&bucket, &prefix, after, through, CHUNK_BYTES)).await?;
        self.after = self.after.max(chunk.through);
        Ok(chunk)
    }
}
