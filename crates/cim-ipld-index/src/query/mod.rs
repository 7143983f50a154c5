//! Queries: what to look for, as a value.

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
use crate::text_field::Field;

/// The deepest that queries may stand in queries.
pub(crate) const MAX_DEPTH: usize = 250;

/// What to look for: a text part that selects and scores, and filters that only select.
///
/// A query without a text part finds all documents that pass the filters, with score 0.
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

/// How deep queries stand in a query. What goes beyond the limit is dropped at once and refused
/// when it is searched, so that nothing that walks a query runs out of stack.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Depth(pub(crate) usize);

impl PartialEq for Depth {
    /// Queries that ask for the same are equal however they were made.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Query {
    /// Reads a query in the query language, strictly: for texts that programs make.
    ///
    /// Words are alternatives: `a b` finds what has either and ranks what has both higher.
    /// `a AND b` wants both, `NOT a` and `-a` exclude, `+a` requires, parentheses group, `"a b"` is
    /// a phrase (`"a b"~2` lets two words stand between, the last of `"a b*"` may go on), `a*`,
    /// `*a` and `a?c` have wildcards, `a~1` allows one edit, `title:a` looks in one field, `tag:a`
    /// and `type:a` filter, `a^2` counts double. AND binds tighter than OR. An empty text finds
    /// every document. What is cut into several words, such as `wolf.txt`, is a phrase of them.
    ///
    /// `size:[100 TO 200}` takes numbers from 100 up to less than 200, `size:>=100` and
    /// `created:<2024-02` leave one side open, as does `*` in a range. `title:*` finds what has a
    /// title, and so with every field. Dates are those of RFC 3339, in UTC unless they name a zone,
    /// and may be cut short: `2024-02` is that month (a year alone is a number to an attribute).
    ///
    /// The fields are `title`, `author`, `text` (all three together), `tag`, `type`, `size`,
    /// `created`, `modified`, in any case, or as a JSON line has them (`tags`, `created_at`).
    /// `name:value` with another name finds what has that value in the attribute of that name, be
    /// it a word of a text, the whole of a keyword, a number or a date. If no document has such an
    /// attribute, it is plain text: `localhost:8080`; but if the name resembles that of a field,
    /// the search is refused.
    ///
    /// What names a tag, a type, a size, a time or an attribute is wanted beside any words; only
    /// `OR` makes an alternative of it. Parentheses may follow a name: `tag:(red OR blue)`. A
    /// backslash takes the meaning from what follows it: `C\+\+`, `"the \"best\""`,
    /// `my\ name:value`.
    ///
    /// `docs/search.md` of the repository has the whole language with examples.
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
    /// [`QueryError`] has the place that cannot be understood and what was expected there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::strict(text)
    }

    /// Reads a query as people type it: any text is one. A text that [`parse`](Self::parse) takes
    /// means the same here.
    ///
    /// What that one refuses is taken for what it looks like: a sign without a word is punctuation,
    /// everything else words. It is returned too.
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

    /// Reads a query as [`parse_lenient`](Self::parse_lenient) does, but refuses what cannot be
    /// meant as words: the value of a field that cannot hold it, and parentheses without end. This
    /// is for search boxes.
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
    /// The first [`QueryError`] that is not a [`QueryErrorKind::Syntax`].
    pub fn parse_typed(text: &str) -> Result<Self, QueryError> {
        parse::typed(text)
    }

    /// Finds every document.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Finds a word in title, author or text. A text of several words is a phrase.
    pub fn term(word: impl Into<String>) -> Self {
        Self::term_in(Field::Any, word)
    }

    /// Finds a word in one field. A text of several words is a phrase.
    pub fn term_in(field: Field, word: impl Into<String>) -> Self {
        Self::from_node(Node::Words { field, text: word.into(), slop: 0 })
    }

    /// Finds the words in this order with at most `slop` other words between them.
    pub fn phrase(field: Field, words: impl Into<String>, slop: u32) -> Self {
        Self::from_node(Node::Words { field, text: words.into(), slop })
    }

    /// Finds words that start with `prefix`. In a text of several words the last is not whole.
    pub fn prefix(field: Field, prefix: impl Into<String>) -> Self {
        Self::from_node(Node::Prefix { field, text: prefix.into(), slop: 0 })
    }

    /// Finds words with wildcards in them: `*` stands for any characters or none, `?` for one.
    ///
    /// A wildcard at the start looks at every word of the field.
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

    /// Finds words at most `distance` (1 or 2) edits away from `word`.
    pub fn fuzzy(field: Field, word: impl Into<String>, distance: u8) -> Self {
        Self::from_node(Node::Fuzzy { field, text: word.into(), distance: distance.clamp(1, 2) })
    }

    /// Finds what carries the tag, with score 0. Beside words [`tag`](Self::tag) is what filters.
    pub fn tagged(tag: impl Into<String>) -> Self {
        Self::from_node(Node::Tag(tag.into()))
    }

    /// Finds what carries a tag with wildcards in it, as in [`like`](Self::like), with score 0.
    pub fn tagged_like(pattern: &str) -> Self {
        Self::from_node(Node::TagLike(Pattern::of(pattern)))
    }

    /// Finds what is of the content type, with score 0. Beside words
    /// [`content_type`](Self::content_type) is what filters.
    ///
    /// Case does not count, nor do parameters unless they are given: `text/html` is
    /// `text/html; charset=utf-8` too. `image/*` is any image.
    pub fn typed(content_type: impl Into<String>) -> Self {
        Self::from_node(Node::Type(content_type.into()))
    }

    /// Finds what has this value in an attribute: a word (or several that follow each other) of a
    /// text, the whole of a keyword, a number or a date as [`parse`](Self::parse) reads them. Only
    /// words score.
    pub fn attribute(name: impl Into<Arc<str>>, value: impl Into<String>) -> Self {
        Self::from_node(Node::Attribute { name: name.into(), text: value.into() })
    }

    /// Finds what has a word that starts like this in an attribute that is a text, or such a
    /// keyword.
    pub fn attribute_prefix(name: impl Into<Arc<str>>, prefix: impl Into<String>) -> Self {
        Self::from_node(Node::AttributePrefix { name: name.into(), text: prefix.into() })
    }

    /// Finds what `name:value` in a query text finds: what has this value in an attribute, if a
    /// document has one of this name, and else what has the words `name:value`.
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

    /// Finds what has an attribute of this name, with score 0. A text without words and a number
    /// that is none do not count.
    pub fn exists(name: impl Into<Arc<str>>) -> Self {
        Self::from_node(Node::Exists(name.into()))
    }

    /// Finds what has a number or time between the bounds, with score 0.
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

    /// Finds what has a number or time in the range, with score 0.
    pub fn in_range(range: NumberRange) -> Self {
        Self::from_node(Node::Range(range))
    }

    /// Finds what at least one of the queries finds; scores add up.
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

    /// Finds what all of the queries find; scores add up.
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

    /// Finds what this query finds and `other` does not.
    #[must_use]
    pub fn and_not(mut self, other: Query) -> Self {
        let depth = self.depth.0.max(other.depth.0) + 1;
        let must = vec![self.root.take().unwrap_or(Node::All)];
        let must_not = vec![other.into_node()];
        self.root = Some(Node::Bool { must, should: Vec::new(), must_not });
        self.at_depth(depth)
    }

    /// Multiplies the scores.
    #[must_use]
    pub fn boost(mut self, factor: f32) -> Self {
        let depth = self.depth.0 + 1;
        self.root = self.root.map(|node| Node::Boost(Box::new(node), factor));
        self.at_depth(depth)
    }

    /// Wants what `other` finds too, without a change of the scores.
    #[must_use]
    pub fn filter(mut self, other: Query) -> Self {
        let depth = self.depth.0.max(other.depth.0 + 1);
        self.filter.others.extend(other.root);
        self.filter.extend(other.filter);
        self.at_depth(depth)
    }

    /// Wants this tag too: every tag given this way must be there.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filter.all_tags.push(tag.into());
        self
    }

    /// Wants at least one of these tags.
    #[must_use]
    pub fn any_tag<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.filter.any_tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Wants none of these tags.
    #[must_use]
    pub fn no_tag<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.filter.no_tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Wants this content type, or one of the others given this way.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.filter.content_types.push(content_type.into());
        self
    }

    /// Wants this kind, or one of the others given this way.
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

    /// The query as a part of another one, filters and all.
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
