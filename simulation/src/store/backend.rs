//! The backend implementation of a client.

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Durability, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits, Precondition, Result,
    Revision, WatchStream,
};

use super::client::{Client, Lie};
use super::ids::{BranchId, ClientId};
use super::stream;
use super::world::World;

const MAX_VALUE_BYTES: usize = 1 << 20;
const PREFERRED_VALUE_BYTES: usize = 256 << 10;

#[async_trait]
impl Backend for Client {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        let what = format!("create {bucket}");
        let bucket = bucket.clone();
        let create = move |world: &mut World, id: ClientId| {
            world.branch_mut(id).create(&bucket);
            Ok(())
        };
        self.write(what, create, |_, _, _| (), |()| "created".to_owned()).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        let what = format!("get {bucket} {key}");
        self.begin(&what).await?;
        let found = {
            let mut world = self.shared.lock();
            let truth = world.branch(self.id).get(bucket, key);
            truth.map(|truth| world.lie_about(self.id, bucket, key, truth))
        };
        self.travel().await;
        if let Ok(Some(entry)) = &found {
            self.has_seen(bucket, entry.revision);
        }
        self.answer(&what, found, |found| match found {
            Some(entry) => format!("{} bytes at {}", entry.value.len(), entry.revision),
            None => "nothing".to_owned(),
        })
        .await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        if value.len() > MAX_VALUE_BYTES {
            let message = format!("a value of {} bytes is over the limit of {MAX_VALUE_BYTES}", value.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let what = format!("put {bucket} {key} {} bytes when {precondition:?}", value.len());
        let (named, to, key) = (bucket.clone(), bucket.clone(), key.clone());
        let (dropped, dropped_key) = (value.clone(), key.clone());
        let land = move |world: &mut World, id: ClientId| {
            let branch = BranchId(world.clients[id.0].branch);
            world.land(branch, &to, &key, &value, &precondition)
        };
        let lie = move |world: &mut World, id: ClientId, lie: Lie| {
            if let Lie::Dropped = lie {
                // Hidden from every client now, and available for a replay later.
                world.archive(&named, &dropped_key, &dropped);
            }
            world.false_revision(id, &named)
        };
        let seen = self.last_seen(bucket);
        let revision = self.write(what, land, lie, Revision::to_string).await?;
        if revision <= seen {
            let message = format!("{bucket} acknowledged with {revision} after {seen} had been seen");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.has_seen(bucket, revision);
        Ok(revision)
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        let what = format!("delete {bucket} {keys:?}");
        let (bucket, keys) = (bucket.clone(), keys.to_vec());
        let remove = move |world: &mut World, id: ClientId| {
            let is_partial = world.random.happens(world.faults.partial_delete);
            let removed = if is_partial { world.random.index(keys.len()) } else { keys.len() };
            for key in &keys[..removed] {
                world.branch_mut(id).remove(&bucket, key)?;
            }
            world.branch(id).tail(&bucket)?;
            if is_partial {
                let message = format!("the simulated store removed {removed} of {} keys", keys.len());
                return Err(Error::new(ErrorKind::OutcomeUnknown, message));
            }
            Ok(())
        };
        self.write(what, remove, |_, _, _| (), |()| "removed".to_owned()).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        stream::scan(self.clone(), bucket.clone(), prefix.clone(), after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        stream::watch(self.clone(), bucket.clone(), prefix.clone(), after)
    }

    fn limits(&self) -> Limits {
        Limits {
            max_value_bytes: MAX_VALUE_BYTES,
            preferred_value_bytes: PREFERRED_VALUE_BYTES,
            durability: Durability::PowerLoss,
        }
    }
}
