//! kill -9 at any moment: acknowledged writes remain; other writes are applied completely or not at
//! all.
//!
//! The writer is this test program, started again with an environment variable that names the
//! folder.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_embedded::EmbeddedBackend;
use futures::TryStreamExt;

const FOLDER: &str = "CIM_IPLD_EMBEDDED_TEST_KILL_FOLDER";
const ROUNDS: usize = 12;
const WRITERS: usize = 4;

fn bucket() -> Bucket {
    Bucket::log("catalog_v1").unwrap()
}

fn value(name: &str) -> Bytes {
    let seed = name.bytes().fold(7_u8, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte));
    Bytes::from(vec![seed; 500 + usize::from(seed) * 40])
}

/// The child: writes until it is killed, and prints each key once it is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let backend = EmbeddedBackend::open(folder).await.unwrap();
    backend.create(&bucket()).await.unwrap();
    let life = std::process::id();
    let writers = (0..WRITERS).map(|writer| {
        let backend = backend.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let name = format!("journal.{life}.{writer}.{n}");
                let written =
                    backend.put(&bucket(), &Key::new(&name).unwrap(), value(&name), Precondition::Absent).await;
                println!("\nacknowledged {} {name} end", written.unwrap().number());
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = HashMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::write_until_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Waits for a different number of acknowledgements in each round, then kills without
        // warning.
        let mut read = 0;
        for line in lines.by_ref() {
            read += take(&line.unwrap(), &mut acknowledged);
            if read > 1 + round * 23 {
                break;
            }
        }
        if round == 0 {
            // While another process has the store open, opening it here is refused.
            assert_eq!(EmbeddedBackend::open(folder.path()).await.unwrap_err().kind(), ErrorKind::Locked);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| {
            take(&line, &mut acknowledged);
        });
        check(&EmbeddedBackend::open_existing(folder.path()).await.unwrap(), &acknowledged).await;
    }
    assert!(acknowledged.len() > ROUNDS);
}

/// Records an acknowledgement and counts it.
fn take(line: &str, acknowledged: &mut HashMap<String, u64>) -> usize {
    let words: Vec<&str> = line.split(' ').collect();
    // A line that was cut off by the kill lacks the final `end`.
    let ["acknowledged", revision, name, "end"] = words[..] else { return 0 };
    acknowledged.insert(name.to_owned(), revision.parse().unwrap());
    1
}

async fn check(backend: &EmbeddedBackend, acknowledged: &HashMap<String, u64>) {
    let found: Vec<_> = backend.scan(&bucket(), &KeyPrefix::all(), Revision::ZERO).try_collect().await.unwrap();
    for entry in &found {
        assert!(entry.entry.value == value(entry.key.as_str()), "{} is half written", entry.key);
    }
    let found: HashMap<String, u64> =
        found.into_iter().map(|found| (found.key.to_string(), found.entry.revision.number())).collect();
    for (name, revision) in acknowledged {
        assert_eq!(found.get(name), Some(revision), "{name} was acknowledged but is missing");
    }
}
