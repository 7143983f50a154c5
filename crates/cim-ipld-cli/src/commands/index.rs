use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cim_ipld::Cid;
use cim_ipld::persistence::Engine;
use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::args::IndexArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::input::{Batch, InFlight, Plan, Skipped};
use crate::paths;
use crate::progress::Progress;

/// The number of batches in progress at a time: one being stored, one sealed, others analyzed.
const BATCHES_IN_FLIGHT: usize = 4;
/// The number of batches read ahead.
const BATCHES_READ_AHEAD: usize = 2;
/// The journal is folded at the end if the memtable has at least this size, so that the next
/// opening has little to replay.
const FOLD_AT_BYTES: usize = 4 << 20;

const CONTINUE: &str = "run the command again to continue; documents that are already stored are replaced";

pub(crate) async fn run(arguments: IndexArguments, context: &Context) -> Result<()> {
    let plan = Plan::new(&arguments.paths, arguments.format, context.verbose)?;
    let engine = arguments.at.open(context).await?;
    let max_bytes = context.settings.budget().input_bytes() as u64;
    let mut progress = Progress::start(plan.total_bytes(), context.json);
    let skipped = match store(&engine, plan, arguments.batch as usize, max_bytes, &mut progress).await {
        Ok(Stopped::AtTheEnd(skipped)) => skipped,
        Ok(Stopped::Interrupted) => {
            engine.close().await;
            progress.stopped_early()?;
            let message = format!("interrupted; the first {} documents are stored", progress.documents());
            return Err(Failure::new(message, CONTINUE));
        }
        Err(failure) => {
            progress.stopped_early()?;
            return Err(failure);
        }
    };
    progress.finishing();
    if engine.stats().await?.memtable_bytes >= FOLD_AT_BYTES {
        engine.fold().await.map_err(|error| {
            Failure::from(error).hint("every document is stored; run `cim verify` to check the store")
        })?;
    }
    engine.close().await;
    progress.clear();
    progress.summary(&skipped)?;
    skipped.failure().map_or(Ok(()), Err)
}

enum Stopped {
    AtTheEnd(Skipped),
    Interrupted,
}

/// Stores the batches read by a separate thread, until the end of the input, an error or a signal.
/// Batches in progress are finished, unless storing one of them fails.
async fn store(
    engine: &Engine,
    plan: Plan,
    batch_documents: usize,
    max_bytes: u64,
    progress: &mut Progress,
) -> Result<Stopped> {
    // Files are reconciled with those of earlier runs, if any.
    let fits = plan.has_files() && engine.stats().await?.index.documents > 0;
    let (sender, mut receiver) = mpsc::channel::<Batch>(BATCHES_READ_AHEAD);
    let in_flight = InFlight::new(max_bytes);
    let reader = tokio::task::spawn_blocking(move || plan.read(batch_documents, in_flight, sender));
    let (stop, interruption) = watch_signals()?;
    // In input order, so that N acknowledged documents are the first N of the input.
    let mut acknowledgements = stream::poll_fn(move |context| receiver.poll_recv(context))
        .take_until(stop)
        .map(|mut batch| async move {
            // The batch is dropped at the end, which allows the reader to read on.
            // Taken before `fit`, because `fit` also adds to the batch the documents that have lost
            // a path, and only the documents read from the input are counted.
            let cids: Vec<Cid> = batch.documents.iter().map(|document| document.cid).collect();
            let gone = if fits { paths::fit(engine, &mut batch.documents).await? } else { Vec::new() };
            engine.index(&batch.documents).await?;
            if !gone.is_empty() {
                engine.delete(&gone).await?;
            }
            Ok::<_, Failure>((cids, batch.bytes))
        })
        .buffered(if fits { 1 } else { BATCHES_IN_FLIGHT });
    while let Some(acknowledged) = acknowledgements.next().await {
        let (cids, bytes) = acknowledged?;
        progress.acknowledged(&cids, bytes)?;
    }
    drop(acknowledgements);
    if interruption.load(Ordering::Acquire) {
        // The reading thread may be blocked on input, so it is not joined.
        return Ok(Stopped::Interrupted);
    }
    let read = reader.await.map_err(|_| Failure::new("reading the input failed", "report this as a bug"))?;
    read.map(Stopped::AtTheEnd)
}

/// Returns a future that resolves at the first interrupt or termination signal. A second signal
/// exits the program immediately.
fn watch_signals() -> Result<(oneshot::Receiver<()>, Arc<AtomicBool>)> {
    let interruption = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = oneshot::channel();
    let mut signals = Signals::new().map_err(|error| {
        Failure::new(format!("signal handlers cannot be installed: {error}"), "free memory or descriptors")
    })?;
    let noted = Arc::clone(&interruption);
    tokio::spawn(async move {
        signals.next().await;
        noted.store(true, Ordering::Release);
        if stop.send(()).is_err() {
            // Everything has been stored; only the fold is running, which may be aborted.
            Failure::new("interrupted; everything acknowledged is stored", CONTINUE).print();
            std::process::exit(1);
        }
        signals.next().await;
        std::process::exit(1);
    });
    Ok((stopped, interruption))
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let watch = |kind: SignalKind| (!is_ignored(kind)).then(|| signal(kind)).transpose();
        Ok(Self { interrupt: watch(SignalKind::interrupt())?, terminate: watch(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
    }
}

#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns whether this signal was ignored when the program started, as a shell arranges for
/// background jobs. It then stays ignored. If this cannot be determined, the signal is handled.
#[cfg(unix)]
fn is_ignored(signal: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
