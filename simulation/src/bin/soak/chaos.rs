//! The servers and processes of a soak, their faults, and the final checks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cim_ipld_backend_testkit::nats_server::{NatsCluster, NatsServer, ServerOptions};
use cim_ipld_index::{Query, SearchOptions};
use cim_ipld_persistence::{Engine, Protection};
use tempfile::TempDir;

use crate::ledger::Ledger;
use crate::worker;

/// The options of a soak.
pub(crate) struct Soak {
    pub(crate) time: Duration,
    pub(crate) replicas: usize,
}

/// The role and number of each process.
const PROCESSES: [(&str, u32); 5] = [("writer", 0), ("writer", 1), ("folder", 2), ("reader", 3), ("reader", 4)];
/// How long the store may take until it serves requests again.
const HEALING: Duration = Duration::from_secs(60);

enum Servers {
    One(NatsServer),
    Three(NatsCluster),
}

impl Servers {
    fn start(replicas: usize) -> Self {
        match replicas {
            1 => Self::One(NatsServer::start(ServerOptions::default())),
            _ => Self::Three(NatsCluster::start(&ServerOptions::default())),
        }
    }

    fn urls(&self) -> String {
        match self {
            Self::One(server) => server.url(),
            Self::Three(cluster) => [0, 1, 2].map(|node| cluster.url(node)).join(","),
        }
    }

    fn node(&mut self, number: u64) -> &mut NatsServer {
        match self {
            Self::One(server) => server,
            Self::Three(cluster) => cluster.node(usize::try_from(number % 3).expect("small")),
        }
    }
}

/// A running process.
struct Worker {
    role: &'static str,
    number: u32,
    child: Child,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Worker {
    fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
    }
}

struct Run {
    servers: Servers,
    pins: TempDir,
    workers: Vec<Worker>,
    lines: (Sender<String>, Receiver<String>),
    ledger: Ledger,
    counts: BTreeMap<String, u64>,
    problems: Vec<String>,
    random: u64,
}

impl Soak {
    /// Returns a summary, or the problems found.
    pub(crate) fn run(&self) -> Result<String, Vec<String>> {
        let servers = Servers::start(self.replicas);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(create(&servers.urls(), self.replicas)).map_err(|error| vec![error])?;
        let random = u64::from(std::process::id()) | 1;
        let pins = tempfile::tempdir().expect("a folder");
        let mut run = Run {
            servers,
            pins,
            workers: Vec::new(),
            lines: channel(),
            ledger: Ledger::default(),
            counts: BTreeMap::new(),
            problems: Vec::new(),
            random,
        };
        for (role, number) in PROCESSES {
            run.start(role, number);
        }
        let end = Instant::now() + self.time;
        while Instant::now() < end && run.problems.is_empty() {
            let pause = 500 + run.random() % 2500;
            run.wait(pause);
            run.disturb();
        }
        run.wait(2000);
        run.workers.clear();
        run.listen();
        runtime.block_on(run.examine());
        let Run { counts, ledger, problems, .. } = run;
        if !problems.is_empty() {
            return Err(problems);
        }
        let Ledger { acknowledged, unsure, .. } = ledger;
        Ok(format!(
            "{acknowledged} writes acknowledged, {unsure} with an unknown outcome; nothing was lost or duplicated, and \
             the index is sound; {counts:?}"
        ))
    }
}

