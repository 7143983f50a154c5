//! Turns a query into a plan: words are folded, phrases split, boosts multiplied out.

mod merged;
mod part;
mod words;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use merged::merged;

use super::levenshtein::{LevenshteinAutomaton, Matcher};
use super::name_filter::NameFilter;
use crate::analysis::{Analyzer, Form, fold_keyword};
use crate::document::text_field::Field;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, ColumnKind};
use crate::page::PageClass;
use crate::query::{self, Has, Node, NumberField, NumberRange, Pattern, Query};

/// The boost of a compound form over a plain word, so that documents with the compound form rank
/// above those with only its words.
const COMPOUND_BOOST: f32 = 2.0;
/// If a query has at least this many leaves, they are looked up by hash instead of one by one.
const MANY_LEAVES: usize = 32;

/// What to look up for a query, and how to combine it.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// Conditions that documents must match, without score.
    pub(crate) wanted: Vec<Plan>,
    /// Conditions that documents must not match.
    pub(crate) unwanted: Vec<Plan>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) sets: Vec<SetSelector>,
}

/// The operations to evaluate. Words and sets are referenced by their indexes in the lists of
/// leaves and sets.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Plan {
    #[default]
    Nothing,
    All,
    Leaf {
        leaf: usize,
        boost: f32,
    },
    /// Leaves with the positions of their words in the phrase.
    Phrase {
        leaves: Vec<(usize, u32)>,
        slop: u32,
        boost: f32,
    },
    /// A set, with score 0.
    Set(usize),
    Bool {
        must: Vec<Plan>,
        should: Vec<Plan>,
        must_not: Vec<Plan>,
    },
}

/// One or more words of one field that are scored as one term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Leaf {
    pub(crate) field: Field,
    pub(crate) form: Form,
    pub(crate) want: TermSelector,
    pub(crate) needs_positions: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TermSelector {
    Word(String),
    Prefix(String),
    Like(Pattern),
    Fuzzy(LevenshteinAutomaton),
}

/// Selects a set of documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SetSelector {
    /// The documents with a name, given by its key.
    Name(PageClass, Vec<u8>),
    /// The documents with a name whose key has this prefix.
    NamesFrom(PageClass, Vec<u8>),
    /// The documents with a name whose key has this prefix and that passes a filter.
    NamesLike(PageClass, Vec<u8>, NameFilter),
    /// The documents with words in a field, given by its index.
    Words(usize),
    /// The documents with a number in a range of codes.
    Numbers(ColumnKind, Arc<str>, RangeInclusive<u64>),
}

/// Plans a query. Parts without words, such as `--`, are ignored.
///
/// # Errors
///
/// [`ErrorKind::InvalidQuery`] if the query is nested too deeply, and
/// [`ErrorKind::QueryTooExpensive`] if it needs more than `max_clauses` lookups.
pub(crate) fn plan(query: &Query, analyzer: &Analyzer, max_clauses: u64) -> Result<Planned> {
    let mut planner = Planner {
        analyzer,
        planned: Planned::default(),
        by_leaf: HashMap::new(),
        by_set: HashMap::new(),
        clauses: 0,
        max_clauses,
    };
    planner.planned.plan = match &query.root {
        None => Plan::All,
        Some(node) => planner.node(node, 1.0)?.unwrap_or(Plan::Nothing),
    };
    if !query.filter.is_empty() {
        let (wanted, unwanted) = query.filter.clone().into_nodes();
        planner.planned.wanted = planner.nodes(&wanted, 0.0)?;
        planner.planned.unwanted = planner.nodes(&unwanted, 0.0)?;
    }
    Ok(planner.planned)
}

struct Planner<'a> {
    analyzer: &'a Analyzer,
    planned: Planned,
    /// The indexes of the leaves by hash, once there are many.
    by_leaf: HashMap<Leaf, usize>,
    by_set: HashMap<SetSelector, usize>,
    /// The number of lookups so far. Repetitions count.
    clauses: u64,
    max_clauses: u64,
}

