//! Content that may be larger than a value of the store. It is split into chunks named by one
//! secret and authenticated as a whole by a digest, which is stored next to the secret.

use bytes::Bytes;
use cim_ipld_backend::{Key, Precondition};
use cim_ipld_envelope::{ObjectKind, SealOptions};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::layout::Layout;
use super::{Address, Objects};
use crate::format::CHUNK_BYTES;
use crate::format::name_secret::NameSecret;
use crate::{Error, ErrorKind, Result};

/// A reference to chunked content in the metadata bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked {
    pub(crate) kind: ObjectKind,
    pub(crate) secret: NameSecret,
    pub(crate) chunk_count: u32,
}

impl Chunked {
    pub(crate) fn keys(&self) -> Result<Vec<Key>> {
        self.names().map(|name| Ok(Key::new(&name)?)).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = String> + use<> {
        let names = self.secret.names();
        (0..self.chunk_count).map(move |chunk| names.name(0, chunk))
    }

    pub(crate) fn address<'a>(&self, layout: &'a Layout, name: &'a str) -> Address<'a> {
        Address { bucket: &layout.metadata, kind: self.kind, name, generation: 0 }
    }
}

impl Objects {
    /// Stores `content` under a new secret, so that concurrent writers of the same content do not
    /// share objects.
    pub(crate) async fn store_chunked(
        &self,
        kind: ObjectKind,
        content: &[u8],
        options: &SealOptions,
    ) -> Result<Chunked> {
        let limit = self.backend.limits().max_value_bytes / 2;
        let parts: Vec<&[u8]> = content.chunks(CHUNK_BYTES.min(limit.max(1))).collect();
        let chunk_count = u32::try_from(parts.len())
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "the content is too large to be stored in chunks"))?;
        let chunked = Chunked { kind, secret: NameSecret(self.environment.random()), chunk_count };
        stream::iter(chunked.names().zip(parts).map(Ok))
            .try_for_each_concurrent(4, |(name, part)| async move {
                let sealed = self.seal(&chunked.address(&self.layout, &name), part, options)?;
                let key = Key::new(&name)?;
                self.write(&self.layout.metadata, &key, sealed, Precondition::Absent).await.map(drop)
            })
            .await?;
        Ok(chunked)
    }

    /// Reads content back. The cost of a hostile record is bounded by the number of chunks that
    /// exist. A chunk is refused if it decompresses to more than a writer puts into one chunk.
    pub(crate) async fn fetch_chunked(&self, chunked: &Chunked) -> Result<Vec<u8>> {
        let chunks: Vec<Bytes> = stream::iter(chunked.names())
            .map(|name| async move {
                let address = chunked.address(&self.layout, &name);
                let part = self.fetch(&address).await?;
                match part.len() <= CHUNK_BYTES {
                    true => Ok(part),
                    false => {
                        Err(address.damaged(&format!("is larger than the limit of {CHUNK_BYTES} bytes per chunk")))
                    }
                }
            })
            .buffered(self.parallel_transfers)
            .try_collect()
            .await?;
        Ok(chunks.concat())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cim_ipld_backend::{Backend, MemoryBackend, Revision};
    use cim_ipld_envelope::{Compression, Envelope, IndexId};

    use super::*;
    use crate::objects::{Root, kind};
    use crate::{IndexName, Settings};

    /// A holder of the key could store compressed chunks like these to exhaust memory.
    #[tokio::test]
    async fn refuses_a_chunk_that_is_larger_than_those_of_a_writer() {
        let backend = Arc::new(MemoryBackend::new());
        let layout = Layout::new(&IndexName::default()).expect("a layout");
        backend.create(&layout.metadata).await.expect("created");
        let root = Root::new(Envelope::plaintext(IndexId::random()), Revision::ZERO);
        let settings = Settings::default();
        let objects = Objects::new(backend, layout, root, &settings, Default::default(), Default::default());
        let compressed = SealOptions::default().compressed(Compression::default());
        let cases = [(1, true), (CHUNK_BYTES, true), (CHUNK_BYTES + 1, false), (32 << 20, false)];
        for (number, (bytes, is_read)) in cases.into_iter().enumerate() {
            let secret = NameSecret([u8::try_from(number).expect("few"); 32]);
            let chunked = Chunked { kind: kind::WINDOW, secret, chunk_count: 1 };
            let name = chunked.names().next().expect("one");
            let address = chunked.address(&objects.layout, &name);
            let sealed = objects.seal(&address, &vec![0; bytes], &compressed).expect("sealed");
            let key = Key::new(&name).expect("a key");
            objects.write(&objects.layout.metadata, &key, sealed, Precondition::Absent).await.expect("stored");
            let read = objects.fetch_chunked(&chunked).await;
            assert_eq!(read.as_ref().is_ok_and(|read| read.len() == bytes), is_read, "{bytes}");
            assert!(is_read || read.is_err_and(|error| error.kind() == ErrorKind::Damaged), "{bytes}");
        }
    }
}
