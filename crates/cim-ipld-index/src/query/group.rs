//! Groups of adjacent clauses, sorted by their effect on the result.

use super::node::{Clause, Sign};
use super::{Depth, Field, Filter, Node, Query};

/// Adjacent clauses.
pub(super) struct Group(Vec<Clause>);

/// Clauses, sorted by their effect.
#[derive(Default)]
struct Sorted {
    must: Vec<Node>,
    should: Vec<Node>,
    must_not: Vec<Node>,
    /// Required regardless of the words in the group, and scored.
    wanted: Vec<Node>,
    /// Required regardless of the words in the group, and not scored. Several types among them are
    /// alternatives, because a document has at most one.
    filters: Vec<Node>,
    /// Types that are required by an operator, so that they are not alternatives.
    types: Vec<Node>,
}

impl Group {
    pub(super) fn new(mut clauses: Vec<Clause>) -> Self {
        let is_word =
            |clause: &Clause| clause.sign == Sign::Optional && clause.node != Node::All && !clause.node.is_filter();
        if clauses.iter().any(is_word) {
            // A `*` between words is punctuation.
            let next: Vec<bool> = clauses.iter().skip(1).map(|clause| clause.is_alternative).chain([false]).collect();
            let mut next = next.into_iter();
            clauses.retain(|clause| {
                let is_alternative = next.next() == Some(true) || clause.is_alternative;
                is_alternative || clause.sign != Sign::Optional || clause.node != Node::All
            });
        }
        Self(clauses)
    }

    /// Converts the group to a single node.
    pub(super) fn into_node(mut self) -> Option<Node> {
        if let [Clause { sign: Sign::Optional, is_alternative: false, .. }] = &self.0[..] {
            // Parentheses around a single clause are dropped without inspecting it.
            return self.0.pop().map(|clause| clause.node);
        }
        match self.is_unresolved() {
            true => Some(Node::Unresolved(self.0)),
            false => Sorted::new(self.0).into_node(),
        }
    }

    /// Converts the group to a query, which keeps filters apart from nodes.
    pub(super) fn into_query(self, depth: usize) -> Query {
        let query = match self.is_unresolved() {
            true => Query { root: Some(Node::Unresolved(self.0)), ..Query::default() },
            false => Sorted::new(self.0).into_query(),
        };
        Query { depth: Depth(depth), ..query }
    }

    /// Returns whether the meaning of a clause depends on which attributes exist. A group with such
    /// a clause is itself unresolved, so that only one level has to be checked.
    fn is_unresolved(&self) -> bool {
        fn is_unresolved(node: &Node) -> bool {
            match node {
                Node::Named { .. } | Node::Unresolved(_) => true,
                Node::Boost(node, _) => is_unresolved(node),
                _ => false,
            }
        }
        self.0.iter().any(|clause| is_unresolved(&clause.node))
    }
}

impl Sorted {
    fn new(clauses: Vec<Clause>) -> Self {
        let mut group = Self::default();
        let next: Vec<bool> = clauses.iter().skip(1).map(|clause| clause.is_alternative).chain([false]).collect();
        for (Clause { sign, node, is_alternative }, is_next_alternative) in clauses.into_iter().zip(next) {
            let is_alternative = is_alternative || is_next_alternative;
            match sign {
                Sign::Excluded if is_alternative => {
                    group.should.push(Node::Bool { must: vec![Node::All], should: Vec::new(), must_not: vec![node] })
                }
                Sign::Excluded => group.must_not.push(node),
                Sign::Optional if is_alternative => group.should.push(node),
                Sign::Required if node.is_type() => group.types.push(node),
                _ if node.is_filter() => group.filters.push(node),
                Sign::Required => group.must.push(node),
                Sign::Optional if node.is_wanted() => group.wanted.push(node),
                Sign::Optional => group.should.push(node),
            }
        }
        group
    }

