//! Tantivy in RAM, with one segment, one thread and the fields of the index core.

use anyhow::{Context, Result};
use cim_ipld_index::{Document, codec};
use tantivy::collector::{Collector, Count, SegmentCollector, TopDocs};
use tantivy::directory::RamDirectory;
use tantivy::query::{
    BooleanQuery, ConstScoreQuery, FuzzyTermQuery, Occur, PhrasePrefixQuery, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::document::Value as _;
use tantivy::schema::{
    BytesOptions, FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::space_usage::SegmentSpaceUsage;
use tantivy::store::Compressor;
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{DocAddress, Index, IndexSettings, Searcher, SegmentReader, TantivyDocument, Term};

use crate::queries::Question;
use crate::tokens::{CoreTokenizer, combined};

const MEMORY_BUDGET_BYTES: usize = 3_000_000_000;

/// An index that is complete.
pub struct Tantivy {
    searcher: Searcher,
    fields: Fields,
}

/// The tokenizer of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// The index core's analyzer.
    Core,
    /// Tantivy's own `default`: `SimpleTokenizer`, `RemoveLongFilter`, `LowerCaser`.
    Simple,
}

/// The fields of the index core: a combined field with positions, title and author separately, the
/// tags, type and kind as exact names, the size as a column, the CID, and the stored encoded
/// document.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    pub any: Field,
    pub title: Field,
    pub author: Field,
    pub tag: Field,
    pub content_type: Field,
    pub kind: Field,
    pub size: Field,
    pub cid: Field,
    pub document: Field,
}

/// Returns the schema of the peer.
pub fn schema(words: Words) -> (Schema, Fields) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(if words == Words::Core { "core" } else { "default" })
        .set_fieldnorms(true)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let text = TextOptions::default().set_indexing_options(indexing);
    let mut builder = Schema::builder();
    let fields = Fields {
        any: builder.add_text_field("any", text.clone()),
        title: builder.add_text_field("title", text.clone()),
        author: builder.add_text_field("author", text),
        tag: builder.add_text_field("tag", STRING),
        content_type: builder.add_text_field("type", STRING),
        kind: builder.add_u64_field("kind", INDEXED),
        size: builder.add_u64_field("size", FAST),
        cid: builder.add_bytes_field("cid", BytesOptions::default().set_indexed()),
        document: builder.add_bytes_field("document", STORED),
    };
    (builder.build(), fields)
}

/// Converts a document.
///
/// # Errors
///
/// If it exceeds a limit of the index core.
pub fn document(document: &Document, fields: &Fields, words: Words) -> Result<TantivyDocument> {
    let mut doc = TantivyDocument::new();
    match words {
        Words::Core => doc.add_text(fields.any, combined(document)),
        Words::Simple => {
            for part in [&document.text, &document.title, &document.author].into_iter().flatten() {
                doc.add_text(fields.any, part);
            }
        }
    }
    if let Some(title) = &document.title {
        doc.add_text(fields.title, title);
    }
    if let Some(author) = &document.author {
        doc.add_text(fields.author, author);
    }
    let mut tags: Vec<String> = document.tags.iter().map(|tag| tag.to_lowercase()).collect();
    tags.sort_unstable();
    tags.dedup();
    for tag in tags {
        doc.add_text(fields.tag, tag);
    }
    if let Some(content_type) = &document.content_type {
        doc.add_text(fields.content_type, content_type.to_lowercase());
    }
    doc.add_u64(fields.kind, u64::from(document.kind.code()));
    if let Some(size) = document.size {
        doc.add_u64(fields.size, size);
    }
    doc.add_bytes(fields.cid, &document.cid.to_bytes());
    doc.add_bytes(fields.document, &codec::encode(document)?);
    Ok(doc)
}

impl Tantivy {
    /// Indexes the documents on the calling thread into one segment. `compressor` compresses the
    /// stored documents.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    pub fn build(documents: &[Document], compressor: Compressor, words: Words) -> Result<Self> {
        let (schema, fields) = schema(words);
        let settings = IndexSettings {
            docstore_compression: compressor,
            // Compression also runs on the calling thread.
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let builder = Index::builder().schema(schema).settings(settings).tokenizers(tokenizers());
        let mut writer =
            builder.single_segment_index_writer::<TantivyDocument>(RamDirectory::create(), MEMORY_BUDGET_BYTES)?;
        for each in documents {
            writer.add_document(document(each, &fields, words)?)?;
        }
        let searcher = writer.finalize()?.reader()?.searcher();
        Ok(Self { searcher, fields })
    }

