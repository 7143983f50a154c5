//! From a query to what must be looked up: words folded, phrases cut, boosts multiplied out.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::fuzzy::{Fuzzy, Matcher};
use crate::analysis::{Analyzer, Form, QueryWord, fold_keyword};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, ColumnKind};
use crate::page::PageClass;
use crate::query::{Field, Node, NumberField, Query, Range};

/// How much more a form of its own counts than it would as a word, so that it comes before what has its words alone.
const WHOLE_BOOST: f32 = 2.0;
/// The deepest that queries may stand in queries.
const MAX_DEPTH: usize = 250;

/// What to look up for a query, and how to put it together.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// Documents must match all of these, which do not score.
    pub(crate) wanted: Vec<Plan>,
    /// Documents must match none of these.
    pub(crate) unwanted: Vec<Plan>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) sets: Vec<SetWant>,
}

/// What to evaluate, naming words and sets by their places in the lists of leaves and sets.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Plan {
    #[default]
    Nothing,
    All,
    Leaf {
        leaf: usize,
        boost: f32,
    },
    /// Leaves with the places of their words in the phrase.
    Phrase {
        leaves: Vec<(usize, u32)>,
        slop: u32,
        boost: f32,
    },
    /// A set, with no score.
    Set(usize),
    Bool {
        must: Vec<Plan>,
        should: Vec<Plan>,
        must_not: Vec<Plan>,
    },
}

/// One or more words of one field that score as one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) field: Field,
    pub(crate) form: Form,
    pub(crate) want: Want,
    pub(crate) needs_positions: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Want {
    Word(String),
    Prefix(String),
    Fuzzy(Fuzzy),
}

/// A set of documents.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SetWant {
    /// Those that carry a name, by its key.
    Name(PageClass, Vec<u8>),
    /// Those that carry a name whose key starts like this.
    NamesFrom(PageClass, Vec<u8>),
    /// Those with a number in a range of codes.
    Numbers(ColumnKind, Arc<str>, RangeInclusive<u64>),
}

/// Makes the plan of a query. Parts that have no words in them, such as `--`, do not count.
///
/// # Errors
///
/// [`ErrorKind::InvalidQuery`] if queries stand too deep in queries.
pub(crate) fn plan(query: &Query, analyzer: &Analyzer) -> Result<Planned> {
    let mut planner = Planner { analyzer, planned: Planned::default() };
    planner.planned.plan = match &query.root {
        None => Plan::All,
        Some(node) => planner.node(node, 1.0, 0)?.unwrap_or(Plan::Nothing),
    };
    if !query.filter.is_empty() {
        let (wanted, unwanted) = query.filter.clone().into_nodes();
        planner.planned.wanted = planner.nodes(&wanted, 0.0, 0)?;
        planner.planned.unwanted = planner.nodes(&unwanted, 0.0, 0)?;
    }
    Ok(planner.planned)
}

struct Planner<'a> {
    analyzer: &'a Analyzer,
    planned: Planned,
}

