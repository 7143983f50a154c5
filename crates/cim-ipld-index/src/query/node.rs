//! The syntax tree of a query.

use std::sync::Arc;

use super::{Field, NumberRange, Pattern};
use crate::document::DocumentKind;

/// The filters of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Filter {
    pub(crate) all_tags: Vec<String>,
    pub(crate) any_tags: Vec<String>,
    pub(crate) no_tags: Vec<String>,
    pub(crate) content_types: Vec<String>,
    pub(crate) kinds: Vec<DocumentKind>,
    /// Conditions that must all hold. None is scored.
    pub(crate) others: Vec<Node>,
}

/// A condition that selects documents and, if it has words, scores them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Every document.
    All,
    /// The words of one query element: a single word, or several adjacent ones.
    Words {
        field: Field,
        text: String,
        slop: u32,
    },
    /// Words that start with the last word of the text, directly after the other words.
    Prefix {
        field: Field,
        text: String,
        slop: u32,
    },
    /// Words with wildcards; several words must be adjacent.
    Like {
        field: Field,
        pattern: Pattern,
        slop: u32,
    },
    /// Words at most `distance` edits from the last word of the text, directly after the other
    /// words.
    Fuzzy {
        field: Field,
        text: String,
        distance: u8,
    },
    /// Documents with the tag.
    Tag(String),
    /// Documents with a matching tag.
    TagLike(Pattern),
    /// Documents of the content type, ignoring parameters unless they are given. `image/*` matches
    /// any image.
    Type(String),
    /// Documents of a matching content type.
    TypeLike(Pattern),
    Kind(DocumentKind),
    /// Documents with words in a field, with a tag, or with a type.
    Has(Has),
    /// Documents with this value in an attribute of any type: a text with these adjacent words, an
    /// equal keyword, a number, a date.
    Attribute {
        name: Arc<str>,
        text: String,
    },
    /// Documents with an attribute that is a keyword with this prefix, or a text that contains a
    /// word with this prefix.
    AttributePrefix {
        name: Arc<str>,
        text: String,
    },
    /// Documents with an attribute that is a matching keyword, or a text that contains a matching
    /// word.
    AttributeLike {
        name: Arc<str>,
        pattern: Pattern,
    },
    /// Documents with the attribute.
    Exists(Arc<str>),
    /// Documents with a number or time in the range.
    Range(NumberRange),
    /// A condition on an attribute. If no live document has an attribute of this name, it is the
    /// literal text, or an error if the name resembles that of a field.
    Named {
        name: Arc<str>,
        resembled: Option<&'static str>,
        node: Box<Node>,
    },
    /// Clauses of which at least one is [`Named`](Self::Named). How they are combined depends on
    /// how that clause is resolved.
    Unresolved(Vec<Clause>),
    /// All of `must`, none of `must_not` and, if `must` is empty, at least one of `should`. Matches
    /// of `should` add to the score.
    Bool {
        must: Vec<Node>,
        should: Vec<Node>,
        must_not: Vec<Node>,
    },
    /// The node with a factor for its score.
    Boost(Box<Node>, f32),
    /// A part that exceeded the maximum nesting depth.
    TooDeep,
}

/// The effect of a clause on the result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sign {
    Optional,
    Required,
    Excluded,
}

/// A clause of a group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause {
    pub(super) sign: Sign,
    pub(super) node: Node,
    /// Whether OR precedes the clause.
    pub(super) is_alternative: bool,
}

impl Clause {
    pub(super) fn of(node: Node) -> Self {
        Self { sign: Sign::Optional, node, is_alternative: false }
    }
}

/// A property whose presence can be queried.
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

    /// Returns the nodes that must match and those that must not.
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
