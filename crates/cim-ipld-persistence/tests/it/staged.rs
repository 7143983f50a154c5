//! A store for which a test scripts the response to each call.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits, Precondition, Result, Revision,
    WatchStream,
};
use tokio::sync::watch;

use crate::hand::Hand;

/// A call to the store.
pub(crate) enum Call<'a> {
    Get(&'a Key),
    Put(&'a Key, &'a Bytes),
    Delete(&'a [Key]),
}

/// The response to a call.
pub(crate) enum Act {
    Pass,
    /// The call waits until [`Staged::release`].
    Hold,
    Fail(ErrorKind),
    /// A read returns this entry.
    Find(Option<Entry>),
}

type Script = Box<dyn FnMut(&Call<'_>) -> Act + Send>;

#[derive(Clone)]
pub(crate) struct Staged {
    inner: Hand,
    script: Arc<Mutex<Script>>,
    released: watch::Sender<bool>,
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").finish_non_exhaustive()
    }
}

impl Staged {
    /// Creates a store that passes every call on until it is given a script.
    pub(crate) fn over(hand: &Hand) -> Self {
        let (released, _) = watch::channel(false);
        Self { inner: hand.clone(), script: Arc::new(Mutex::new(Box::new(|_| Act::Pass))), released }
    }

    pub(crate) fn store(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    /// Sets the script that decides the response to each later call.
    pub(crate) fn play(&self, script: impl FnMut(&Call<'_>) -> Act + Send + 'static) {
        *self.script.lock().expect("unpoisoned") = Box::new(script);
    }

    /// Releases the waiting calls, and passes every later call on.
    pub(crate) fn release(&self) {
        self.play(|_| Act::Pass);
        self.released.send_replace(true);
    }

    async fn act(&self, call: Call<'_>) -> Result<Option<Option<Entry>>> {
        let act = (self.script.lock().expect("unpoisoned"))(&call);
        match act {
            Act::Pass => Ok(None),
            Act::Hold => {
                let _ = self.released.subscribe().wait_for(|released| *released).await;
                Ok(None)
            }
            Act::Fail(kind) => Err(Error::new(kind, "the script of the test returns this error")),
            Act::Find(entry) => Ok(Some(entry)),
        }
    }
}

#[async_trait]
impl Backend for Staged {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.inner.0.create(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        match self.act(Call::Get(key)).await? {
            Some(found) => Ok(found),
            None => self.inner.0.get(bucket, key).await,
        }
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        self.act(Call::Put(key, &value)).await?;
        self.inner.0.put(bucket, key, value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        self.act(Call::Delete(keys)).await?;
        self.inner.0.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.inner.0.scan(bucket, prefix, after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        self.inner.0.watch(bucket, prefix, after)
    }

    fn limits(&self) -> Limits {
        self.inner.0.limits()
    }
}
