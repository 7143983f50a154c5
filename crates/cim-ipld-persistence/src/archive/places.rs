//! The immutable objects of an archived state, and where a store holds them.

use std::collections::HashSet;

use cim_ipld_backend::Bucket;
use cim_ipld_envelope::{ObjectKind, ObjectNames, labelled_hash};
use cim_ipld_index::PageId;

use crate::Result;
use crate::format::ancestry::{FAN_OUT, NodePlace};
use crate::format::archive::{ArchiveRoot, ArchivedBucket, Place};
use crate::format::manifest::{DeletesEntry, Manifest, SegmentEntry};
use crate::format::snapshot::SnapshotRecord;
use crate::history::manifest::node_name;
use crate::objects::layout::Layout;
use crate::objects::segments::SegmentHandle;
use crate::objects::{Address, kind};

/// A short identification of a place. Among a million places, the probability that two have the
/// same id is less than 2^-88.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlaceId(u128);

impl PlaceId {
    pub(super) fn of(bucket: ArchivedBucket, key: &str) -> Self {
        let hash = labelled_hash("cim/v1/place", &[&[bucket as u8], key.as_bytes()]);
        Self(u128::from_le_bytes(*hash.first_chunk().expect("16 of 32 bytes")))
    }
}

impl ArchivedBucket {
    pub(super) const ALL: [Self; 4] = [Self::Text, Self::Tag, Self::Type, Self::Metadata];

    pub(crate) fn of(self, layout: &Layout) -> &Bucket {
        match self {
            Self::Text => &layout.text,
            Self::Tag => &layout.tag,
            Self::Type => &layout.content_type,
            Self::Metadata => &layout.metadata,
        }
    }

    fn holding(layout: &Layout, page: PageId) -> Self {
        let bucket = layout.objects(page.class.sub_index());
        Self::ALL.into_iter().find(|archived| archived.of(layout) == bucket).unwrap_or(Self::Metadata)
    }
}

impl Place {
    pub(crate) fn address<'a>(&'a self, layout: &'a Layout) -> Address<'a> {
        Address {
            bucket: self.bucket.of(layout),
            kind: ObjectKind(self.kind),
            name: &self.key,
            generation: self.generation,
        }
    }

    pub(crate) fn id(&self) -> PlaceId {
        PlaceId::of(self.bucket, &self.key)
    }
}

/// The objects that an archived state consists of besides its root block: the segments of the state
/// and of the archived snapshots, their deletes, and the ancestry of the manifest.
pub(crate) struct Places<'a> {
    layout: &'a Layout,
    segments: Vec<SegmentHandle>,
    deletes: Vec<DeletesEntry>,
    generation: u64,
    node_names: ObjectNames,
}

impl<'a> Places<'a> {
    pub(crate) fn new(layout: &'a Layout, root: &ArchiveRoot, manifest: &Manifest) -> Result<Self> {
        let mut places = Self {
            layout,
            segments: Vec::new(),
            deletes: Vec::new(),
            generation: manifest.generation,
            node_names: manifest.names_secret.names(),
        };
        let (mut ids, mut secrets) = (HashSet::new(), HashSet::new());
        let mut add = |entries: Vec<SegmentEntry>| {
            for entry in entries {
                let new_deletes = entry.deletes.clone().filter(|deletes| secrets.insert(deletes.secret));
                places.deletes.extend(new_deletes);
                if ids.insert((entry.id, entry.secret)) {
                    places.segments.push(SegmentHandle::new(entry));
                }
            }
        };
        add(root.segments.clone());
        for snapshot in &root.snapshots {
            add(SnapshotRecord::from_bytes(&snapshot.record)?.segments);
        }
        Ok(places)
    }

    /// Returns all places, lazily.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Place>> + Send + '_ {
        let segments = self.segments.iter().flat_map(|segment| self.segment(segment));
        let deletes = self.deletes.iter().flat_map(|deletes| match deletes.chunked().keys() {
            Ok(keys) => keys.into_iter().map(|key| Ok(chunk(kind::DELETES, key.as_str()))).collect(),
            Err(error) => vec![Err(error)],
        });
        segments.chain(deletes).chain(self.nodes())
    }

    fn segment<'b>(&'b self, segment: &'b SegmentHandle) -> impl Iterator<Item = Result<Place>> + Send + 'b {
        let pages = segment.pages().map(move |page| {
            let page = page?;
            Ok(Place {
                bucket: ArchivedBucket::holding(self.layout, page),
                kind: ObjectKind::PAGE.0,
                generation: u64::from(page.class.code()) << 32 | u64::from(page.ordinal),
                key: segment.page_name(page),
            })
        });
        let tables = (0..segment.table_chunks()).map(|number| {
            Ok(Place { generation: u64::from(number), ..chunk(kind::PAGE_DIGESTS, &segment.table_name(number)) })
        });
        pages.chain(tables)
    }

    /// Returns the full nodes of the ancestry of the manifest.
    fn nodes(&self) -> impl Iterator<Item = Result<Place>> + Send + '_ {
        let ancestors = self.generation - 1;
        let levels = (1_usize..).map_while(move |level| {
            let covered = (FAN_OUT as u64).checked_pow(u32::try_from(level).ok()?)?;
            let nodes = ancestors / covered;
            (nodes > 0).then_some((level, nodes))
        });
        levels
            .flat_map(|(level, nodes)| (0..nodes).map(move |index| NodePlace { level, index }))
            .map(|place| Ok(chunk(kind::ANCESTRY, &node_name(&self.node_names, place))))
    }
}

fn chunk(kind: ObjectKind, key: &str) -> Place {
    Place { bucket: ArchivedBucket::Metadata, kind: kind.0, generation: 0, key: key.to_owned() }
}
