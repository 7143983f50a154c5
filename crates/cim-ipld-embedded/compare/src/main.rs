//! Compares redb with fjall under the workload of cim-ipld: journal records of 1–4 KiB that are
//! each synced, pages of 64–512 KiB, reopening after a clean exit and after a kill, bytes on disk,
//! and removal of most of the data.
//!
//! `cargo run --release -- [FOLDER]` prints one table per store. Each phase runs in a process of
//! its own, so that the process can be killed without closing the store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

mod stores;
use stores::{Store, open};

const JOURNAL_RECORDS: u64 = 1_000;
const GROUP: u64 = 64;
const GROUPS: u64 = 100;
const PAGE_BYTES: [usize; 3] = [64 << 10, 256 << 10, 512 << 10];
const PAGE_TOTAL: usize = 192 << 20;
const PAGES_PER_SYNC: usize = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, kind, phase, folder] = &arguments[..] {
        return child(kind, phase, Path::new(folder));
    }
    let base = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for kind in ["redb", "redb-quick-repair", "fjall", "fjall-separated"] {
        let folder = tempfile::tempdir_in(&base).expect("a folder");
        println!("## {kind}");
        for phase in ["write", "reopen", "remove", "compact", "compact", "reopen"] {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            let status = command.args([kind, phase]).arg(folder.path()).status().expect("a child");
            // The writing phase kills its own process, on purpose.
            assert!(status.success() || phase == "write", "{kind} {phase}: {status}");
            println!("| bytes on disk after {phase} | {:.1} MiB |", mib(disk_bytes(folder.path())));
        }
    }
}

fn child(kind: &str, phase: &str, folder: &Path) {
    let start = Instant::now();
    let mut store = open(kind, folder);
    println!("| open before {phase} | {:.1} ms |", ms(start.elapsed()));
    match phase {
        "write" => write(&mut *store),
        "reopen" => read(&*store),
        "remove" => remove(&mut *store),
        "compact" => {
            let start = Instant::now();
            store.compact();
            println!("| compact | {:.0} ms |", ms(start.elapsed()));
        }
        _ => panic!("no phase {phase}"),
    }
}

fn write(store: &mut dyn Store) {
    let records: Vec<Vec<u8>> = (0..16).map(|n| noise(1024 + n * 204, n as u64)).collect();
    let mut times = Vec::new();
    for n in 0..JOURNAL_RECORDS {
        let start = Instant::now();
        store.put(&[(n, &records[n as usize % 16])]);
        times.push(start.elapsed());
    }
    times.sort();
    let total: Duration = times.iter().sum();
    println!(
        "| journal, one record a sync | {:.0}/s, p50 {:.0} us, p99 {:.0} us |",
        JOURNAL_RECORDS as f64 / total.as_secs_f64(),
        times[times.len() / 2].as_secs_f64() * 1e6,
        times[times.len() * 99 / 100].as_secs_f64() * 1e6,
    );

    let start = Instant::now();
    for group in 0..GROUPS {
        let first = 1_000_000 + group * GROUP;
        let batch: Vec<(u64, &[u8])> = (0..GROUP).map(|n| (first + n, &records[n as usize % 16][..])).collect();
        store.put(&batch);
    }
    println!("| journal, {GROUP} records a sync | {:.0}/s |", (GROUP * GROUPS) as f64 / start.elapsed().as_secs_f64());

    for bytes in PAGE_BYTES {
        let pages: Vec<Vec<u8>> = (0..PAGES_PER_SYNC).map(|n| noise(bytes, n as u64)).collect();
        let start = Instant::now();
        for sync in 0..PAGE_TOTAL / bytes / PAGES_PER_SYNC {
            let first = (bytes as u64) << 32 | (sync * PAGES_PER_SYNC) as u64;
            let batch: Vec<(u64, &[u8])> = (0..).zip(&pages).map(|(n, page)| (first + n, &page[..])).collect();
            store.put(&batch);
        }
        println!("| write pages of {} KiB | {:.0} MiB/s |", bytes >> 10, rate(PAGE_TOTAL, start));
    }
    println!("| bytes written | {:.1} MiB |", mib(PAGE_TOTAL as u64 * 3 + (JOURNAL_RECORDS + GROUP * GROUPS) * 2554));
    // Closes nothing, as in a crash.
    std::process::abort();
}

fn read(store: &dyn Store) {
    for bytes in PAGE_BYTES {
        let start = Instant::now();
        let pages = PAGE_TOTAL / bytes;
        let mut found = 0;
        for n in 0..pages {
            // Reads every page once, in an order different from that of the writes.
            let at = (n * 7919) % pages;
            found += store.get((bytes as u64) << 32 | at as u64).unwrap_or(0);
        }
        if found > 0 {
            println!("| read pages of {} KiB | {:.0} MiB/s ({:.0} MiB there) |", bytes >> 10, rate(found, start), mib(found as u64));
        }
    }
}

/// Removes the journal and nine of every ten pages, in calls of 64 keys.
fn remove(store: &mut dyn Store) {
    let start = Instant::now();
    let mut keys: Vec<u64> = (0..JOURNAL_RECORDS).chain(1_000_000..1_000_000 + GROUP * GROUPS).collect();
    for bytes in PAGE_BYTES {
        keys.extend((0..PAGE_TOTAL / bytes).filter(|n| n % 10 != 0).map(|n| (bytes as u64) << 32 | n as u64));
    }
    for keys in keys.chunks(64) {
        store.remove(keys);
    }
    println!("| remove {} keys | {:.0} ms |", keys.len(), ms(start.elapsed()));
}

/// Returns incompressible bytes, as ciphertext is.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).expect("a folder");
    let bytes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let about = entry.metadata().expect("metadata");
        if about.is_dir() { disk_bytes(&entry.path()) } else { about.blocks() * 512 }
    });
    bytes.sum()
}

fn rate(bytes: usize, start: Instant) -> f64 {
    mib(bytes as u64) / start.elapsed().as_secs_f64()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
