//! Queries: what to look for, as a value.

mod parse;

use std::fmt;
use std::sync::Arc;

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(crate) all_tags: Vec<String>,
    pub(crate) any_tags: Vec<String>,
    pub(crate) no_tags: Vec<String>,
    pub(crate) content_types: Vec<String>,
    pub(crate) kinds: Vec<DocumentKind>,
}

/// The text part of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Every document.
    All,
    /// Words of one place in the query: one word, or several that must follow each other.
    Words { field: Field, text: String, slop: u32 },
    /// Words that start with the text's last word.
    Prefix { field: Field, text: String },
    /// Words at most `distance` edits away.
    Fuzzy { field: Field, text: String, distance: u8 },
    /// All of `must`, none of `must_not`, and if `must` is empty at least one of `should`; `should` adds to the score.
    Bool { must: Vec<Node>, should: Vec<Node>, must_not: Vec<Node> },
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

    /// Finds what at least one of the queries finds; scores add up.
    pub fn any(queries: impl IntoIterator<Item = Query>) -> Self {
        Self::combine(queries, |should| Node::Bool { must: Vec::new(), should, must_not: Vec::new() })
    }

    /// Finds what all of the queries find; scores add up.
    pub fn all(queries: impl IntoIterator<Item = Query>) -> Self {
        Self::combine(queries, |must| Node::Bool { must, should: Vec::new(), must_not: Vec::new() })
    }

    /// Finds what this query finds and `other` does not. Filters of `other` are not used.
    #[must_use]
    pub fn and_not(mut self, other: Query) -> Self {
        let must = vec![self.root.take().unwrap_or(Node::All)];
        let must_not = vec![other.root.unwrap_or(Node::All)];
        self.root = Some(Node::Bool { must, should: Vec::new(), must_not });
        self
    }

    /// Multiplies the scores.
    #[must_use]
    pub fn boost(mut self, factor: f32) -> Self {
        self.root = self.root.map(|node| Node::Boost(Box::new(node), factor));
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

    fn combine(queries: impl IntoIterator<Item = Query>, join: impl FnOnce(Vec<Node>) -> Node) -> Self {
        let mut nodes = Vec::new();
        let mut filter = Filter::default();
        for query in queries {
            nodes.push(query.root.unwrap_or(Node::All));
            filter.extend(query.filter);
        }
        let root = match nodes.len() {
            0 => None,
            1 => nodes.pop(),
            _ => Some(join(nodes)),
        };
        Self { root, filter }
    }
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn extend(&mut self, other: Self) {
        self.all_tags.extend(other.all_tags);
        self.any_tags.extend(other.any_tags);
        self.no_tags.extend(other.no_tags);
        self.content_types.extend(other.content_types);
        self.kinds.extend(other.kinds);
    }
}
