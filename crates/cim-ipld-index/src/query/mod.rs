//! Queries: what to look for, as a value.

mod date;
mod group;
mod parse;
mod range;
mod value;
mod words;

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

pub(crate) use range::Range;
pub use range::{Number, NumberField};

use crate::document::DocumentKind;

/// A text field that a query can name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Field {
    /// Title, author and text together: where a search without a field looks.
    #[default]
    Any,
    /// The title alone.
    Title,
    /// The author alone.
    Author,
    /// The attribute of this name, where it is a text.
    Attribute(Arc<str>),
}

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
}

/// What documents must be like, besides their words.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Filter {
    pub(crate) all_tags: Vec<String>,
    pub(crate) any_tags: Vec<String>,
    pub(crate) no_tags: Vec<String>,
    pub(crate) content_types: Vec<String>,
    pub(crate) kinds: Vec<DocumentKind>,
    /// All of these must hold; none of them scores.
    pub(crate) others: Vec<Node>,
}

/// What selects documents and, where words do, scores them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Every document.
    All,
    /// Words of one place in the query: one word, or several that must follow each other.
    Words {
        field: Field,
        text: String,
        slop: u32,
    },
    /// Words that start with the text's last word.
    Prefix {
        field: Field,
        text: String,
    },
    /// Words at most `distance` edits away.
    Fuzzy {
        field: Field,
        text: String,
        distance: u8,
    },
    /// A document that carries the tag.
    Tag(String),
    /// A document of the content type.
    Type(String),
    Kind(DocumentKind),
    /// A document whose attribute is this, whatever its type: a text with these words in this order, a keyword as it is
    /// written, a number, a date.
    Attribute {
        name: Arc<str>,
        text: String,
    },
    /// A document whose attribute is a keyword or has a word that starts like this.
    AttributePrefix {
        name: Arc<str>,
        text: String,
    },
    /// A document that has the attribute.
    Exists(Arc<str>),
    /// A document whose number or time is in the range.
    Range(Range),
    /// All of `must`, none of `must_not`, and if `must` is empty at least one of `should`; `should` adds to the score.
    Bool {
        must: Vec<Node>,
        should: Vec<Node>,
        must_not: Vec<Node>,
    },
    /// The node with its score multiplied.
    Boost(Box<Node>, f32),
}

/// Why a query text cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct QueryError {
    /// Where in the query text, in bytes from its start.
    pub position: usize,
    /// What would have been understood there.
    pub expected: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {} of the query: expected {}", self.position, self.expected)
    }
}

impl Query {
    /// Reads a query as people type it.
    ///
    /// Words are alternatives: `a b` finds what has either and ranks what has both higher. `a AND b` wants both, `NOT a`
    /// and `-a` exclude, `+a` requires, parentheses group, `"a b"` is a phrase (`"a b"~2` lets two words stand between),
    /// `a*` is a prefix, `a~1` allows one edit, `title:a` looks in one field, `tag:a` and `type:a` filter, `a^2` counts
    /// double. AND binds tighter than OR. An empty text finds every document.
    ///
    /// `size:[100 TO 200}` takes numbers from 100 up to less than 200, `size:>=100` and `created:<2024-02` leave one side
    /// open, as does `*` in a range. `size`, `created` and `modified` are known; any other name is an attribute, and
    /// `name:value` finds what has that value, be it a word of a text, the whole of a keyword, a number or a date; `name:*`
    /// finds what has the attribute at all. Dates are those of RFC 3339, in UTC unless they say otherwise, and may be cut
    /// short: `2024-02` is that month (a year alone is a number to an attribute).
    ///
    /// What names a tag, a type, a size, a time or an attribute is wanted beside any words; only `OR` makes an alternative
    /// of it. Parentheses may follow a name: `tag:(red OR blue)`. A backslash takes the meaning from what follows it:
    /// `C\+\+`, `"the \"best\""`, `my\ name:value`.
    ///
    /// ```
    /// use cim_ipld_index::{NumberField, Query};
    ///
    /// let typed = Query::parse("whale size:>=100 -tag:draft")?;
    /// let built = Query::term("whale").filter(Query::range(NumberField::Size, 100..)).no_tag(["draft"]);
    /// assert_eq!(typed, built);
    ///
    /// let error = Query::parse("whale size:[100 TO").unwrap_err();
    /// assert_eq!((error.position, error.expected.as_str()), (18, "a number or `*`"));
    /// # Ok::<(), cim_ipld_index::QueryError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`QueryError`] says where the text cannot be understood and what was expected there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::parse(text)
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