impl Planner<'_> {
    fn node(&mut self, node: &Node, boost: f32, depth: usize) -> Result<Option<Plan>> {
        if depth > MAX_DEPTH {
            let detail = format!("queries stand more than {MAX_DEPTH} deep in queries");
            return Err(Error::new(ErrorKind::InvalidQuery, detail));
        }
        Ok(match node {
            Node::All => Some(Plan::All),
            Node::Words { field, text, slop } => self.words(field, text, *slop, boost),
            Node::Prefix { field, text } => self.last_word(field, text, boost, Want::Prefix),
            Node::Fuzzy { field, text, distance } => {
                self.last_word(field, text, boost, |word| Want::Fuzzy(Fuzzy::new(&word, *distance)))
            }
            Node::Tag(tag) => Some(self.name(PageClass::Tags, keys::tag(&fold_keyword(tag)))),
            Node::Type(name) => Some(self.name(PageClass::Types, keys::content_type(&fold_keyword(name)))),
            Node::Kind(kind) => Some(self.name(PageClass::Types, keys::kind(kind.code()))),
            Node::Attribute { name, text } => {
                let mut parts = vec![self.name(PageClass::Tags, keys::keyword(name, text))];
                parts.extend(self.words(&Field::Attribute(name.clone()), text, 0, boost));
                for range in Range::of_text(name, text) {
                    parts.extend(self.range(&range));
                }
                Some(any(parts))
            }
            Node::AttributePrefix { name, text } => {
                let mut parts = vec![self.set(SetWant::NamesFrom(PageClass::Tags, keys::keyword(name, text)))];
                parts.extend(self.last_word(&Field::Attribute(name.clone()), text, boost, Want::Prefix));
                Some(any(parts))
            }
            Node::Exists(name) => Some(self.exists(name)),
            Node::Range(range) => Some(any(self.range(range))),
            Node::Boost(node, factor) => self.node(node, product(boost, *factor), depth + 1)?,
            Node::Bool { must, should, must_not } => {
                let must = self.nodes(must, boost, depth + 1)?;
                let should = self.nodes(should, boost, depth + 1)?;
                let must_not = self.nodes(must_not, boost, depth + 1)?;
                match (must.is_empty(), should.is_empty()) {
                    (true, true) => None,
                    _ => Some(Plan::Bool { must, should, must_not }),
                }
            }
        })
    }

    fn nodes(&mut self, nodes: &[Node], boost: f32, depth: usize) -> Result<Vec<Plan>> {
        nodes.iter().filter_map(|node| self.node(node, boost, depth).transpose()).collect()
    }

    fn words(&mut self, field: &Field, text: &str, slop: u32, boost: f32) -> Option<Plan> {
        let cut = self.analyzer.query_words(text);
        let words = self.sequence(field, cut.words, slop, boost)?;
        let whole = |form: QueryWord| {
            let leaf = self.leaf(field, Form::Whole, Want::Word(form.text), false);
            Plan::Leaf { leaf, boost: product(boost, WHOLE_BOOST) }
        };
        let should: Vec<Plan> = cut.whole.into_iter().map(whole).collect();
        Some(if should.is_empty() { words } else { Plan::Bool { must: vec![words], should, must_not: Vec::new() } })
    }

    /// One word, or words that follow each other.
    fn sequence(&mut self, field: &Field, mut words: Vec<QueryWord>, slop: u32, boost: f32) -> Option<Plan> {
        if words.len() == 1 {
            let leaf = self.leaf(field, Form::Word, Want::Word(words.pop()?.text), false);
            return Some(Plan::Leaf { leaf, boost });
        }
        let first = words.first()?.position;
        let leaves = words
            .into_iter()
            .map(|word| (self.leaf(field, Form::Word, Want::Word(word.text), true), word.position - first));
        Some(Plan::Phrase { leaves: leaves.collect(), slop, boost })
    }

    /// A part whose last word is not exact; words before it must be there too.
    fn last_word(&mut self, field: &Field, text: &str, boost: f32, want: impl Fn(String) -> Want) -> Option<Plan> {
        let cut = self.analyzer.query_beginning(text)?;
        let mut must: Vec<Plan> = Vec::new();
        for word in cut.before {
            must.push(Plan::Leaf { leaf: self.leaf(field, Form::Word, Want::Word(word.text), false), boost });
        }
        let form = self.analyzer.form_of_letters();
        let last = Plan::Leaf { leaf: self.leaf(field, form, want(cut.last.text), false), boost };
        if must.is_empty() {
            return Some(last);
        }
        must.push(last);
        Some(Plan::Bool { must, should: Vec::new(), must_not: Vec::new() })
    }

    fn range(&mut self, range: &Range) -> Vec<Plan> {
        let (kinds, name) = range.field.columns();
        let codes = kinds.iter().filter_map(|kind| Some(SetWant::Numbers(*kind, name.into(), range.codes(*kind)?)));
        codes.map(|want| self.set(want)).collect()
    }

    fn exists(&mut self, name: &Arc<str>) -> Plan {
        let (kinds, _) = NumberField::Attribute(name.clone()).columns();
        let kinds = kinds.iter().copied().chain([ColumnKind::Length]);
        let mut parts: Vec<Plan> =
            kinds.map(|kind| self.set(SetWant::Numbers(kind, name.clone(), 0..=u64::MAX))).collect();
        parts.push(self.set(SetWant::NamesFrom(PageClass::Tags, keys::keyword(name, ""))));
        any(parts)
    }

    fn name(&mut self, class: PageClass, key: Vec<u8>) -> Plan {
        self.set(SetWant::Name(class, key))
    }

    fn set(&mut self, want: SetWant) -> Plan {
        self.planned.sets.push(want);
        Plan::Set(self.planned.sets.len() - 1)
    }

    fn leaf(&mut self, field: &Field, form: Form, want: Want, needs_positions: bool) -> usize {
        let leaf = Leaf { field: field.clone(), form, want, needs_positions };
        let leaves = &mut self.planned.leaves;
        match leaves.iter().position(|known| *known == leaf) {
            Some(index) => index,
            None => {
                leaves.push(leaf);
                leaves.len() - 1
            }
        }
    }
}

/// Says of one word after another whether it is what is wanted.
pub(crate) enum WantMatcher<'a> {
    Word(&'a str),
    Prefix(&'a str),
    Fuzzy(Matcher<'a>),
}

impl Want {
    pub(crate) fn matcher(&self) -> WantMatcher<'_> {
        match self {
            Self::Word(word) => WantMatcher::Word(word),
            Self::Prefix(prefix) => WantMatcher::Prefix(prefix),
            Self::Fuzzy(fuzzy) => WantMatcher::Fuzzy(fuzzy.matcher()),
        }
    }
}

impl WantMatcher<'_> {
    pub(crate) fn accepts(&mut self, word: &str) -> bool {
        match self {
            Self::Word(wanted) => *wanted == word,
            Self::Prefix(prefix) => word.starts_with(*prefix),
            Self::Fuzzy(matcher) => matcher.accepts(word),
        }
    }
}

/// A boost may be any number that a caller finds: scores stay numbers.
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
