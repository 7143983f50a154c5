use cim_ipld::{
    AudioMetadata, ContentIndex, DocumentMetadata, ErrorKind, ImageMetadata, IndexStats, SearchQuery, VideoMetadata,
};

use crate::fixture::{Place, TestResult, audio, cid, fill, image, index_of, tagged, text, video};

#[tokio::test]
async fn every_kind_comes_back_as_it_was_indexed() -> TestResult {
    for index in [ContentIndex::new(), index_of(Place::memory().builder().await.create().await?)] {
        fill(&index).await?;
        let (png, flac, webm) = (cid("png"), cid("flac"), cid("webm"));
        assert_eq!(ImageMetadata::from(&index.document(&png).await?.ok_or("no image")?), image());
        assert_eq!(AudioMetadata::from(&index.document(&flac).await?.ok_or("no audio")?), audio());
        assert_eq!(VideoMetadata::from(&index.document(&webm).await?.ok_or("no video")?), video());
        let storm = index.document(&cid("storm")).await?.ok_or("no document")?;
        assert_eq!(DocumentMetadata::from(&storm), tagged(&["sea", "night"]));
        assert_eq!(storm.text.as_deref(), Some("the storm came over the harbour"));
        assert_eq!(index.document(&cid("mistake")).await?, None);
        assert_eq!(index.document(&cid("never seen")).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn kinds_are_counted_apart() -> TestResult {
    for index in [ContentIndex::new(), index_of(Place::memory().builder().await.create().await?)] {
        assert_eq!(index.stats().await?, IndexStats::default());
        fill(&index).await?;
        let stats = index.stats().await?;
        assert_eq!(
            (stats.total_documents, stats.total_images, stats.total_audio, stats.total_video),
            (3, 1, 1, 1),
            "{stats:?}"
        );
        // At least: harbour, dawn, storm, …; sea, morning, night, music; and four types.
        assert!(stats.unique_words >= 12 && stats.unique_tags >= 4 && stats.content_types >= 4, "{stats:?}");
    }
    Ok(())
}

#[tokio::test]
async fn media_are_found_by_what_they_say() -> TestResult {
    let index = ContentIndex::new();
    fill(&index).await?;
    let by_type =
        |content_type: &str| SearchQuery { content_types: vec![content_type.to_owned()], ..SearchQuery::default() };
    for (query, expected) in [
        (text("seagulls"), "flac"),
        (text("lighthouse"), "flac"),
        (text("foghorns"), "flac"),
        (by_type("audio/flac"), "flac"),
        (by_type("IMAGE/PNG"), "png"),
        (by_type("video/webm"), "webm"),
        (SearchQuery { tags: vec!["night".into()], ..by_type("video/webm") }, "webm"),
    ] {
        let found: Vec<_> = index.search(&query).await?.into_iter().map(|result| result.cid).collect();
        assert_eq!(found, [cid(expected)], "{query:?}");
    }
    Ok(())
}

#[tokio::test]
async fn numbers_that_cannot_be_kept_are_refused() {
    let index = ContentIndex::new();
    let late = DocumentMetadata { created_at: Some(u64::MAX), ..DocumentMetadata::default() };
    let later = DocumentMetadata { modified_at: Some(u64::MAX / 2), ..DocumentMetadata::default() };
    let long = AudioMetadata { duration_ms: Some(u64::MAX), ..audio() };
    let longer = VideoMetadata { duration_ms: Some(1 << 63), ..video() };
    let refused = [
        index.index_document(cid("late"), &late, None).await,
        index.index_document(cid("later"), &later, None).await,
        index.index_audio(cid("long"), &long, "audio/flac").await,
        index.index_video(cid("longer"), &longer, "video/webm").await,
    ];
    for outcome in refused {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