    /// Finds words that start with `prefix`.
    pub fn prefix(field: Field, prefix: impl Into<String>) -> Self {
        Self::from_node(Node::Prefix { field, text: prefix.into() })
    }

    /// Finds words at most `distance` (1 or 2) edits away from `word`.
    pub fn fuzzy(field: Field, word: impl Into<String>, distance: u8) -> Self {
        Self::from_node(Node::Fuzzy { field, text: word.into(), distance: distance.clamp(1, 2) })
    }

    /// Finds what carries the tag, with score 0. Beside words [`tag`](Self::tag) is what filters.
    pub fn tagged(tag: impl Into<String>) -> Self {
        Self::from_node(Node::Tag(tag.into()))
    }

    /// Finds what is of the content type, with score 0. Beside words [`content_type`](Self::content_type) is what filters.
    pub fn typed(content_type: impl Into<String>) -> Self {
        Self::from_node(Node::Type(content_type.into()))
    }

    /// Finds what has this value in an attribute: a word (or several that follow each other) of a text, the whole of a
    /// keyword, a number or a date as [`parse`](Self::parse) reads them. Only words score.
    pub fn attribute(name: impl Into<Arc<str>>, value: impl Into<String>) -> Self {
        Self::from_node(Node::Attribute { name: name.into(), text: value.into() })
    }

    /// Finds what has a word that starts like this in an attribute that is a text, or such a keyword.
    pub fn attribute_prefix(name: impl Into<Arc<str>>, prefix: impl Into<String>) -> Self {
        Self::from_node(Node::AttributePrefix { name: name.into(), text: prefix.into() })
    }

    /// Finds what has an attribute of this name, with score 0. A text without words and a number that is none do not count.
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
        Self::from_node(Node::Range(Range::new(field, &bounds)))
    }

    /// Finds what at least one of the queries finds; scores add up.
    pub fn any(queries: impl IntoIterator<Item = Query>) -> Self {
        let mut should: Vec<Node> = queries.into_iter().map(Query::into_node).collect();
        let root = match should.len() {
            0 | 1 => should.pop(),
            _ => Some(Node::Bool { must: Vec::new(), should, must_not: Vec::new() }),
        };
        Self { root, filter: Filter::default() }
    }

    /// Finds what all of the queries find; scores add up.
    pub fn all(queries: impl IntoIterator<Item = Query>) -> Self {
        let (mut must, mut filter) = (Vec::new(), Filter::default());
        for query in queries {
            must.push(query.root.unwrap_or(Node::All));
            filter.extend(query.filter);
        }
        let root = match must.len() {
            0 | 1 => must.pop(),
            _ => Some(Node::Bool { must, should: Vec::new(), must_not: Vec::new() }),
        };
        Self { root, filter }
    }

    /// Finds what this query finds and `other` does not.
    #[must_use]
    pub fn and_not(mut self, other: Query) -> Self {
        let must = vec![self.root.take().unwrap_or(Node::All)];
        let must_not = vec![other.into_node()];
        self.root = Some(Node::Bool { must, should: Vec::new(), must_not });
        self
    }

    /// Multiplies the scores.
    #[must_use]
    pub fn boost(mut self, factor: f32) -> Self {
        self.root = self.root.map(|node| Node::Boost(Box::new(node), factor));
        self
    }

    /// Wants what `other` finds too, without a change of the scores.
    #[must_use]
    pub fn filter(mut self, other: Query) -> Self {
        self.filter.others.extend(other.root);
        self.filter.extend(other.filter);
        self
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
        Self { root: Some(node), filter: Filter::default() }
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

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns nodes that must match, and nodes that must not.
    pub(crate) fn into_nodes(self) -> (Vec<Node>, Vec<Node>) {
        let any = |should: Vec<Node>| match should.len() {
            0 => None,
            _ => Some(Node::Bool { must: Vec::new(), should, must_not: Vec::new() }),
        };
        let mut must: Vec<Node> = self.all_tags.into_iter().map(Node::Tag).collect();
        must.extend(any(self.any_tags.into_iter().map(Node::Tag).collect()));
        must.extend(any(self.content_types.into_iter().map(Node::Type).collect()));
        must.extend(any(self.kinds.into_iter().map(Node::Kind).collect()));
        must.extend(self.others);
        (must, self.no_tags.into_iter().map(Node::Tag).collect())
    }

    fn extend(&mut self, other: Self) {
        self.all_tags.extend(other.all_tags);
        self.any_tags.extend(other.any_tags);
        self.no_tags.extend(other.no_tags);
        self.content_types.extend(other.content_types);
        self.kinds.extend(other.kinds);
        self.others.extend(other.others);
    }
}