impl Planner<'_> {
    fn node(&mut self, node: &Node, boost: f32) -> Result<Option<Plan>> {
        Ok(match node {
            Node::All => Some(Plan::All),
            Node::Words { field, text, slop } => self.words(field, text, *slop, boost)?,
            Node::Prefix { field, text, slop } => self.prefix(field, text, *slop, boost)?,
            Node::Like { field, pattern, slop } => self.like(field, pattern, (*slop, boost))?,
            Node::Fuzzy { field, text, distance } => self.beginning(field, text, (0, boost), |word| {
                TermSelector::Fuzzy(LevenshteinAutomaton::new(&word, *distance))
            })?,
            Node::Boost(node, factor) => self.node(node, product(boost, *factor))?,
            Node::Bool { must, should, must_not } => {
                let must = merged(self.nodes(must, boost)?);
                let should = merged(self.nodes(should, boost)?);
                let must_not = merged(self.nodes(must_not, boost)?);
                match (must.is_empty(), should.is_empty()) {
                    (true, true) => None,
                    _ => Some(Plan::Bool { must, should, must_not }),
                }
            }
            Node::TooDeep => {
                let detail = format!("queries are nested more than {} deep", query::MAX_DEPTH);
                return Err(Error::new(ErrorKind::InvalidQuery, detail));
            }
            Node::Attribute { .. } | Node::AttributePrefix { .. } | Node::AttributeLike { .. } => {
                Some(self.attribute(node, boost)?)
            }
            // A query is resolved before it is planned.
            Node::Named { node, .. } => self.node(node, boost)?,
            Node::Unresolved(_) => None,
            filter => Some(self.filter(filter)?),
        })
    }

    /// Plans a condition that selects without scoring.
    fn filter(&mut self, node: &Node) -> Result<Plan> {
        let want = match node {
            Node::Tag(tag) => SetSelector::Name(PageClass::Tags, keys::tag(&fold_keyword(tag))),
            Node::TagLike(pattern) => {
                let pattern = pattern.map_texts(|text| fold_keyword(text).into_owned());
                names_like(PageClass::Tags, keys::tag(""), pattern)
            }
            Node::Type(name) => SetSelector::of_type(&fold_keyword(name)),
            Node::TypeLike(pattern) => {
                let pattern = pattern.map_texts(|text| fold_keyword(text).into_owned());
                names_like(PageClass::Types, keys::content_type(""), pattern)
            }
            Node::Kind(kind) => SetSelector::Name(PageClass::Types, keys::kind(kind.code())),
            Node::Has(Has::Tag) => SetSelector::NamesFrom(PageClass::Tags, keys::tag("")),
            Node::Has(Has::Type) => SetSelector::NamesFrom(PageClass::Types, keys::content_type("")),
            Node::Has(Has::Words(field)) => match (field, field.index()) {
                (Field::Attribute(name), _) => return self.exists(name),
                (_, index) => SetSelector::Words(index.unwrap_or(0)),
            },
            Node::Exists(name) => return self.exists(name),
            Node::Range(range) => return Ok(any(self.range(range)?)),
            _ => return Ok(Plan::Nothing),
        };
        self.set(want)
    }

    fn nodes(&mut self, nodes: &[Node], boost: f32) -> Result<Vec<Plan>> {
        nodes.iter().filter_map(|node| self.node(node, boost).transpose()).collect()
    }

    /// Plans all possible types of an attribute: a keyword, words, a number or a date.
    fn attribute(&mut self, node: &Node, boost: f32) -> Result<Plan> {
        let mut parts = Vec::new();
        match node {
            Node::Attribute { name, text } => {
                parts.push(self.set(SetSelector::Name(PageClass::Tags, keys::keyword(name, text)))?);
                parts.extend(self.words(&Field::Attribute(name.clone()), text, 0, boost)?);
                for range in NumberRange::of_text(name, text) {
                    parts.extend(self.range(&range)?);
                }
            }
            Node::AttributePrefix { name, text } => {
                parts.push(self.set(SetSelector::NamesFrom(PageClass::Tags, keys::keyword(name, text)))?);
                parts.extend(self.prefix(&Field::Attribute(name.clone()), text, 0, boost)?);
            }
            Node::AttributeLike { name, pattern } => {
                parts.push(self.set(names_like(PageClass::Tags, keys::keyword(name, ""), pattern.clone()))?);
                parts.extend(self.like(&Field::Attribute(name.clone()), pattern, (0, boost))?);
            }
            _ => {}
        }
        Ok(any(parts))
    }

    fn range(&mut self, range: &NumberRange) -> Result<Vec<Plan>> {
        let (kinds, name) = range.field.columns();
        let codes = kinds.iter().filter_map(|kind| Some(SetSelector::Numbers(*kind, name.into(), range.codes(*kind)?)));
        codes.map(|want| self.set(want)).collect()
    }

    fn exists(&mut self, name: &Arc<str>) -> Result<Plan> {
        Ok(any(SetSelector::of_attribute(name).map(|want| self.set(want)).collect::<Result<_>>()?))
    }

    fn set(&mut self, want: SetSelector) -> Result<Plan> {
        self.count()?;
        let sets = &mut self.planned.sets;
        Ok(Plan::Set(*self.by_set.entry(want).or_insert_with_key(|want| {
            sets.push(want.clone());
            sets.len() - 1
        })))
    }

    fn leaf(&mut self, field: &Field, (form, want): (Form, TermSelector), needs_positions: bool) -> Result<usize> {
        self.count()?;
        let leaf = Leaf { field: field.clone(), form, want, needs_positions };
        let leaves = &mut self.planned.leaves;
        if leaves.len() < MANY_LEAVES {
            return Ok(leaves.iter().position(|known| *known == leaf).unwrap_or_else(|| {
                leaves.push(leaf);
                leaves.len() - 1
            }));
        }
        if self.by_leaf.is_empty() {
            self.by_leaf = leaves.iter().cloned().zip(0..).collect();
        }
        Ok(*self.by_leaf.entry(leaf).or_insert_with_key(|leaf| {
            leaves.push(leaf.clone());
            leaves.len() - 1
        }))
    }

    fn count(&mut self) -> Result<()> {
        self.clauses += 1;
        if self.clauses > self.max_clauses {
            let detail = format!(
                "needs more than the limit of {} lookups of words, names and numbers (clauses)",
                self.max_clauses
            );
            return Err(Error::new(ErrorKind::QueryTooExpensive, detail));
        }
        Ok(())
    }
}

