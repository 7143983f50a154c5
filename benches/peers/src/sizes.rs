//! Sizes in bytes: the parts of a segment, an open segment in memory, and the pages that a cold
//! search fetches.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use cim_ipld_index::{PageClass, PageMap, PageSource, Progress, SearchOptions};
use tantivy::space_usage::{PerFieldSpaceUsage, SegmentSpaceUsage};

use crate::ours::{self, Ours};
use crate::queries::Class;
use crate::report::{Cold, Goal, Size};

/// The maximum number of rounds of fetching that a query may need.
const MOST_ROUNDS: usize = 3;

/// Compares the parts of the segments; `plain` is Tantivy's segment with stored documents left
/// uncompressed.
///
/// # Errors
///
/// The errors of the engines.
pub fn segments(ours: &Ours, packed: &SegmentSpaceUsage, plain: &SegmentSpaceUsage) -> Result<(Vec<Size>, Vec<Goal>)> {
    let mut classes: BTreeMap<PageClass, u64> = BTreeMap::new();
    for (_, id, page) in ours.pages().iter() {
        *classes.entry(id.class).or_default() += page.len() as u64;
    }
    let of = |wanted: &[PageClass]| wanted.iter().filter_map(|class| classes.get(class)).sum::<u64>();
    let field = |name: &str| {
        let parts =
            [packed.termdict(), packed.postings(), packed.positions(), packed.fieldnorms(), packed.fast_fields()];
        let fields = parts.into_iter().flat_map(|part| part.fields().filter(|field| field.field_name() == name));
        fields.map(|field| field.total().get_bytes()).sum::<u64>()
    };
    let text = |part: fn(&SegmentSpaceUsage) -> &PerFieldSpaceUsage| {
        let fields = part(packed).fields().filter(|field| ["any", "title", "author"].contains(&field.field_name()));
        fields.map(|field| field.total().get_bytes()).sum::<u64>()
    };
    let mut rows = vec![
        row("dictionary of words", of(&[PageClass::Dictionary]), text(SegmentSpaceUsage::termdict), ""),
        row(
            "postings",
            of(&[PageClass::Postings]),
            text(SegmentSpaceUsage::postings),
            "ours stores lists of up to 4 documents in the dictionary",
        ),
        row("positions", of(&[PageClass::Positions]), text(SegmentSpaceUsage::positions), ""),
        row("lengths", of(&[PageClass::Norms]), text(SegmentSpaceUsage::fieldnorms), ""),
        row(
            "tags, types and kinds",
            of(&[PageClass::Tags, PageClass::TagSets, PageClass::Types, PageClass::TypeSets]),
            field("tag") + field("type") + field("kind"),
            "",
        ),
        row("CIDs", of(&[PageClass::Cids, PageClass::CidFilter]), field("cid"), "ours with its filter"),
        row("sizes", numbers(&classes), field("size"), "columns of numbers"),
        row("header", of(&[PageClass::Header]), 0, ""),
    ];
    let stored = of(&[PageClass::Stored]);
    let (all, stored_packed, stored_plain) =
        (ours.pages().bytes(), packed.store().total().get_bytes(), plain.store().total().get_bytes());
    let (index, index_theirs) = (all - stored, packed.total().get_bytes() - stored_packed);
    rows.push(row("all but stored documents", index, index_theirs, ""));
    let uncompressed = "neither compressed; the envelope can compress ours, but does not by default";
    rows.push(row("stored documents", stored, stored_plain, uncompressed));
    rows.push(row("stored documents", stored, stored_packed, "Tantivy with LZ4, its default"));
    rows.push(row("all", all, index_theirs + stored_plain, "stored documents not compressed"));
    rows.push(row("all", all, index_theirs + stored_packed, "Tantivy's stored documents with LZ4"));
    let accounted: u64 = rows.iter().take(8).filter_map(|row| row.ours).sum();
    ensure!(accounted == index, "{} bytes of the segment are in no row", index - accounted);
    let share = |what: &str, ours: u64, theirs: u64, note: &str| Goal {
        what: what.to_owned(),
        goal: 0.9,
        at_least: false,
        figure: ours as f64 / theirs as f64,
        unit: "of Tantivy's".into(),
        note: note.to_owned(),
    };
    let goals = vec![
        share("segment bytes without stored documents", index, index_theirs, ""),
        share("segment bytes with stored documents", all, index_theirs + stored_plain, "neither compressed"),
        share(
            "segment bytes with stored documents, Tantivy's LZ4",
            all,
            index_theirs + stored_packed,
            "ours not compressed",
        ),
        resident(ours),
    ];
    Ok((rows, goals))
}

/// Returns the bytes of the pages with numbers: those of all classes that are not listed here.
fn numbers(classes: &BTreeMap<PageClass, u64>) -> u64 {
    let is_number = |class: &PageClass| {
        !matches!(
            class,
            PageClass::Header
                | PageClass::Dictionary
                | PageClass::Postings
                | PageClass::Positions
                | PageClass::Norms
                | PageClass::Stored
                | PageClass::Cids
                | PageClass::CidFilter
                | PageClass::Tags
                | PageClass::Types
                | PageClass::TagSets
                | PageClass::TypeSets
        )
    };
    classes.iter().filter(|(class, _)| is_number(class)).map(|(_, bytes)| bytes).sum()
}

fn row(part: &str, ours: u64, tantivy: u64, note: &str) -> Size {
    Size { part: part.to_owned(), ours: Some(ours), tantivy: Some(tantivy), note: note.to_owned() }
}

fn resident(ours: &Ours) -> Goal {
    let segments = ours.snapshot().segments();
    let resident: usize = segments.iter().map(|(segment, _)| segment.resident_bytes()).sum();
    Goal {
        what: "resident bytes of an open, cold segment".into(),
        goal: 1.0,
        at_least: false,
        figure: 100.0 * resident as f64 / ours.pages().bytes() as f64,
        unit: "% of the segment".into(),
        note: format!("{resident} bytes; without the CID filter, which has its own pages"),
    }
}

/// Searches without cached pages, and fetches the requested pages until the hits are complete.
///
/// # Errors
///
/// If a search keeps requesting pages.
pub fn cold(classes: &[Class], ours: &Ours) -> Result<(Vec<Cold>, Goal)> {
    let mut rows = Vec::new();
    for class in classes {
        let (mut most_rounds, mut pages, mut bytes) = (0, 0, 0);
        for question in &class.questions {
            let query = ours::query(question);
            let mut fetched = PageMap::new();
            let mut rounds = 0;
            while let Progress::Need(needed) = ours.snapshot().search(&query, &SearchOptions::default(), &fetched)? {
                rounds += 1;
                ensure!(rounds <= 2 * MOST_ROUNDS, "{question:?} keeps requesting pages");
                for (segment, id) in needed {
                    if let Some(page) = ours.pages().page(segment, id) {
                        pages += 1;
                        bytes += page.len();
                        fetched.insert(segment, id, page);
                    }
                }
            }
            most_rounds = most_rounds.max(rounds);
        }
        let mean = |sum: usize| sum as f64 / class.questions.len() as f64;
        rows.push(Cold { class: class.name.clone(), most_rounds, mean_pages: mean(pages), mean_bytes: mean(bytes) });
    }
    let goal = Goal {
        what: "rounds of fetching that a cold search needs, at most".into(),
        goal: MOST_ROUNDS as f64,
        at_least: false,
        figure: rows.iter().map(|row| row.most_rounds).max().unwrap_or(0) as f64,
        unit: "rounds".into(),
        note: "hits with stored fields, no page cached".into(),
    };
    Ok((rows, goal))
}
