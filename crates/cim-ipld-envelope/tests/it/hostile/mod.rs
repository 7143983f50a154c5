//! Runs the fuzz targets on their seeds and on reproducible mutations of them.

mod forged;
mod targets;

use std::fs;
use std::path::Path;

/// Seeds are committed; inputs added by fuzzing are not.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds");

#[test]
fn encryption_header_takes_hostile_bytes() {
    run("header", targets::header, 4000);
}

#[test]
fn encryption_object_takes_hostile_bytes() {
    run("object", targets::object, 1500);
}

#[test]
fn encryption_keyset_takes_hostile_bytes() {
    run("keyset", targets::keyset, 300);
}

#[test]
fn encryption_wrapper_takes_hostile_bytes() {
    run("wrapper", targets::wrapper, 1500);
}

#[test]
fn encryption_passphrase_parameters_take_hostile_bytes() {
    run("passphrase", targets::passphrase, 1500);
}

fn run(name: &str, target: fn(&[u8]) -> bool, mutations: u64) {
    let mut paths: Vec<_> = fs::read_dir(Path::new(SEEDS).join(name))
        .expect("the seeds' folder")
        .map(|entry| entry.expect("a seed").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{name} has only {} seeds", paths.len());
    assert!(!target(&[]), "{name} accepts empty input");
    let (mut accepted, mut refused) = (0, 0);
    for path in paths {
        let seed = fs::read(&path).expect("a seed");
        *if target(&seed) { &mut accepted } else { &mut refused } += 1;
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..mutations {
            target(&random.mutate(&seed));
        }
    }
    assert!(accepted >= 1 && refused >= 1, "of the seeds of {name}, {accepted} are accepted and {refused} refused");
}

/// xorshift64* (Marsaglia; Vigna 2016): small, and reproducible on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }

    /// Mutates one to four places: flips a bit, sets or increments a byte, truncates, copies, or
    /// inserts.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=self.next() % 4 {
            let at = self.next() % (data.len() + 1);
            match (self.next() % 6, data.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << (at % 8),
                (1, Some(byte)) => *byte = [0, 1, 0x7f, 0x80, 0xff][self.0 as usize % 5],
                (2, Some(byte)) => *byte = byte.wrapping_add(1),
                (3, _) => data.truncate(at),
                (4, _) => {
                    let from = self.next() % (data.len() + 1);
                    let copied = data[from..data.len().min(from + 9)].to_vec();
                    data.splice(at..at, copied);
                }
                _ => data.insert(at, self.0 as u8),
            }
        }
        data
    }
}