    /// Translates a question.
    pub fn query(&self, question: &Question) -> Box<dyn Query> {
        let term = |word: &str| Term::from_field_text(self.fields.any, word);
        let scored =
            |word: &String| -> Box<dyn Query> { Box::new(TermQuery::new(term(word), IndexRecordOption::WithFreqs)) };
        match question {
            Question::Term(word) => scored(word),
            Question::All(words) => {
                Box::new(BooleanQuery::new(words.iter().map(|word| (Occur::Must, scored(word))).collect()))
            }
            Question::Any(words) => {
                Box::new(BooleanQuery::new(words.iter().map(|word| (Occur::Should, scored(word))).collect()))
            }
            Question::Phrase(words) => Box::new(PhraseQuery::new(words.iter().map(|word| term(word)).collect())),
            Question::Prefix(prefix) => {
                let mut query = PhrasePrefixQuery::new(vec![term(prefix)]);
                query.set_max_expansions(u32::MAX);
                Box::new(query)
            }
            Question::Fuzzy(word) => Box::new(FuzzyTermQuery::new(term(word), 1, false)),
            Question::Tagged(tag, question) => {
                let tag = Term::from_field_text(self.fields.tag, &tag.to_lowercase());
                let filter: Box<dyn Query> = Box::new(TermQuery::new(tag, IndexRecordOption::Basic));
                let filter: Box<dyn Query> = Box::new(ConstScoreQuery::new(filter, 0.0));
                let mut clauses = match &**question {
                    Question::All(words) => words.iter().map(|word| (Occur::Must, scored(word))).collect(),
                    other => vec![(Occur::Must, self.query(other))],
                };
                clauses.push((Occur::Must, filter));
                Box::new(BooleanQuery::new(clauses))
            }
        }
    }

    /// Returns the scores and addresses of the best ten, without counting all matches.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    #[inline]
    pub fn top(&self, query: &dyn Query) -> Result<Vec<(f32, DocAddress)>> {
        Ok(self.searcher.search(query, &TopDocs::with_limit(10).order_by_score())?)
    }

    /// Returns the number of matches and the best ten, in one pass.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    pub fn top_and_count(&self, query: &dyn Query) -> Result<(Vec<(f32, DocAddress)>, usize)> {
        Ok(self.searcher.search(query, &(TopDocs::with_limit(10).order_by_score(), Count))?)
    }

    /// Returns the best ten with their documents, decoded, and the number of matches.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    pub fn hits(&self, query: &dyn Query) -> Result<(Vec<(f32, Document)>, usize)> {
        let (top, total) = self.top_and_count(query)?;
        let hits = top.into_iter().map(|(score, address)| {
            let stored: TantivyDocument = self.searcher.doc(address)?;
            let bytes = stored.get_first(self.fields.document).and_then(|value| value.as_bytes());
            Ok((score, codec::decode(bytes.context("a document is not stored")?)?))
        });
        Ok((hits.collect::<Result<_>>()?, total))
    }

    /// Returns every match and its score.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    pub fn all_scores(&self, query: &dyn Query) -> Result<Vec<(u32, f32)>> {
        Ok(self.searcher.search(query, &Everything)?)
    }

    /// Returns the size of the segment by component.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    pub fn space(&self) -> Result<SegmentSpaceUsage> {
        Ok(self.segment()?.space_usage()?)
    }

    /// Returns the only segment.
    ///
    /// # Errors
    ///
    /// If the index is empty.
    pub fn segment(&self) -> Result<&SegmentReader> {
        self.searcher.segment_readers().first().context("the index has no segment")
    }

    /// Returns the fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// Creates an empty index in RAM, for an `IndexWriter`.
///
/// # Errors
///
/// The errors of Tantivy.
pub fn create_in_ram(words: Words) -> Result<(Index, Fields)> {
    let (schema, fields) = schema(words);
    Ok((Index::builder().schema(schema).tokenizers(tokenizers()).create_in_ram()?, fields))
}

fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    tokenizers.register("core", TextAnalyzer::builder(CoreTokenizer::default()).build());
    tokenizers
}

/// Collects every match.
struct Everything;

struct EverythingInSegment(Vec<(u32, f32)>);

impl Collector for Everything {
    type Fruit = Vec<(u32, f32)>;
    type Child = EverythingInSegment;

    fn for_segment(&self, _ordinal: u32, _segment: &SegmentReader) -> tantivy::Result<EverythingInSegment> {
        Ok(EverythingInSegment(Vec::new()))
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Vec<(u32, f32)>>) -> tantivy::Result<Vec<(u32, f32)>> {
        Ok(segments.concat())
    }
}

impl SegmentCollector for EverythingInSegment {
    type Fruit = Vec<(u32, f32)>;

    fn collect(&mut self, document: u32, score: f32) {
        self.0.push((document, score));
    }

    fn harvest(self) -> Vec<(u32, f32)> {
        self.0
    }
}
