//! What a query consists of.

use std::sync::Arc;

use super::{Field, NumberRange, Pattern};
use crate::document::DocumentKind;

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
    /// Words that start with the text's last word, right behind the words before it.
    Prefix {
        field: Field,
        text: String,
        slop: u32,
    },
    /// Words with wildcards anywhere; several must follow each other.
    Like {
        field: Field,
        pattern: Pattern,
        slop: u32,
    },
    /// Words at most `distance` edits away from the text's last word, right behind the words before
    /// it.
    Fuzzy {
        field: Field,
        text: String,
        distance: u8,
    },
    /// A document that carries the tag.
    Tag(String),
    /// A document that carries such a tag.
    TagLike(Pattern),
    /// A document of the content type, whose parameters do not count unless they are given.
    /// `image/*` is any image.
    Type(String),
    /// A document of such a content type.
    TypeLike(Pattern),
    Kind(DocumentKind),
    /// A document that has words in a field, a tag or a type.
    Has(Has),
    /// A document whose attribute is this, whatever its type: a text with these words in this
    /// order, a keyword as it is written, a number, a date.
    Attribute {
        name: Arc<str>,
        text: String,
    },
    /// A document whose attribute is a keyword or has a word that starts like this.
    AttributePrefix {
        name: Arc<str>,
        text: String,
    },
    /// A document whose attribute is such a keyword or has such a word.
    AttributeLike {
        name: Arc<str>,
        pattern: Pattern,
    },
    /// A document that has the attribute.
    Exists(Arc<str>),
    /// A document whose number or time is in the range.
    Range(NumberRange),
    /// What is about an attribute if a document has one of this name, and else the words that it is
    /// written with. If the name resembles that of a field, it is an error instead.
    Named {
        name: Arc<str>,
        resembled: Option<&'static str>,
        node: Box<Node>,
    },
    /// Clauses of which one is [`Named`](Self::Named): what they do to each other depends on what
    /// it turns out to be.
    Unresolved(Vec<Clause>),
    /// All of `must`, none of `must_not`, and if `must` is empty at least one of `should`; `should`
    /// adds to the score.
    Bool {
        must: Vec<Node>,
        should: Vec<Node>,
        must_not: Vec<Node>,
    },
    /// The node with its score multiplied.
    Boost(Box<Node>, f32),
    /// What stood too deep in queries.
    TooDeep,
}

/// What a clause does to what is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sign {
    Optional,
    Required,
    Excluded,
}

/// A part of a query as it stands beside others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause {
    pub(super) sign: Sign,
    pub(super) node: Node,
    /// Whether OR stands before it.
    pub(super) is_alternative: bool,
}

impl Clause {
    pub(super) fn of(node: Node) -> Self {
        Self { sign: Sign::Optional, node, is_alternative: false }
    }
}

/// What a document may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Has {
    Words(Field),
    Tag,
    Type,
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

    pub(super) fn extend(&mut self, other: Self) {
        self.all_tags.extend(other.all_tags);
        self.any_tags.extend(other.any_tags);
        self.no_tags.extend(other.no_tags);
        self.content_types.extend(other.content_types);
        self.kinds.extend(other.kinds);
        self.others.extend(other.others);
    }
}
