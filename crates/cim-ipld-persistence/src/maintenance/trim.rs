//! Removes records of the journal that no process needs: those that were part of the index at the
//! watermark *before* the newest. A replica has one whole fold's time to read a record before it
//! goes, and one that is slower finds a gap in the revisions and reads the manifest.

use std::collections::HashSet;

use cim_ipld_backend::{Key, Revision};
use futures::StreamExt;

use crate::history::journal::{Dead, Unseen};
use crate::history::order::Verdict;
use crate::history::records;
use crate::history::shared::Shared;
use crate::objects::chunked::Chunked;
use crate::objects::layout::Layout;
use crate::rules::Rule;
use crate::{ErrorKind, Result};

/// Trims after a manifest that this process published.
pub(crate) async fn run(shared: &Shared) -> Result<()> {
    let objects = &shared.objects;
    let manifest = &shared.view().manifest.manifest;
    let dead_up_to = if objects.rules.hold(Rule::TrimDead) { manifest.previous_position } else { u64::MAX };
    let Dead { mut keys, mut spilled, unseen } = shared.journal().take_dead(dead_up_to);
    if let Some(unseen) = unseen {
        let found = find_dead(shared, &unseen, &mut keys, &mut spilled).await;
        if found.is_err() {
            shared.journal().look_again(unseen);
        }
        found?;
    }
    for chunked in spilled {
        objects.discard(&objects.layout.metadata, &chunked.keys()?).await;
    }
    objects.discard(&objects.layout.catalog, &keys).await;
    Ok(())
}

/// Finds what earlier processes left in the journal: everything that the order as of this process's
/// opening does not accept any more.
async fn find_dead(shared: &Shared, unseen: &Unseen, keys: &mut Vec<Key>, spilled: &mut Vec<Chunked>) -> Result<()> {
    let Unseen { opened_at, through } = unseen;
    let objects = &shared.objects;
    let layout = &objects.layout;
    let mut known: HashSet<Key> = keys.iter().cloned().collect();
    let mut journal = objects.backend.scan(&layout.catalog, &layout.journal, Revision::ZERO);
    while let Some(entry) = journal.next().await {
        let entry = entry?;
        if entry.entry.revision > *through {
            // From here on this process noted what it saw.
            break;
        }
        if shared.journal().position(&entry.key).is_some() {
            // Accepted since, and not dead yet.
            continue;
        }
        let opened = match records::open(objects, &entry) {
            Ok(opened) => opened,
            // Whatever it was, its writer has been heard since.
            Err(error) => {
                let place = Layout::record_place(&entry.key);
                let is_passed = place.is_some_and(|(writer, sequence)| opened_at.has_passed(writer, sequence));
                if error.kind() == ErrorKind::Damaged && is_passed {
                    keys.push(entry.key);
                }
                continue;
            }
        };
        if matches!(opened_at.judge(&opened), Verdict::Ignored(_)) && known.insert(entry.key.clone()) {
            spilled.extend(records::chunked(&opened.record.body));
            keys.push(entry.key);
        }
    }
    Ok(())
}
