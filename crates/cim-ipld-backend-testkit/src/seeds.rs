//! Runs a fuzz target on its committed seeds and on reproducible mutations of them, as part of
//! `cargo test`.

use std::fs;
use std::path::Path;

/// Runs `target` on every file in `folder`, and on `mutations` mutated copies of each.
///
/// ```no_run
/// use std::path::Path;
///
/// use cim_ipld_backend_testkit::seeds;
///
/// fn parses(data: &[u8]) -> bool {
///     std::str::from_utf8(data).is_ok_and(|text| text.parse::<u32>().is_ok())
/// }
/// seeds::run(Path::new("../../fuzz/seeds/number"), parses, 1_000);
/// ```
///
/// The target returns whether it accepted the input, and panics if an invariant is violated.
///
/// # Panics
/// If the target panics or accepts the empty input, if all seeds are accepted or all are refused,
/// or if `folder` has fewer than three seeds.
pub fn run(folder: &Path, target: fn(&[u8]) -> bool, mutations: u64) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "{} has only {} seeds", folder.display(), paths.len());
    assert!(!target(&[]), "the empty input is accepted");
    let (mut accepted, mut refused) = (0, 0);
    for path in paths {
        let seed = fs::read(&path).expect("a seed");
        *if target(&seed) { &mut accepted } else { &mut refused } += 1;
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..mutations {
            target(&random.mutate(&seed));
        }
    }
    assert!(
        accepted >= 1 && refused >= 1,
        "at least one seed must be accepted and one refused, but {accepted} were accepted and {refused} refused"
    );
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
                (1, Some(byte)) => *byte = [0, 1, 0x7f, 0x80, 0xff][self.next() % 5],
                (2, Some(byte)) => *byte = byte.wrapping_add(1),
                (3, _) => data.truncate(at),
                (4, _) => {
                    let from = self.next() % (data.len() + 1);
                    let copied = data[from..data.len().min(from + 9)].to_vec();
                    data.splice(at..at, copied);
                }
                _ => data.insert(at, self.next() as u8),
            }
        }
        data
    }
}
