//! The names of the five buckets of an index and of the keys of its catalog.

use cim_ipld_backend::{Bucket, Key, KeyPrefix};
use cim_ipld_index::SubIndex;

use crate::format::manifest::SnapshotEntry;
use crate::format::writer_id::WriterId;
use crate::{Error, ErrorKind, Result};

/// The name of one of several indexes in a store. The default index has none.
///
/// ```
/// use cim_ipld_persistence::IndexName;
///
/// assert_eq!(IndexName::new("photos")?.as_str(), Some("photos"));
/// assert_eq!(IndexName::default().as_str(), None);
/// assert!(IndexName::new("my photos").is_err());
/// # Ok::<(), cim_ipld_persistence::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexName(Option<String>);

impl IndexName {
    /// Parses a name of 1 to 64 characters from `A-Z a-z 0-9 - _`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for any other text.
    pub fn new(name: &str) -> Result<Self> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(valid) {
            let message = format!("{name:?} is not an index name: expected 1 to 64 characters from A-Z a-z 0-9 - _");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(Self(Some(name.to_owned())))
    }

    /// Returns the buckets of the index, the catalog last.
    ///
    /// ```
    /// use cim_ipld_persistence::IndexName;
    ///
    /// let buckets = IndexName::new("photos")?.buckets();
    /// assert_eq!(buckets[4].name(), "photos_catalog_v1");
    /// # Ok::<(), cim_ipld_persistence::Error>(())
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "every index name is a part of valid bucket names")]
    pub fn buckets(&self) -> [Bucket; 5] {
        Layout::new(self).expect("every index name is a part of valid bucket names").buckets().map(Clone::clone)
    }

    /// Returns the index to which a bucket of this name belongs, or `None` if it is not one of an
    /// index.
    ///
    /// ```
    /// use cim_ipld_persistence::IndexName;
    ///
    /// assert_eq!(IndexName::of_bucket("catalog_v1"), Some(IndexName::default()));
    /// assert_eq!(IndexName::of_bucket("photos_catalog_v1"), Some(IndexName::new("photos")?));
    /// assert_eq!(IndexName::of_bucket("photos"), None);
    /// # Ok::<(), cim_ipld_persistence::Error>(())
    /// ```
    #[must_use]
    pub fn of_bucket(bucket: &str) -> Option<Self> {
        Self::default().buckets().iter().find_map(|own| match bucket.strip_suffix(own.name())? {
            "" => Some(Self::default()),
            name => Self::new(name.strip_suffix('_')?).ok(),
        })
    }

    /// Returns the name, or `None` for the default index.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// The buckets and catalog keys of one index.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    index_name: IndexName,
    pub(crate) text: Bucket,
    pub(crate) tag: Bucket,
    pub(crate) content_type: Bucket,
    pub(crate) metadata: Bucket,
    pub(crate) catalog: Bucket,
    /// Holds the keyset, or the marker of a plaintext index. It is opened before any other object.
    pub(crate) root: Key,
    pub(crate) manifest: Key,
    pub(crate) journal: KeyPrefix,
    pub(crate) snapshots: KeyPrefix,
}

/// The number of age marks in each bucket.
pub(crate) const AGE_MARKS: u8 = 2;

impl Layout {
    pub(crate) fn new(name: &IndexName) -> Result<Self> {
        let full = |bucket: &str| match name.as_str() {
            Some(name) => format!("{name}_{bucket}"),
            None => bucket.to_owned(),
        };
        Ok(Self {
            index_name: name.clone(),
            text: Bucket::objects(&full("text_index_v1"))?,
            tag: Bucket::objects(&full("tag_index_v1"))?,
            content_type: Bucket::objects(&full("type_index_v1"))?,
            metadata: Bucket::objects(&full("metadata_cache_v1"))?,
            catalog: Bucket::log(&full("catalog_v1"))?,
            root: Key::new("keyset")?,
            manifest: Key::new("manifest")?,
            journal: KeyPrefix::below("journal")?,
            snapshots: KeyPrefix::below("snapshot")?,
        })
    }

    /// Returns the name of the index.
    pub(crate) fn name(&self) -> &IndexName {
        &self.index_name
    }

    /// Returns the name of the index, or `None` for the default index.
    pub(crate) fn index_name(&self) -> Option<&str> {
        self.index_name.as_str()
    }

    /// Returns all five, the catalog last: if the catalog exists, the others do too.
    pub(crate) fn buckets(&self) -> [&Bucket; 5] {
        [&self.text, &self.tag, &self.content_type, &self.metadata, &self.catalog]
    }

    pub(crate) fn objects(&self, sub_index: SubIndex) -> &Bucket {
        match sub_index {
            SubIndex::Text => &self.text,
            SubIndex::Tag => &self.tag,
            SubIndex::Type => &self.content_type,
            // Pages of any other sub-index describe documents.
            _ => &self.metadata,
        }
    }

    /// Returns the key of record `sequence` of writer `writer`, which no other writer uses.
    pub(crate) fn record(writer: WriterId, sequence: u64) -> Result<Key> {
        Ok(Key::new(&format!("journal.{writer}.{sequence}"))?)
    }

    /// Returns the writer and the sequence number of a journal key, or `None` if `key` is not one.
    pub(crate) fn parse_record_key(key: &Key) -> Option<(WriterId, u64)> {
        let (writer, sequence) = key.as_str().strip_prefix("journal.")?.split_once('.')?;
        let parsed = (WriterId::from_hex(writer)?, sequence.parse().ok()?);
        // Accepts only the canonical form that writers use.
        (Self::record(parsed.0, parsed.1).as_ref().ok() == Some(key)).then_some(parsed)
    }

    /// Returns the key of an age mark in a bucket. In the catalog, it is among the snapshots, which
    /// no follower examines.
    pub(crate) fn age_mark(&self, bucket: &Bucket, number: u8) -> Result<Key> {
        let prefix = if *bucket == self.catalog { "snapshot." } else { "" };
        Ok(Key::new(&format!("{prefix}age.{number}"))?)
    }

    pub(crate) fn snapshot(entry: &SnapshotEntry) -> Result<Key> {
        Ok(Key::new(&format!("snapshot.{}.{:032x}", entry.hidden_name, u128::from_be_bytes(entry.id)))?)
    }
}
