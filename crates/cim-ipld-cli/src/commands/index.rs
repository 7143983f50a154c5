use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cim_ipld::Cid;
use cim_ipld::persistence::Engine;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::args::IndexArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::file_records::{PathKey, Records};
use crate::follower::{Change, Follower};
use crate::input::{Batch, Excluded, InFlight, Plan, Reading, Reason, Report};
use crate::keys::KeyFile;
use crate::place::Place;
use crate::progress::{Done, Progress};

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
    let excluded = excluded(&arguments)?;
    let engine = arguments.at.open(context).await?;
    let in_flight = InFlight::new(context.settings.budget().input_bytes() as u64);
    let mut progress = Progress::start(plan.total_bytes(), context.json);
    let done = match write(&engine, plan, in_flight, excluded, &arguments, &mut progress).await {
        Ok(Stopped::AtTheEnd(done)) => done,
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
    progress.summary(&done)?;
    done.skipped.failure().map_or(Ok(()), Err)
}

enum Stopped<T> {
    AtTheEnd(T),
    Interrupted,
}

/// Stores the input, and removes what is gone if this is requested.
async fn write(
    engine: &Engine,
    plan: Plan,
    in_flight: InFlight,
    excluded: Excluded,
    arguments: &IndexArguments,
    progress: &mut Progress,
) -> Result<Stopped<Done>> {
    let records = Arc::new(if plan.has_files() { Records::load(engine).await? } else { Records::default() });
    let follower = Follower::new(Arc::clone(&records), plan.roots());
    let batch_documents = arguments.batch as usize;
    let (checksum, records_read) = (arguments.checksum, Arc::clone(&records));
    let reading = Reading { batch_documents, in_flight, records: records_read, checksum, excluded };
    let mut writing = Writing::new(engine, follower, progress);
    let Report { mut skipped, survey } = match writing.store(plan, reading).await? {
        Stopped::AtTheEnd(report) => report,
        Stopped::Interrupted => return Ok(Stopped::Interrupted),
    };
    let removed = match arguments.sync {
        true => writing.remove(survey.gone(&records), &records).await?,
        false => 0,
    };
    for path in writing.follower.into_left_out() {
        skipped.found(Path::new(&path), Reason::Repeated, None);
    }
    Ok(Stopped::AtTheEnd(Done { skipped, unchanged: survey.unchanged, removed }))
}

/// Returns the files and folders that belong to the index, and the secrets that open it.
fn excluded(arguments: &IndexArguments) -> Result<Excluded> {
    let key = KeyFile::chosen(&arguments.at.key)?;
    let store = match arguments.at.place()? {
        Place::Folder(folder) => Some(folder),
        Place::Nats { .. } => None,
    };
    let own = store.as_deref().into_iter().chain(key.as_ref().map(KeyFile::path));
    Ok(Excluded::new(own.chain(arguments.at.nats.secret_files())))
}

/// A stored batch: the documents that were read, and the size of their input.
type Acknowledged = (Vec<Cid>, u64);

/// Writes batches. Several are in progress at a time, and they are acknowledged in the order of the
/// input. Whatever order the store accepts them in, the result is the same, because batches that
/// change the same document are never in progress together.
struct Writing<'a> {
    engine: &'a Engine,
    follower: Follower,
    progress: &'a mut Progress,
    in_progress: FuturesOrdered<BoxFuture<'a, Result<Acknowledged>>>,
    /// The documents that each batch in progress changes.
    touched: VecDeque<HashSet<Cid>>,
}

impl<'a> Writing<'a> {
    fn new(engine: &'a Engine, follower: Follower, progress: &'a mut Progress) -> Self {
        Self { engine, follower, progress, in_progress: FuturesOrdered::new(), touched: VecDeque::new() }
    }

    /// Stores the batches read by a separate thread, until the end of the input, an error or a
    /// signal. Batches in progress are finished, unless storing one of them fails.
    async fn store(&mut self, plan: Plan, reading: Reading) -> Result<Stopped<Report>> {
        let (sender, mut batches) = mpsc::channel::<Batch>(BATCHES_READ_AHEAD);
        let reader = tokio::task::spawn_blocking(move || plan.read(reading, sender));
        let (mut stop, interruption) = watch_signals()?;
        loop {
            tokio::select! {
                biased;
                _ = &mut stop => break,
                Some(acknowledged) = self.in_progress.next() => self.acknowledged(acknowledged)?,
                batch = batches.recv() => match batch {
                    Some(batch) => self.submit(batch).await?,
                    None => break,
                },
            }
        }
        drop(batches);
        self.finish().await?;
        if interruption.load(Ordering::Acquire) {
            // The reading thread may be blocked on input, so it is not joined.
            return Ok(Stopped::Interrupted);
        }
        let read = reader.await.map_err(|_| Failure::new("reading the input failed", "report this as a bug"))?;
        read.map(Stopped::AtTheEnd)
    }

    /// Removes files that are gone, and returns their number.
    async fn remove(&mut self, gone: HashSet<&PathKey>, records: &Records) -> Result<u64> {
        let gone = gone.into_iter().filter(|key| self.follower.has(key));
        let batches = records.by_document(gone);
        let removed = batches.iter().map(|batch| batch.len() as u64).sum();
        for keys in batches {
            self.submit(Batch::gone(keys)).await?;
        }
        self.finish().await?;
        Ok(removed)
    }

    /// Starts to write a batch, after those in progress on which it depends.
    async fn submit(&mut self, batch: Batch) -> Result<()> {
        let edits = self.follower.take(batch);
        let touched = edits.touched();
        while self.touched.len() >= BATCHES_IN_FLIGHT || self.touched.iter().any(|other| !other.is_disjoint(&touched)) {
            self.wait_for_one().await?;
        }
        let change = self.follower.change(self.engine, edits).await?;
        let engine = self.engine;
        let mut written = Box::pin(async move {
            engine.replace(&change.deleted, &change.documents).await?;
            // The room is released here, so that the reader continues.
            let Change { read, bytes, room: _room, .. } = change;
            Ok::<_, Failure>((read, bytes))
        });
        // The first poll hands the batch to the writer, so that batches are accepted in the order
        // of the input.
        if let std::task::Poll::Ready(acknowledged) = futures::poll!(&mut written) {
            self.finish().await?;
            return self.progress_with(acknowledged);
        }
        self.in_progress.push_back(written);
        self.touched.push_back(touched);
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        while !self.in_progress.is_empty() {
            self.wait_for_one().await?;
        }
        Ok(())
    }

    async fn wait_for_one(&mut self) -> Result<()> {
        match self.in_progress.next().await {
            Some(acknowledged) => self.acknowledged(acknowledged),
            None => Ok(()),
        }
    }

    fn acknowledged(&mut self, acknowledged: Result<Acknowledged>) -> Result<()> {
        self.touched.pop_front();
        self.progress_with(acknowledged)
    }

    fn progress_with(&mut self, acknowledged: Result<Acknowledged>) -> Result<()> {
        let (cids, bytes) = acknowledged?;
        if cids.is_empty() { Ok(()) } else { self.progress.acknowledged(&cids, bytes) }
    }
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
