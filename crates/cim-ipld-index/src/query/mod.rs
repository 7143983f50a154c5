//! Queries as values.

mod error;
mod field;
mod group;
mod leaf;
mod lexer;
mod node;
mod parse;
mod parse_range;
mod pattern;
mod range;
mod resolve;
mod value;

use std::ops::RangeBounds;
use std::sync::Arc;

pub use error::{QueryError, QueryErrorKind};
use node::Clause;
pub(crate) use node::{Filter, Has, Node};
pub(crate) use pattern::{Pattern, Piece};
pub use range::{Number, NumberField, NumberRange};

use crate::document::DocumentKind;
use crate::document::text_field::Field;

/// The maximum nesting depth of queries.
pub(crate) const MAX_DEPTH: usize = 250;

/// A search query: a scored part, and filters, which only select.
///
/// A query without a scored part matches all documents that pass the filters, with score 0.
///
/// ```
/// use cim_ipld_index::Query;
///
/// let typed = Query::parse("whale AND ocean")?.tag("biology");
/// let built = Query::all([Query::term("whale"), Query::term("ocean")]).tag("biology");
/// assert_eq!(typed, built);
/// # Ok::<(), cim_ipld_index::QueryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    pub(crate) root: Option<Node>,
    pub(crate) filter: Filter,
    depth: Depth,
}

/// The nesting depth of a query. Anything deeper than the limit is dropped at once and the query is
/// refused when it runs, so that no recursion over a query overflows the stack.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Depth(pub(crate) usize);

