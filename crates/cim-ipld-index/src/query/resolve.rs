//! Resolves the names in a query that are not built-in fields: each is an attribute if a document
//! has one of this name, and plain text otherwise.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::field::FIELDS;
use super::group::Group;
use super::node::Clause;
use super::{Field, Node, Query};
use crate::error::{Error, ErrorKind, Result};

impl Query {
    /// Returns the names that may be attributes.
    pub(crate) fn unresolved_names(&self) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        let nodes = self.root.iter().chain(&self.filter.others);
        nodes.filter(|node| node.is_unresolved()).for_each(|node| node.add_names(&mut names));
        names
    }

    /// Returns the query with every name resolved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidQuery`] if a name is not an attribute but resembles the name of a field.
    pub(crate) fn resolved(&self, is_attribute: &dyn Fn(&str) -> bool) -> Result<Cow<'_, Self>> {
        if !self.root.iter().chain(&self.filter.others).any(Node::is_unresolved) {
            return Ok(Cow::Borrowed(self));
        }
        let mut resolved = match &self.root {
            Some(Node::Unresolved(clauses)) => Group::new(resolve_clauses(clauses, is_attribute)?).into_query(0),
            Some(node) => Self { root: node.resolved(is_attribute)?, ..Self::default() },
            None => Self::default(),
        };
        let mut filter = self.filter.clone();
        filter.others.clear();
        for node in &self.filter.others {
            filter.others.extend(node.resolved(is_attribute)?);
        }
        resolved.filter.extend(filter);
        Ok(Cow::Owned(resolved))
    }
}

impl Node {
    /// Returns whether the node's meaning depends on which attributes exist.
    pub(super) fn is_unresolved(&self) -> bool {
        match self {
            Self::Named { .. } | Self::Unresolved(_) => true,
            Self::Boost(node, _) => node.is_unresolved(),
            Self::Bool { must, should, must_not } => must.iter().chain(should).chain(must_not).any(Self::is_unresolved),
            _ => false,
        }
    }

    fn add_names(&self, names: &mut BTreeSet<Arc<str>>) {
        match self {
            Self::Named { name, .. } => drop(names.insert(name.clone())),
            Self::Unresolved(clauses) => clauses.iter().for_each(|clause| clause.node.add_names(names)),
            Self::Boost(node, _) => node.add_names(names),
            Self::Bool { must, should, must_not } => {
                must.iter().chain(should).chain(must_not).for_each(|node| node.add_names(names))
            }
            _ => {}
        }
    }

    fn resolved(&self, is_attribute: &dyn Fn(&str) -> bool) -> Result<Option<Self>> {
        Ok(match self {
            Self::Named { name, resembled, node } => match (is_attribute(name), resembled) {
                (true, _) => Some((**node).clone()),
                (false, None) => Some(node.as_plain(name)),
                (false, Some(field)) => {
                    let detail = format!(
                        "the query names an unknown field; did you mean `{field}`? The fields are {FIELDS}; put a \
                         backslash before the name for an attribute, or quotes around the text"
                    );
                    return Err(Error::new(ErrorKind::InvalidQuery, detail));
                }
            },
            Self::Unresolved(clauses) => Group::new(resolve_clauses(clauses, is_attribute)?).into_node(),
            Self::Boost(node, factor) => node.resolved(is_attribute)?.map(|node| Self::Boost(Box::new(node), *factor)),
            Self::Bool { must, should, must_not } => {
                let resolve = |node: &Self| node.resolved(is_attribute).transpose();
                let all = |nodes: &[Self]| nodes.iter().filter_map(resolve).collect::<Result<Vec<_>>>();
                Some(Self::Bool { must: all(must)?, should: all(should)?, must_not: all(must_not)? })
            }
            other => Some(other.clone()),
        })
    }

    /// Returns a condition on an attribute as the words in which it is written.
    fn as_plain(&self, name: &str) -> Self {
        let with_name = |text: &str| format!("{name}:{text}");
        let field = Field::Any;
        match self {
            Self::Attribute { text, .. } => Self::Words { field, text: with_name(text), slop: 0 },
            Self::Words { text, slop, .. } => Self::Words { field, text: with_name(text), slop: *slop },
            Self::AttributePrefix { text, .. } => Self::Prefix { field, text: with_name(text), slop: 0 },
            Self::Prefix { text, slop, .. } => Self::Prefix { field, text: with_name(text), slop: *slop },
            Self::AttributeLike { pattern, .. } => {
                Self::Like { field, pattern: pattern.clone().behind(&with_name("")), slop: 0 }
            }
            Self::Like { pattern, slop, .. } => {
                Self::Like { field, pattern: pattern.clone().behind(&with_name("")), slop: *slop }
            }
            Self::Fuzzy { text, distance, .. } => Self::Fuzzy { field, text: with_name(text), distance: *distance },
            _ => Self::Words { field, text: name.to_owned(), slop: 0 },
        }
    }
}

fn resolve_clauses(clauses: &[Clause], is_attribute: &dyn Fn(&str) -> bool) -> Result<Vec<Clause>> {
    let resolve =
        |clause: &Clause| Ok(clause.node.resolved(is_attribute)?.map(|node| Clause { node, ..clause.clone() }));
    clauses.iter().filter_map(|clause| resolve(clause).transpose()).collect()
}
