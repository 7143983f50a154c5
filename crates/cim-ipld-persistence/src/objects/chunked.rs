//! Content that may be larger than a value of the store: cut into chunks under names of one secret, authenticated as a whole
//! by a digest that whoever names it keeps.

use bytes::Bytes;
use cim_ipld_backend::{Key, Precondition};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::layout::Layout;
use super::{Address, Objects};
use crate::{Error, ErrorKind, Result};

const CHUNK_BYTES: usize = 128 << 10;

/// Names the chunks of one content in the metadata bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked {
    pub(crate) kind: ObjectKind,
    pub(crate) secret: [u8; 32],
    pub(crate) chunks: u32,
}

impl Chunked {
    pub(crate) fn keys(&self) -> Result<Vec<Key>> {
        self.names().map(|name| Ok(Key::new(&name)?)).collect()
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        let names = ObjectNames::from_secret(self.secret);
        (0..self.chunks).map(move |chunk| names.name(0, chunk))
    }

    fn address<'a>(&self, layout: &'a Layout, name: &'a str) -> Address<'a> {
        Address { bucket: &layout.metadata, kind: self.kind, name, generation: 0 }
    }
}

impl Objects {
    /// Stores `content` under a new secret: whoever else stores the like at the same moment never touches it.
    pub(crate) async fn store_chunked(
        &self,
        kind: ObjectKind,
        content: &[u8],
        options: &SealOptions,
    ) -> Result<Chunked> {
        let limit = self.backend.limits().max_value_bytes / 2;
        let parts: Vec<&[u8]> = content.chunks(CHUNK_BYTES.min(limit.max(1))).collect();
        let chunks = u32::try_from(parts.len())
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "content of this size cannot be stored"))?;
        let chunked = Chunked { kind, secret: self.environment.random(), chunks };
        stream::iter(chunked.names().zip(parts).map(Ok))
            .try_for_each_concurrent(4, |(name, part)| async move {
                let sealed = self.seal(&chunked.address(&self.layout, &name), part, options)?;
                let key = Key::new(&name)?;
                self.write(&self.layout.metadata, &key, sealed, Precondition::Absent).await.map(drop)
            })
            .await?;
        Ok(chunked)
    }

    /// Reads content back. A count that a hostile record made up costs no more than the chunks that are there.
    pub(crate) async fn fetch_chunked(&self, chunked: &Chunked) -> Result<Vec<u8>> {
        let chunks: Vec<Bytes> = stream::iter(chunked.names())
            .map(|name| async move { self.fetch(&chunked.address(&self.layout, &name)).await })
            .buffered(self.parallel_transfers)
            .try_collect()
            .await?;
        Ok(chunks.concat())
    }
}