impl PartialEq for Depth {
    /// The depth does not take part in comparing queries.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Query {
    /// Parses a query strictly, for texts written by programs.
    ///
    /// Words are alternatives: `a b` matches documents with either word and ranks those with both
    /// higher. `a AND b` requires both, `NOT a` and `-a` exclude, `+a` requires, parentheses group,
    /// `"a b"` is a phrase (`"a b"~2` allows two words in between, and the last word of `"a b*"` is
    /// a prefix), `a*`, `*a` and `a?c` have wildcards, `a~1` allows one edit, `title:a` searches
    /// one field, `tag:a` and `type:a` filter, and `a^2` doubles the score. AND binds tighter than
    /// OR. An empty text matches every document. A word that analysis splits, such as `wolf.txt`,
    /// is a phrase.
    ///
    /// `size:[100 TO 200}` matches numbers from 100 up to, but not including, 200; `size:>=100` and
    /// `created:<2024-02` leave one side open, and so does `*` in a range. `title:*` matches
    /// documents with a title, and likewise for every field. Dates follow RFC 3339, are in UTC
    /// unless they name a zone, and may be truncated: `2024-02` is that month. (In a range or
    /// comparison of an attribute, a year alone is a number. `name:2024` matches both the number
    /// and dates in that year.)
    ///
    /// The fields are `title`, `author`, `text` (title, author and text together), `tag`, `type`,
    /// `size`, `created` and `modified`, in upper or lower case, or in their JSON spelling (`tags`,
    /// `created_at`). With any other name, `name:value` matches documents with this value in the
    /// attribute of that name, whether it is a word of a text, a whole keyword, a number or a date.
    /// If no document has such an attribute, `name:value` is plain text, as in `localhost:8080`,
    /// but the search is refused if the name resembles that of a field.
    ///
    /// Tags, types, sizes, times and attributes are required when they are next to words, unless
    /// `OR` makes them alternatives. Several types are alternatives even without `OR`, since a
    /// document has at most one. A field name applies to a whole group in `tag:(red OR blue)`. A
    /// backslash escapes the next character: `C\+\+`, `"the \"best\""`, `my\ name:value`.
    ///
    /// `docs/search.md` in the repository describes the whole language with examples.
    ///
    /// ```
    /// use cim_ipld_index::{NumberField, Query};
    ///
    /// let typed = Query::parse("whale size:>=100 -tag:draft")?;
    /// let built = Query::term("whale").filter(Query::range(NumberField::Size, 100..)).no_tag(["draft"]);
    /// assert_eq!(typed, built);
    ///
    /// let error = Query::parse("whale size:[100 TO").unwrap_err();
    /// assert_eq!((error.range, error.expected.as_str()), (18..18, "a number or `*`"));
    /// # Ok::<(), cim_ipld_index::QueryError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`QueryError`] with the position and what was expected there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::strict(text)
    }

    /// Parses a query leniently, for texts that people type. Every text is a query, and a text that
    /// [`parse`](Self::parse) accepts has the same meaning.
    ///
    /// What [`parse`](Self::parse) would refuse is returned as errors and taken literally: a
    /// misplaced operator is treated as punctuation, and everything else as words.
    ///
    /// ```
    /// use cim_ipld_index::{Query, QueryErrorKind};
    ///
    /// let (query, errors) = Query::parse_lenient("AC/DC - Thunderstruck");
    /// assert_eq!(query, Query::any([Query::term("AC/DC"), Query::term("-"), Query::term("Thunderstruck")]));
    /// assert!(errors.iter().all(|error| error.kind == QueryErrorKind::Syntax));
    /// ```
    pub fn parse_lenient(text: &str) -> (Self, Vec<QueryError>) {
        parse::lenient(text)
    }

    /// Parses a query as [`parse_lenient`](Self::parse_lenient) does, but refuses a text with a
    /// part that cannot be meant as words: a value that does not fit its field, or excessive
    /// nesting. Use this for search boxes.
    ///
    /// ```
    /// use cim_ipld_index::Query;
    ///
    /// assert!(Query::parse_typed("1 + 1 (").is_ok());
    /// assert!(Query::parse_typed("created:2024-02-30").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// The first [`QueryError`] whose kind is not [`QueryErrorKind::Syntax`].
    pub fn parse_typed(text: &str) -> Result<Self, QueryError> {
        parse::typed(text)
    }

    /// Matches every document.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches a word in title, author or text. A text of several words is a phrase.
    pub fn term(word: impl Into<String>) -> Self {
        Self::term_in(Field::Any, word)
    }

    /// Matches a word in one field. A text of several words is a phrase.
    pub fn term_in(field: Field, word: impl Into<String>) -> Self {
        Self::from_node(Node::Words { field, text: word.into(), slop: 0 })
    }

    /// Matches the words in this order with at most `slop` other words in between.
    pub fn phrase(field: Field, words: impl Into<String>, slop: u32) -> Self {
        Self::from_node(Node::Words { field, text: words.into(), slop })
    }

    /// Matches words that start with `prefix`. If the text has several words, the last one is the
    /// prefix.
    pub fn prefix(field: Field, prefix: impl Into<String>) -> Self {
        Self::from_node(Node::Prefix { field, text: prefix.into(), slop: 0 })
    }

    /// Matches words against a pattern: `*` stands for any sequence of characters, `?` for a single
    /// one.
    ///
    /// A pattern with a leading wildcard scans every word of the field.
    ///
    /// ```
    /// use cim_ipld_index::{Field, Query};
    ///
    /// assert_eq!(Query::parse("amst*dam")?, Query::like(Field::Any, "amst*dam"));
    /// # Ok::<(), cim_ipld_index::QueryError>(())
    /// ```
    pub fn like(field: Field, pattern: &str) -> Self {
        Self::from_node(Node::Like { field, pattern: Pattern::of(pattern), slop: 0 })
    }

    /// Matches words at an edit distance of at most `distance` (1 or 2) from `word`.
    pub fn fuzzy(field: Field, word: impl Into<String>, distance: u8) -> Self {
        Self::from_node(Node::Fuzzy { field, text: word.into(), distance: distance.clamp(1, 2) })
    }

    /// Matches documents with the tag, with score 0. To filter other results, use
    /// [`tag`](Self::tag).
    pub fn tagged(tag: impl Into<String>) -> Self {
        Self::from_node(Node::Tag(tag.into()))
    }

    /// Matches documents with a tag that matches a pattern as in [`like`](Self::like), with score
    /// 0.
    pub fn tagged_like(pattern: &str) -> Self {
        Self::from_node(Node::TagLike(Pattern::of(pattern)))
    }

    /// Matches documents of the content type, with score 0. To filter other results, use
    /// [`content_type`](Self::content_type).
    ///
    /// Case is ignored, and so are parameters unless they are given: `text/html` also matches
    /// `text/html; charset=utf-8`. `image/*` matches any image.
    pub fn typed(content_type: impl Into<String>) -> Self {
        Self::from_node(Node::Type(content_type.into()))
    }

    /// Matches documents with this value in an attribute: a word of a text (or several adjacent
    /// words), a whole keyword, or a number or date in the format of [`parse`](Self::parse). Only
    /// words are scored.
    pub fn attribute(name: impl Into<Arc<str>>, value: impl Into<String>) -> Self {
        Self::from_node(Node::Attribute { name: name.into(), text: value.into() })
    }

    /// Matches documents with an attribute that is a keyword that starts with `prefix`, or a text
    /// that contains a word that starts with `prefix`.
    pub fn attribute_prefix(name: impl Into<Arc<str>>, prefix: impl Into<String>) -> Self {
        Self::from_node(Node::AttributePrefix { name: name.into(), text: prefix.into() })
    }

    /// Matches what `name:value` in a query text matches: documents with this value in the
    /// attribute, if any document has an attribute of this name, and otherwise documents with the
    /// words `name:value`.
    ///
    /// ```
    /// use cim_ipld_index::Query;
    ///
    /// assert_eq!(Query::parse("localhost:8080")?, Query::named("localhost", "8080"));
    /// # Ok::<(), cim_ipld_index::QueryError>(())
    /// ```
    pub fn named(name: impl Into<Arc<str>>, value: impl Into<String>) -> Self {
        let name = name.into();
        let node = Box::new(Node::Attribute { name: name.clone(), text: value.into() });
        let resembled = field::resembling(&name);
        Self::from_node(Node::Unresolved(vec![Clause::of(Node::Named { name, resembled, node })]))
    }

    /// Matches documents with an attribute of this name, with score 0. An attribute that is NaN or
    /// a text without words counts as missing.
    pub fn exists(name: impl Into<Arc<str>>) -> Self {
        Self::from_node(Node::Exists(name.into()))
    }

    /// Matches documents with a number or time within the bounds, with score 0.
    ///
    /// ```
    /// use cim_ipld_index::{NumberField, Query, Timestamp};
    ///
    /// let small = Query::range(NumberField::Size, ..1024);
    /// let recent = Query::range(NumberField::CreatedAt, Timestamp(1_700_000_000_000)..);
    /// let rated = Query::range(NumberField::Attribute("rating".into()), 3.5..=5.0);
    /// let all_three = Query::all([small, recent, rated]);
    /// ```
    pub fn range<T: Into<Number> + Clone>(field: NumberField, bounds: impl RangeBounds<T>) -> Self {
        Self::in_range(NumberRange::new(field, bounds))
    }

    /// Matches documents with a number or time in the range, with score 0.
    pub fn in_range(range: NumberRange) -> Self {
        Self::from_node(Node::Range(range))
    }

    /// Matches documents that at least one of the queries matches. Scores add up.
    pub fn any(queries: impl IntoIterator<Item = Query>) -> Self {
        let (mut should, mut depth) = (Vec::new(), 0);
        for query in queries {
            depth = depth.max(query.depth.0 + 1);
            should.push(query.into_node());
        }
        let root = match should.len() {
            0 | 1 => should.pop(),
            _ => Some(Node::Bool { must: Vec::new(), should, must_not: Vec::new() }),
        };
        Self { root, ..Self::default() }.at_depth(depth)
    }

    /// Matches documents that all of the queries match. Scores add up.
    pub fn all(queries: impl IntoIterator<Item = Query>) -> Self {
        let (mut must, mut filter, mut depth) = (Vec::new(), Filter::default(), 0);
        for query in queries {
            depth = depth.max(query.depth.0 + 1);
            must.push(query.root.unwrap_or(Node::All));
            filter.extend(query.filter);
        }
        let root = match must.len() {
            0 | 1 => must.pop(),
            _ => Some(Node::Bool { must, should: Vec::new(), must_not: Vec::new() }),
        };
        Self { root, filter, ..Self::default() }.at_depth(depth)
    }

    /// Excludes the documents that `other` matches.
    #[must_use]
    pub fn and_not(mut self, other: Query) -> Self {
        let depth = self.depth.0.max(other.depth.0) + 1;
        let must = vec![self.root.take().unwrap_or(Node::All)];
        let must_not = vec![other.into_node()];
        self.root = Some(Node::Bool { must, should: Vec::new(), must_not });
        self.at_depth(depth)
    }

    /// Multiplies the scores by a factor.
    #[must_use]
    pub fn boost(mut self, factor: f32) -> Self {
        let depth = self.depth.0 + 1;
        self.root = self.root.map(|node| Node::Boost(Box::new(node), factor));
        self.at_depth(depth)
    }

    /// Restricts the results to documents that `other` matches, without changing scores.
    #[must_use]
    pub fn filter(mut self, other: Query) -> Self {
        let depth = self.depth.0.max(other.depth.0 + 1);
        self.filter.others.extend(other.root);
        self.filter.extend(other.filter);
        self.at_depth(depth)
    }

    /// Restricts the results to documents with this tag. Several calls require all of the tags.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filter.all_tags.push(tag.into());
        self
    }

    /// Restricts the results to documents with at least one of these tags.
    #[must_use]
    pub fn any_tag<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.filter.any_tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Excludes documents with any of these tags.
    #[must_use]
    pub fn no_tag<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.filter.no_tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Restricts the results to documents of this content type. Several calls allow any of the
    /// types.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.filter.content_types.push(content_type.into());
        self
    }

    /// Restricts the results to documents of this kind. Several calls allow any of the kinds.
    #[must_use]
    pub fn kind(mut self, kind: DocumentKind) -> Self {
        self.filter.kinds.push(kind);
        self
    }

    fn from_node(node: Node) -> Self {
        Self { root: Some(node), ..Self::default() }
    }

    fn at_depth(self, depth: usize) -> Self {
        match depth > MAX_DEPTH {
            true => Self::from_node(Node::TooDeep),
            false => Self { depth: Depth(depth), ..self },
        }
    }

    /// Converts the query, including its filters, to a node of another query.
    fn into_node(self) -> Node {
        let root = self.root.unwrap_or(Node::All);
        if self.filter.is_empty() {
            return root;
        }
        let (mut must, must_not) = self.filter.into_nodes();
        must.insert(0, root);
        Node::Bool { must, should: Vec::new(), must_not }
    }
}
