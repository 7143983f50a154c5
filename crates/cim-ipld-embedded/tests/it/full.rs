//! A full disk: writes fail with `Full` and have no effect, acknowledged writes remain, and the
//! same process can write again once space is available.
//!
//! The writer is this test program, started again with an environment variable that names the
//! folder. Its files are subject to a size limit that the test sets and lifts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_embedded::EmbeddedBackend;
use futures::TryStreamExt;

const FOLDER: &str = "CIM_IPLD_EMBEDDED_TEST_FULL_FOLDER";
const MIB: usize = 1 << 20;

fn bucket() -> Bucket {
    Bucket::objects("text_index_v1").unwrap()
}

/// The child: executes the commands it receives and prints the results.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_what_is_asked() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let backend = EmbeddedBackend::open(folder).await.unwrap();
    backend.create(&bucket()).await.unwrap();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["put", name, bytes] => {
                let value = Bytes::from(vec![7; bytes.parse().unwrap()]);
                match backend.put(&bucket(), &Key::new(name).unwrap(), value, Precondition::Absent).await {
                    Ok(_) => println!("\n> stored"),
                    Err(error) => println!("\n> {:?}", error.kind()),
                }
            }
            ["list"] => println!("\n> {}", list(&backend).await.into_iter().collect::<Vec<_>>().join(" ")),
            _ => panic!("{line}"),
        }
    }
    backend.close().await;
}

async fn list(backend: &EmbeddedBackend) -> BTreeSet<String> {
    let found: Vec<_> = backend.scan(&bucket(), &KeyPrefix::all(), Revision::ZERO).try_collect().await.unwrap();
    for entry in &found {
        let got = backend.get(&bucket(), &entry.key).await.unwrap();
        assert_eq!(got.as_ref(), Some(&entry.entry), "{}", entry.key);
    }
    found.into_iter().map(|entry| entry.key.to_string()).collect()
}

struct Writer {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    stored: BTreeSet<String>,
    count: usize,
}

impl Writer {
    fn start(folder: &Path) -> Self {
        // A write beyond the limit returns an error only if the signal is ignored.
        let mut child = Command::new("sh")
            .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "full::write_what_is_asked", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, orders, answers, stored: BTreeSet::new(), count: 0 }
    }

    fn ask(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        let answers = self.answers.by_ref().map(Result::unwrap);
        answers.filter_map(|line| line.strip_prefix("> ").map(str::to_owned)).next().expect("an answer")
    }

    /// Writes `count` values, and returns the errors of the writes that failed.
    fn put(&mut self, count: usize, bytes: usize) -> BTreeSet<String> {
        let mut refused = BTreeSet::new();
        for _ in 0..count {
            self.count += 1;
            let name = format!("page.{}", self.count);
            match self.ask(&format!("put {name} {bytes}")) {
                answer if answer == "stored" => drop(self.stored.insert(name)),
                answer => drop(refused.insert(answer)),
            }
        }
        refused
    }

    fn list(&mut self) -> BTreeSet<String> {
        self.ask("list").split_whitespace().map(str::to_owned).collect()
    }

    fn limit_files(&self, bytes: &str) {
        let pid = self.child.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(set.expect("prlimit runs").success());
    }
}

/// Tests two limits on the size of a file. Under the first, the journal cannot grow. Under the
/// second, the journal grows until a worker of the store has to create the next journal file and
/// fails.
#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    for (before, limit, during, bytes) in [(20, 1_000_000, 6, 100_000), (2, 66_000_000, 70, MIB)] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::start(folder.path());
        assert_eq!(writer.put(before, bytes), BTreeSet::new(), "with room");
        writer.limit_files(&limit.to_string());
        assert_eq!(writer.put(during, bytes), BTreeSet::from(["Full".to_owned()]), "limit {limit}");
        assert_eq!(writer.list(), writer.stored, "while there is no room, limit {limit}");
        assert_eq!(writer.put(2, bytes), BTreeSet::from(["Full".to_owned()]), "limit {limit}");
        writer.limit_files("unlimited");
        assert_eq!(writer.put(30, bytes), BTreeSet::new(), "with room again, limit {limit}");
        assert_eq!(writer.list(), writer.stored, "with room again, limit {limit}");
        let Writer { mut child, orders, stored, .. } = writer;
        drop(orders);
        assert!(child.wait().unwrap().success());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let backend = EmbeddedBackend::open_existing(folder.path()).await.unwrap();
            assert_eq!(list(&backend).await, stored, "in another process, limit {limit}");
            backend.close().await;
        });
    }
}
