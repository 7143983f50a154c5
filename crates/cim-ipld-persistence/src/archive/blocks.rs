//! Stores the blocks of archives under the keys of their objects.

use std::collections::HashSet;

use bytes::Bytes;
use cim_ipld_backend::Precondition;
use futures::stream::{self, TryStreamExt};
use tokio::io::AsyncRead;

use super::ImportReport;
use super::errors::{CHOOSE_EMPTY, incomplete};
use super::places::PlaceId;
use super::reader::ArchiveReader;
use crate::format::archive::Place;
use crate::objects::{Address, Objects};
use crate::{Error, ErrorKind, Result};

/// Stores the blocks of archives.
pub(super) struct Storing<'a> {
    /// The objects of the exported index, under the bucket names that it had.
    pub(super) source: &'a Objects,
    /// The objects of the new index, under its own bucket names.
    pub(super) objects: &'a Objects,
    /// The places for which the store holds the block.
    pub(super) stored: &'a mut HashSet<PlaceId>,
    /// Whether an interrupted import may have stored blocks.
    pub(super) is_resumed: bool,
    pub(super) report: &'a mut ImportReport,
}

impl Storing<'_> {
    /// Stores the blocks of an archive, or those of them that are in `wanted`.
    pub(super) async fn blocks<R: AsyncRead + Unpin>(
        &mut self,
        archive: &mut ArchiveReader<R>,
        wanted: Option<&HashSet<PlaceId>>,
    ) -> Result<()> {
        let (source, objects, is_resumed) = (self.source, self.objects, self.is_resumed);
        let done = &mut *self.stored;
        let blocks = stream::try_unfold(archive, |archive| async move {
            Ok::<_, Error>(archive.next().await?.map(|block| (block, archive)))
        });
        let wanted = blocks.try_filter(move |(place, _): &(Place, Bytes)| {
            let id = place.id();
            std::future::ready(wanted.is_none_or(|wanted| wanted.contains(&id)) && done.insert(id))
        });
        let mut stored = std::pin::pin!(
            wanted
                .map_ok(|(place, block)| store(source, objects, is_resumed, place, block))
                .try_buffer_unordered(objects.parallel_transfers)
        );
        while let Some(bytes) = stored.try_next().await? {
            match bytes {
                Some(bytes) => {
                    self.report.blocks += 1;
                    self.report.bytes += bytes;
                }
                None => self.report.present_blocks += 1,
            }
        }
        Ok(())
    }
}

/// Checks that a block opens at its place, and stores it. Returns the number of bytes stored, or
/// `None` if the store already holds it.
async fn store(
    source: &Objects,
    objects: &Objects,
    is_resumed: bool,
    place: Place,
    block: Bytes,
) -> Result<Option<u64>> {
    let (from, to) = (place.address(&source.layout), place.address(&objects.layout));
    let envelope = &objects.root().envelope;
    let content = envelope.open(&from.context(), &block).map_err(|error| match Error::from(error) {
        error if error.kind() == ErrorKind::Damaged => incomplete(&format!("{from} cannot be decrypted")),
        error => error,
    })?;
    if is_resumed && let Some(there) = objects.read(&to).await? {
        return check_equal(objects, &to, there.value, &content).map(|()| None);
    }
    // The names of the buckets are a part of what a sealed object is bound to.
    let sealed = match from.bucket == to.bucket {
        true => block,
        false => envelope.reseal(&to.context(), envelope, &from.context(), &block)?,
    };
    let limit = objects.backend.limits().max_value_bytes;
    if sealed.len() > limit {
        let message = format!("the store accepts values of at most {limit} bytes, but {to} has {}", sealed.len());
        return Err(Error::new(ErrorKind::Incompatible, message));
    }
    let bytes = sealed.len() as u64;
    Ok(put_once(objects, &to, sealed, &content).await?.then_some(bytes))
}

/// Puts a sealed object, unless the store already holds one with the same content. Returns whether
/// it was put.
pub(super) async fn put_once(objects: &Objects, address: &Address<'_>, sealed: Bytes, content: &[u8]) -> Result<bool> {
    match objects.write(address.bucket, &address.key()?, sealed, Precondition::Absent).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Conflict => match objects.read(address).await? {
            Some(entry) => check_equal(objects, address, entry.value, content).map(|()| false),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn check_equal(objects: &Objects, address: &Address<'_>, there: Bytes, content: &[u8]) -> Result<()> {
    if objects.open(address, there).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let message = format!("{address} exists already and differs from the object in the archive");
    Err(Error::new(ErrorKind::Damaged, message).with_hint(CHOOSE_EMPTY))
}
