//! The paths of a document that was read from files. Files with the same bytes are one document
//! with several paths. If a file has changed, its path is moved from the document of its old bytes
//! to the document of its new bytes.

use std::collections::HashMap;

use cim_ipld::Cid;
use cim_ipld::index::{Document, MAX_KEYWORD_BYTES, MAX_LIST_VALUES, Query, SearchOptions, Value};
use cim_ipld::persistence::Engine;

use crate::failure::Result;

/// The attribute with the absolute paths.
pub(crate) const PATHS: &str = "cim.path";
/// The attribute with the displayed names of the paths, in the same order, relative to the indexed
/// folder.
const NAMES: &str = "cim.name";

/// The maximum number of names in a title. Further paths are only in the attribute.
const NAMES_IN_TITLE: usize = 8;

/// The path of a file and its displayed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath {
    pub(crate) path: String,
    pub(crate) name: String,
}

/// The paths of a document, in the order of discovery.
pub(crate) fn of(document: &Document) -> Vec<FilePath> {
    let texts = |name| document.attributes.get(name).into_iter().flat_map(texts);
    texts(PATHS)
        .zip(texts(NAMES))
        .map(|(path, name)| FilePath { path: path.to_owned(), name: name.to_owned() })
        .collect()
}

/// Sets the paths of a document, and a title composed of their names. Paths that are too long to be
/// looked up, or that exceed the maximum list length, are not stored.
pub(crate) fn set(document: &mut Document, paths: &[FilePath]) {
    let is_short = |path: &&FilePath| path.path.len() <= MAX_KEYWORD_BYTES && path.name.len() <= MAX_KEYWORD_BYTES;
    let kept: Vec<&FilePath> = paths.iter().filter(is_short).take(MAX_LIST_VALUES).collect();
    let list = |part: fn(&FilePath) -> &String| {
        Value::List(kept.iter().map(|path| Value::String(part(path).clone())).collect())
    };
    if !kept.is_empty() {
        document.attributes.insert(PATHS.to_owned(), list(|path| &path.path));
        document.attributes.insert(NAMES.to_owned(), list(|path| &path.name));
    }
    let names: Vec<&str> = paths.iter().take(NAMES_IN_TITLE).map(|path| path.name.as_str()).collect();
    document.title = Some(names.join(" | "));
}

/// Adds the paths that are not present yet.
pub(crate) fn merge(paths: &mut Vec<FilePath>, more: Vec<FilePath>) {
    for path in more {
        if !paths.iter().any(|known| known.path == path.path) {
            paths.push(path);
        }
    }
}

/// Reconciles the paths of a batch of file documents with the index. To each document, it adds the
/// paths that the document already has in the index. If a path belongs to another document in the
/// index, it is removed there, and that document is added to the batch. Returns the documents that
/// have no path any more.
///
/// Batches must be processed one at a time, because each depends on the changes of the previous
/// one.
pub(crate) async fn fit(engine: &Engine, documents: &mut Vec<Document>) -> Result<Vec<Cid>> {
    let mut by_cid: HashMap<Cid, Vec<FilePath>> = HashMap::new();
    for document in documents.iter() {
        let paths = of(document);
        if !paths.is_empty() {
            merge(by_cid.entry(document.cid).or_default(), paths);
        }
    }
    if by_cid.is_empty() {
        return Ok(Vec::new());
    }
    let cids: Vec<Cid> = by_cid.keys().copied().collect();
    for document in engine.documents(&cids).await?.iter().flatten() {
        let paths = by_cid.get_mut(&document.cid).expect("it was asked for");
        let mut known = of(document);
        merge(&mut known, std::mem::take(paths));
        *paths = known;
    }
    let mut older: HashMap<Cid, Document> = HashMap::new();
    let found: Vec<(Cid, FilePath)> =
        documents.iter().flat_map(|document| of(document).into_iter().map(|path| (document.cid, path))).collect();
    for (cid, FilePath { path, .. }) in found {
        for document in with_path(engine, &path).await? {
            if document.cid == cid {
                continue;
            }
            let paths = by_cid.entry(document.cid).or_insert_with(|| of(&document));
            paths.retain(|other| other.path != path);
            older.entry(document.cid).or_insert(document);
        }
    }
    for document in documents.iter_mut() {
        if let Some(paths) = by_cid.get(&document.cid).filter(|paths| !paths.is_empty()) {
            set(document, paths);
        }
        older.remove(&document.cid);
    }
    let mut gone = Vec::new();
    for (cid, mut document) in older {
        match by_cid.get(&cid) {
            Some(paths) if !paths.is_empty() => {
                set(&mut document, paths);
                documents.push(document);
            }
            _ => gone.push(cid),
        }
    }
    Ok(gone)
}

/// Returns the documents with exactly this path.
async fn with_path(engine: &Engine, path: &str) -> Result<Vec<Document>> {
    let options = SearchOptions::default().limit(16);
    let hits = engine.search(&Query::attribute(PATHS, path), &options).await?.hits;
    let cids: Vec<Cid> = hits.iter().map(|hit| hit.cid).collect();
    let documents = engine.documents(&cids).await?.into_iter().flatten();
    // Queries are case-insensitive; paths are not.
    Ok(documents.filter(|document| of(document).iter().any(|known| known.path == path)).collect())
}

/// Returns the strings of a list attribute.
pub(crate) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    let items = match list {
        Value::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(|value| match value {
        Value::String(text) | Value::Keyword(text) | Value::Text(text) => Some(text.as_str()),
        _ => None,
    })
}