    /// Converts the clauses to a single node. If all clauses exclude, they are subtracted from all
    /// documents.
    fn into_node(mut self) -> Option<Node> {
        let (types, mut wanted): (Vec<Node>, Vec<Node>) = self.filters.into_iter().partition(Node::is_type);
        wanted.extend(any(types));
        wanted.append(&mut self.types);
        self.wanted.append(&mut wanted);
        if self.wanted.is_empty() {
            return join(self.must, self.should, self.must_not);
        }
        let mut must: Vec<Node> = join(self.must, self.should, Vec::new()).into_iter().collect();
        must.append(&mut self.wanted);
        join(must, Vec::new(), self.must_not)
    }

    /// Converts the clauses to a query, which keeps filters apart from nodes.
    fn into_query(mut self) -> Query {
        let mut filter = Filter::default();
        match self.types.len() {
            1 if !self.filters.iter().any(Node::is_type) => self.filters.append(&mut self.types),
            _ => filter.others.append(&mut self.types),
        }
        if self.filters.iter().any(|node| matches!(node, Node::TypeLike(_))) {
            let (types, others): (Vec<Node>, Vec<Node>) = self.filters.into_iter().partition(Node::is_type);
            self.filters = others;
            filter.others.extend(any(types));
        }
        for node in std::mem::take(&mut self.filters) {
            match node {
                Node::Tag(tag) => filter.all_tags.push(tag),
                Node::Type(name) => filter.content_types.push(name),
                other => filter.others.push(other),
            }
        }
        let is_tag = |node: &Node| matches!(node, Node::Tag(_));
        let (tags, others) = std::mem::take(&mut self.must_not).into_iter().partition(is_tag);
        self.must_not = others;
        filter.no_tags =
            Vec::into_iter(tags).filter_map(|node| if let Node::Tag(tag) = node { Some(tag) } else { None }).collect();
        Query { root: self.into_node(), filter, depth: Depth::default() }
    }
}

impl Node {
    /// Returns whether the node selects without scoring.
    fn is_filter(&self) -> bool {
        match self {
            Self::Tag(_)
            | Self::TagLike(_)
            | Self::Type(_)
            | Self::TypeLike(_)
            | Self::Kind(_)
            | Self::Has(_)
            | Self::Exists(_)
            | Self::Range(_) => true,
            Self::Boost(node, _) => node.is_filter(),
            Self::Bool { must, should, must_not } => {
                let is_all = |node: &Self| *node == Self::All;
                let mut selecting = must.iter().chain(should).filter(|node| !is_all(node)).peekable();
                selecting.peek().is_some() && selecting.chain(must_not).all(|node| node.is_filter())
            }
            _ => false,
        }
    }

    fn is_type(&self) -> bool {
        matches!(self, Self::Type(_) | Self::TypeLike(_))
    }

    /// Returns whether the node is required when it is next to words.
    fn is_wanted(&self) -> bool {
        match self {
            Self::Attribute { .. } | Self::AttributePrefix { .. } | Self::AttributeLike { .. } => true,
            Self::Words { field, .. }
            | Self::Prefix { field, .. }
            | Self::Like { field, .. }
            | Self::Fuzzy { field, .. } => matches!(field, Field::Attribute(_)),
            Self::Boost(node, _) => node.is_wanted(),
            Self::Bool { must, should, must_not } => {
                let parts = || must.iter().chain(should).chain(must_not);
                parts().any(Self::is_wanted) && parts().all(|node| node.is_wanted() || node.is_filter())
            }
            _ => false,
        }
    }
}

fn any(mut nodes: Vec<Node>) -> Option<Node> {
    if nodes.len() < 2 {
        return nodes.pop();
    }
    Some(Node::Bool { must: Vec::new(), should: nodes, must_not: Vec::new() })
}

/// Combines clauses into a node. If all clauses exclude, they are subtracted from all documents.
fn join(mut must: Vec<Node>, mut should: Vec<Node>, must_not: Vec<Node>) -> Option<Node> {
    if must_not.is_empty() {
        match (must.len(), should.len()) {
            (0, 0) => return None,
            (1, 0) => return must.pop(),
            (0, 1) => return should.pop(),
            _ => {}
        }
    } else if must.is_empty() && should.is_empty() {
        must.push(Node::All);
    }
    Some(Node::Bool { must, should, must_not })
}
