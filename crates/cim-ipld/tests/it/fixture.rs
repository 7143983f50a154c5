//! A small library of content, the stores that hold it, and searches in it, shared by the tests.

use std::future::Future;
use std::sync::Arc;

use cim_ipld::backend::{Backend, Bucket, KeyPrefix, KeyedEntry, MemoryBackend, Revision};
use cim_ipld::nats::async_nats;
use cim_ipld::{
    AudioMetadata, Cid, ContentIndex, DocumentMetadata, ImageMetadata, IndexPersistence, IndexPersistenceBuilder,
    Result, SearchQuery, SearchResult, VideoMetadata, content_cid,
};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use tempfile::TempDir;

/// The error type of a test that uses several libraries.
pub(crate) type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// A store that outlives the processes that use it.
pub(crate) enum Place {
    Memory(Arc<MemoryBackend>),
    Folder(TempDir),
    Nats(NatsServer),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    pub(crate) fn folder() -> Self {
        Self::Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn nats() -> Self {
        Self::Nats(NatsServer::start(ServerOptions::default()))
    }

    /// Returns one store of each kind.
    pub(crate) fn all() -> [Self; 3] {
        [Self::memory(), Self::folder(), Self::nats()]
    }

    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Folder(_) => "folder",
            Self::Nats(_) => "nats",
        }
    }

    pub(crate) async fn builder(&self) -> IndexPersistenceBuilder {
        let builder = IndexPersistence::builder();
        match self {
            Self::Memory(backend) => builder.backend(Arc::clone(backend) as Arc<dyn Backend>),
            Self::Folder(folder) => builder.folder(folder.path().join("store")),
            Self::Nats(server) => builder.jetstream(jetstream(server).await),
        }
    }
}

pub(crate) async fn jetstream(server: &NatsServer) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("the server takes a connection"))
}

/// Runs `future` like a process: when this returns, everything that it has started has ended.
pub(crate) fn process<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}

pub(crate) fn index_of(persistence: IndexPersistence) -> ContentIndex {
    ContentIndex::with_persistence(Arc::new(persistence))
}

pub(crate) fn cid(of: &str) -> Cid {
    content_cid(of.as_bytes())
}

pub(crate) fn tagged(tags: &[&str]) -> DocumentMetadata {
    DocumentMetadata { tags: tags.iter().map(ToString::to_string).collect(), ..DocumentMetadata::default() }
}

pub(crate) fn text(text: &str) -> SearchQuery {
    SearchQuery { text: Some(text.to_owned()), ..SearchQuery::default() }
}

/// Indexes content of every kind, with one replacement and one removal.
pub(crate) async fn fill(index: &ContentIndex) -> Result<()> {
    let harbour = DocumentMetadata {
        title: Some("Harbour".into()),
        author: Some("A. Keeper".into()),
        created_at: Some(1_700_000_000),
        content_type: Some("text/plain".into()),
        ..tagged(&["sea", "morning"])
    };
    index.index_document(cid("harbour"), &harbour, Some("a quiet harbour at dawn")).await?;
    index.index_document(cid("storm"), &tagged(&["sea"]), Some("an old draft about nothing")).await?;
    index.index_document(cid("storm"), &tagged(&["sea", "night"]), Some("the storm came over the harbour")).await?;
    index.index_document(cid("bakery"), &tagged(&["morning"]), Some("bread at dawn")).await?;
    index.index_document(cid("mistake"), &tagged(&["sea"]), Some("a harbour that never was")).await?;
    index.remove(&cid("mistake")).await?;
    index.index_image(cid("png"), &image(), "image/png").await?;
    index.index_audio(cid("flac"), &audio(), "audio/flac").await?;
    index.index_video(cid("webm"), &video(), "video/webm").await
}

pub(crate) fn image() -> ImageMetadata {
    ImageMetadata {
        width: Some(640),
        height: Some(480),
        format: Some("PNG".into()),
        color_space: Some("sRGB".into()),
        compression: Some("deflate".into()),
        tags: vec!["sea".into()],
    }
}

pub(crate) fn audio() -> AudioMetadata {
    AudioMetadata {
        duration_ms: Some(93_000),
        bitrate: Some(900_000),
        sample_rate: Some(48_000),
        channels: Some(2),
        codec: Some("flac".into()),
        artist: Some("The Lighthouse Band".into()),
        album: Some("Foghorns".into()),
        title: Some("Seagulls".into()),
        year: Some(1998),
        tags: vec!["sea".into(), "music".into()],
    }
}

pub(crate) fn video() -> VideoMetadata {
    VideoMetadata {
        duration_ms: Some(12_345),
        width: Some(1920),
        height: Some(1080),
        frame_rate: Some(29.97),
        video_codec: Some("av1".into()),
        audio_codec: Some("opus".into()),
        bitrate: Some(4_000_000),
        tags: vec!["sea".into(), "night".into()],
    }
}

/// Searches with every kind of query, and returns the complete results.
pub(crate) async fn answers(index: &ContentIndex) -> Result<Vec<Vec<SearchResult>>> {
    let questions = [
        text("harbour"),
        text("harbour dawn"),
        text("harbour AND dawn"),
        text("keeper"),
        text("foghorns"),
        text("nothing"),
        SearchQuery { tags: vec!["sea".into(), "night".into()], ..SearchQuery::default() },
        SearchQuery { tags: vec!["morning".into()], ..text("dawn") },
        SearchQuery { content_types: vec!["image/png".into(), "text/plain".into()], ..SearchQuery::default() },
        SearchQuery { limit: Some(2), offset: Some(1), tags: vec!["sea".into()], ..SearchQuery::default() },
    ];
    let mut answers = Vec::new();
    for question in &questions {
        answers.push(index.search(question).await?);
    }
    Ok(answers)
}

/// Returns the number of results of each query of [`answers`].
pub(crate) const ANSWER_SIZES: [usize; 10] = [2, 3, 1, 1, 1, 0, 2, 2, 2, 2];

pub(crate) fn sizes(answers: &[Vec<SearchResult>]) -> Vec<usize> {
    answers.iter().map(Vec::len).collect()
}

/// Returns the answers without the scores and the order that depends on them.
///
/// The statistics behind the scores include replaced and removed documents until a fold or a merge
/// drops them, so the scores of the same documents may change slightly after one.
pub(crate) fn unranked(answers: &[Vec<SearchResult>]) -> Vec<Vec<SearchResult>> {
    let mut answers = answers.to_vec();
    for answer in &mut answers {
        answer.iter_mut().for_each(|result| result.score = 0.0);
        answer.sort_by_key(|result| result.cid);
    }
    answers
}

/// Returns everything that the default index has stored in a backend.
pub(crate) async fn stored(backend: &dyn Backend) -> Vec<KeyedEntry> {
    use futures::TryStreamExt;
    let mut entries = Vec::new();
    for bucket in ["text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1", "catalog_v1"] {
        let bucket = Bucket::log(bucket).expect("a name");
        let found: Vec<KeyedEntry> =
            backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO).try_collect().await.expect("a readable bucket");
        entries.extend(found);
    }
    entries
}
