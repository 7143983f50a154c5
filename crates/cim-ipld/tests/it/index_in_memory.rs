use cim_ipld::index::{DocumentKind, Facet, NumberField, Sort, Timestamp};
use cim_ipld::{ContentIndex, ErrorKind, SearchPage, SearchQuery};

use crate::fixture::{ANSWER_SIZES, Place, TestResult, answers, cid, fill, index_of, sizes, tagged, text};

#[tokio::test]
async fn it_answers_as_a_durable_one_does() -> TestResult {
    let (in_memory, durable) = (ContentIndex::new(), index_of(Place::memory().builder().await.create().await?));
    fill(&in_memory).await?;
    fill(&durable).await?;
    let found = answers(&in_memory).await?;
    assert_eq!(sizes(&found), ANSWER_SIZES);
    assert_eq!(found, answers(&durable).await?);
    Ok(())
}

#[tokio::test]
async fn a_result_says_what_is_known() -> TestResult {
    let index = ContentIndex::new();
    fill(&index).await?;
    let query = SearchQuery { tags: vec!["SEA".into()], ..text("keeper harbour") };
    let found = index.search(&query).await?;
    let best = &found[0];
    assert_eq!(best.cid, cid("harbour"));
    assert_eq!(best.content_type.as_deref(), Some("text/plain"));
    assert_eq!(best.snippet.as_deref(), Some("a quiet harbour at dawn"));
    assert_eq!(best.matching_tags, ["sea"]);
    assert_eq!(best.metadata.title.as_deref(), Some("Harbour"));
    assert_eq!(best.metadata.author.as_deref(), Some("A. Keeper"));
    assert_eq!(best.metadata.created_at, Some(1_700_000_000));
    assert_eq!(best.metadata.tags, ["sea", "morning"]);
    assert!(best.score > found[1].score && found[1].score > 0.0);
    let json = serde_json::to_string(&best.metadata)?;
    assert_eq!(serde_json::from_str::<cim_ipld::SearchResultMetadata>(&json)?, best.metadata);
    Ok(())
}

#[tokio::test]
async fn a_query_asks_for_all_that_the_core_can() -> TestResult {
    let index = ContentIndex::new();
    fill(&index).await?;
    let cases = [
        (SearchQuery::text("harbour"), 2),
        (SearchQuery::text("AC/DC - harbour ("), 2),
        (SearchQuery::text("harbour").tag("night"), 1),
        (SearchQuery::everything().no_tag("sea"), 1),
        (SearchQuery::everything().content_type("image/*"), 1),
        (SearchQuery::everything().kind(DocumentKind::Audio).kind(DocumentKind::Video), 2),
        (SearchQuery::everything().range(NumberField::CreatedAt, Timestamp(0)..), 1),
        (SearchQuery::everything().attribute("height", "480"), 1),
        (SearchQuery::text("width:640"), 1),
    ];
    for (query, total) in cases {
        let page = index.search_page(&query).await?;
        assert_eq!(page.total, total, "{query:?}");
        let query_again: SearchQuery = serde_json::from_str(&serde_json::to_string(&query)?)?;
        assert_eq!(query_again, query);
        let json = serde_json::to_string(&page)?;
        assert!(json.contains(&format!("\"cid\":\"{}\"", page.results[0].cid)), "{json}");
        assert_eq!(serde_json::from_str::<SearchPage>(&json)?, page);
    }

    let first =
        SearchQuery::text("harbour").facet(Facet::tags()).sort(Sort::descending(NumberField::CreatedAt)).limit(1);
    let page = index.search_page(&first).await?;
    assert_eq!(page.facets[0].counts[0], ("sea".to_owned(), 2));
    let result = &page.results[0];
    assert_eq!(
        result
            .highlights
            .iter()
            .map(|place| &result.snippet.as_deref().unwrap_or("")[place.clone()])
            .collect::<Vec<_>>(),
        ["harbour"]
    );
    let rest = index.search_page(&first.after(page.next.ok_or("a full page")?)).await?;
    assert_eq!((rest.total, rest.results[0].cid), (2, cid("storm")));

    let refused = index.search(&SearchQuery::text("created:yesterday")).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    Ok(())
}

#[tokio::test]
async fn limit_and_offset_cut_the_same_list() -> TestResult {
    let index = ContentIndex::new();
    for number in 0..25 {
        index.index_document(cid(&format!("{number}")), &tagged(&["all"]), Some("same words")).await?;
    }
    let all = SearchQuery { limit: Some(100), ..text("words") };
    let all = index.search(&all).await?;
    assert_eq!(all.len(), 25);
    assert_eq!(index.search(&text("words")).await?, all[..10], "ten when nothing is said");
    for (limit, offset, expected) in [(5, 0, 0..5), (5, 20, 20..25), (10, 20, 20..25), (3, 25, 25..25), (0, 0, 0..0)] {
        let query = SearchQuery { limit: Some(limit), offset: Some(offset), ..text("words") };
        assert_eq!(index.search(&query).await?, all[expected], "limit {limit}, offset {offset}");
    }
    Ok(())
}

#[tokio::test]
async fn what_it_cannot_do_it_says() -> TestResult {
    let index = ContentIndex::default();
    assert!(index.persistence().is_none());
    let refused = [
        index.load_from_persistence().await.map(drop),
        index.persist().await,
        index.backup("b").await.map(drop),
        index.restore_backup("b").await.map(drop),
        index.list_backups().await.map(drop),
        index.delete_backup("b").await,
        index.verify().await.map(drop),
        index.search(&text("created:yesterday")).await.map(drop),
    ];
    for (number, outcome) in refused.into_iter().enumerate() {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput, "number {number}");
    }
    Ok(())
}