async fn create(urls: &str, replicas: usize) -> Result<(), String> {
    let deadline = Instant::now() + HEALING;
    loop {
        let Err(error) = try_create(urls, replicas).await else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(format!("the index cannot be created: {error}"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn try_create(urls: &str, replicas: usize) -> cim_ipld_persistence::Result<()> {
    let backend = worker::connect(urls, replicas).await?;
    let protection = Protection::of(Some(worker::key()), None)?;
    Engine::builder(backend).settings(worker::settings()).create(protection).await?.close().await;
    Ok(())
}

impl Run {
    fn start(&mut self, role: &'static str, number: u32) {
        let pin = self.pins.path().join(format!("{number}.pin"));
        let mut command = Command::new(std::env::current_exe().expect("the program"));
        command.args(["worker", role, &number.to_string(), &self.servers.urls()]);
        command.arg(pin).arg(self.ledger.next_version(number).to_string());
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("it starts");
        let (output, sender) = (child.stdout.take().expect("its output"), self.lines.0.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(format!("{role}{number} {line}"));
            }
            let _ = sender.send(format!("{role}{number} ended 0 0"));
        });
        self.workers.push(Worker { role, number, child });
    }

    /// Waits, and processes the output of the processes.
    fn wait(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
        self.listen();
    }

    fn listen(&mut self) {
        while let Ok(line) = self.lines.1.try_recv() {
            let mut words = line.split(' ');
            let (who, word) = (words.next().expect("a word"), words.next().expect("a word"));
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
            let (slot, version) = (u32::try_from(number()).expect("a slot"), number());
            *self.counts.entry(format!("{who} {word}")).or_default() += 1;
            match word {
                "try" | "ack" | "not" | "unsure" => self.ledger.note(word, slot, version),
                "fail" => self.problems.push(line.clone()),
                _ => {}
            }
        }
    }

    /// Processes the remaining output of a killed process, before another one replaces it.
    fn drain(&mut self, who: &str) {
        let ended = format!("{who} ended");
        let before = self.counts.get(&ended).copied().unwrap_or(0);
        // Stops waiting once there is a problem: after a failure, the process may have ended by
        // itself. Its `ended` line may then have been counted already, and no other will come.
        while self.problems.is_empty() && self.counts.get(&ended).copied().unwrap_or(0) == before {
            self.wait(5);
        }
    }

    fn disturb(&mut self) {
        let (what, whom, time) = (self.random() % 6, self.random(), 200 + self.random() % 3000);
        let index = usize::try_from(whom).unwrap_or(0) % self.workers.len();
        let name = match what {
            0 | 1 => {
                let worker = self.workers.swap_remove(index);
                let (role, number) = (worker.role, worker.number);
                drop(worker);
                self.drain(&format!("{role}{number}"));
                self.start(role, number);
                "process killed"
            }
            2 | 3 => {
                self.workers[index].signal("STOP");
                self.wait(time);
                self.workers[index].signal("CONT");
                "process paused"
            }
            4 => {
                self.servers.node(whom).kill();
                self.wait(time);
                self.servers.node(whom).restart();
                "server killed"
            }
            _ => {
                self.servers.node(whom).pause();
                self.wait(time);
                self.servers.node(whom).resume();
                "server paused"
            }
        };
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }

    fn random(&mut self) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Opens the index in this process, which has not opened it since it was created, and compares
    /// it with the acknowledged writes.
    async fn examine(&mut self) {
        let deadline = Instant::now() + HEALING;
        let engine = loop {
            match self.open().await {
                Ok(engine) => break engine,
                Err(error) if worker::is_passing(error.kind()) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return self.problems.push(format!("the index cannot be opened at the end: {error:?}")),
            }
        };
        if let Err(error) = self.compare(&engine).await {
            self.problems.push(format!("the index cannot be read at the end: {error:?}"));
        }
        engine.close().await;
    }

    async fn open(&self) -> cim_ipld_persistence::Result<Engine> {
        let backend = worker::connect(&self.servers.urls(), self.replicas()).await?;
        Engine::builder(backend).settings(worker::settings()).open(Some(worker::key())).await
    }

    fn replicas(&self) -> usize {
        if matches!(self.servers, Servers::One(_)) { 1 } else { 3 }
    }

    async fn compare(&mut self, engine: &Engine) -> cim_ipld_persistence::Result<()> {
        let slots: Vec<u32> = self.ledger.slots().collect();
        let cids: Vec<_> = slots.iter().copied().map(worker::cid).collect();
        let found = engine.documents(&cids).await?;
        let there = found.iter().flatten().count() as u64;
        for (slot, found) in slots.into_iter().zip(&found) {
            self.problems.extend(self.ledger.problem(slot, found.as_ref().map(worker::version)));
        }
        let query = Query::parse("every").expect("a query");
        let total = engine.search(&query, &SearchOptions::default()).await?.total;
        if total != there {
            self.problems.push(format!("a search finds {total} documents, but {there} exist"));
        }
        let report = engine.verify().await?;
        self.problems.extend(report.problems.iter().map(|problem| format!("verify: {problem}")));
        let stats = engine.stats().await?;
        self.counts.insert("positions".into(), stats.applied.number());
        self.counts.insert("generations".into(), stats.generation);
        Ok(())
    }
}
