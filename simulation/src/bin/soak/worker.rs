//! One process of the soak, which writes, folds and merges, or reads.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::Backend;
use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
use cim_ipld_index::{Document, Query, SearchOptions};
use cim_ipld_nats::{NatsBackend, NatsSettings};
use cim_ipld_persistence::{Engine, ErrorKind, FilePin, Result, Settings, content_cid};

use crate::ledger::{SLOTS, is_put};

pub(crate) fn key() -> KeySource {
    KeySource::from(EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [7; 32]))
}

/// Returns settings with a small memtable, so that there is always something to fold and to merge.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.memtable_budget_bytes = Some(128 << 10);
    settings
}

pub(crate) async fn connect(urls: &str, replicas: usize) -> cim_ipld_backend::Result<Arc<dyn Backend>> {
    let mut settings = NatsSettings::default();
    settings.replicas = replicas;
    let mut last = None;
    for url in urls.split(',') {
        match NatsBackend::connect_with(url, settings.clone()).await {
            Ok(backend) => return Ok(Arc::new(backend)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("a URL"))
}

pub(crate) fn document(slot: u32, version: u64) -> Document {
    let text = format!("every document of slot{slot} in version{version} {}", "ballast ".repeat(60));
    Document::new(cid(slot)).with_title(version.to_string()).with_text(text)
}

pub(crate) fn cid(slot: u32) -> cid::Cid {
    content_cid(&slot.to_le_bytes())
}

pub(crate) fn version(document: &Document) -> u64 {
    document.title.as_deref().and_then(|title| title.parse().ok()).expect("a version")
}

fn say(text: std::fmt::Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    // Ignored if the reader has ended.
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// Runs `ROLE NUMBER URLS PIN VERSION` until it is killed.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let [role, number, urls, pin, version] = args else { return ExitCode::from(2) };
    let (number, version) = (number.parse().expect("a number"), version.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let worked = runtime.expect("a runtime").block_on(async {
        loop {
            let engine = match open(urls, Path::new(pin)).await {
                Err(error) if is_passing(error.kind()) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
                opened => opened?,
            };
            say(format_args!("open 0 0"));
            return match role.as_str() {
                "writer" => write(&engine, number, version).await,
                "folder" => fold(&engine).await,
                _ => read(&engine).await,
            };
        }
    });
    if let Err(error) = worked {
        say(format_args!("fail 0 0 {error:?}"));
    }
    ExitCode::FAILURE
}

async fn open(urls: &str, pin: &Path) -> Result<Engine> {
    let backend = connect(urls, 1).await?;
    Engine::builder(backend).settings(settings()).pin(Arc::new(FilePin::new(pin))).open(Some(key())).await
}

/// Returns whether the error is expected: the store is unreachable, or another process was faster.
pub(crate) fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Conflict)
}

async fn write(engine: &Engine, number: u32, first: u64) -> Result<()> {
    for version in first.. {
        let slot = number * SLOTS + u32::try_from(version % u64::from(SLOTS)).expect("small");
        say(format_args!("try {slot} {version}"));
        let written = match is_put(version) {
            true => engine.index(&[document(slot, version)]).await,
            false => engine.delete(&[cid(slot)]).await,
        };
        match written {
            Ok(_) => say(format_args!("ack {slot} {version}")),
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => say(format_args!("unsure {slot} {version}")),
            Err(error) if is_passing(error.kind()) => say(format_args!("not {slot} {version}")),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn fold(engine: &Engine) -> Result<()> {
    for round in 0u64.. {
        for worked in [engine.fold().await, engine.merge().await] {
            match worked {
                Err(error) if !is_passing(error.kind()) => return Err(error),
                _ => say(format_args!("fold 0 {round}")),
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}

/// Reads repeatedly, and checks that no version is found after a later one, and no document twice.
async fn read(engine: &Engine) -> Result<()> {
    let mut newest = BTreeMap::new();
    loop {
        match read_once(engine, &mut newest).await {
            Err(error) if !is_passing(error.kind()) => return Err(error),
            Err(_) => say(format_args!("unread 0 0")),
            Ok(()) => say(format_args!("read 0 0")),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn read_once(engine: &Engine, newest: &mut BTreeMap<usize, u64>) -> Result<()> {
    let cids: Vec<_> = (0..2 * SLOTS).map(cid).collect();
    for (slot, found) in engine.documents(&cids).await?.into_iter().enumerate() {
        let Some(found) = found.as_ref().map(version) else { continue };
        let known = newest.entry(slot).or_insert(found);
        if found < *known {
            say(format_args!("fail 0 0 slot {slot} went back from version {known} to {found}"));
        }
        *known = found.max(*known);
    }
    let query = Query::parse("every").expect("a query");
    let found = engine.search(&query, &SearchOptions::default().limit(1000)).await?;
    let distinct: std::collections::BTreeSet<_> = found.hits.iter().map(|hit| hit.cid).collect();
    if distinct.len() != found.hits.len() || found.total != distinct.len() as u64 {
        say(format_args!("fail 0 0 a document is found twice"));
    }
    Ok(())
}