impl SetSelector {
    /// Selects the documents of a folded content type.
    fn of_type(name: &str) -> Self {
        let start = keys::content_type("").len();
        match name.strip_suffix('*').filter(|range| range.ends_with('/')) {
            Some("*/") => Self::NamesFrom(PageClass::Types, keys::content_type("")),
            Some(range) => Self::NamesFrom(PageClass::Types, keys::content_type(range)),
            None => {
                let essence = name.split(';').next().unwrap_or_default().trim();
                let test = NameFilter::of_type(start, name);
                Self::NamesLike(PageClass::Types, keys::content_type(essence), test)
            }
        }
    }

    /// Selects the documents with an attribute.
    pub(super) fn of_attribute(name: &Arc<str>) -> impl Iterator<Item = Self> {
        let (kinds, _) = NumberField::Attribute(name.clone()).columns();
        let kinds = kinds.iter().copied().chain([ColumnKind::Length]);
        let keywords = Self::NamesFrom(PageClass::Tags, keys::keyword(name, ""));
        let name = name.clone();
        kinds.map(move |kind| Self::Numbers(kind, name.clone(), 0..=u64::MAX)).chain([keywords])
    }
}

/// Selects the names in a table that match a pattern. `key` is the prefix of their keys.
fn names_like(class: PageClass, mut key: Vec<u8>, pattern: Pattern) -> SetSelector {
    let test = NameFilter::of_pattern(key.len(), pattern.clone());
    key.extend_from_slice(pattern.literal_prefix().as_bytes());
    match pattern.as_prefix() {
        Some(_) => SetSelector::NamesFrom(class, key),
        None => SetSelector::NamesLike(class, key, test),
    }
}

/// Tests one word after another against a selector.
pub(crate) enum TermMatcher<'a> {
    Word(&'a str),
    Prefix(&'a str),
    Like(&'a Pattern),
    Fuzzy(Matcher<'a>),
}

impl TermSelector {
    pub(crate) fn matcher(&self) -> TermMatcher<'_> {
        match self {
            Self::Word(word) => TermMatcher::Word(word),
            Self::Prefix(prefix) => TermMatcher::Prefix(prefix),
            Self::Like(pattern) => TermMatcher::Like(pattern),
            Self::Fuzzy(fuzzy) => TermMatcher::Fuzzy(fuzzy.matcher()),
        }
    }
}

impl TermMatcher<'_> {
    pub(crate) fn accepts(&mut self, word: &str) -> bool {
        match self {
            Self::Word(wanted) => *wanted == word,
            Self::Prefix(prefix) => word.starts_with(*prefix),
            Self::Like(pattern) => pattern.accepts(word),
            Self::Fuzzy(matcher) => matcher.accepts(word),
        }
    }
}

/// Multiplies boosts. Callers may pass any number; scores must stay finite.
fn product(boost: f32, factor: f32) -> f32 {
    let product = boost * factor;
    if product.is_nan() { 0.0 } else { product.clamp(0.0, f32::MAX) }
}

fn any(mut parts: Vec<Plan>) -> Plan {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or(Plan::Nothing),
        _ => Plan::Bool { must: Vec::new(), should: parts, must_not: Vec::new() },
    }
}
