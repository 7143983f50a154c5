//! The steps of an envelope besides the cipher, one by one, with ring alone.

use ring::aead::{AES_256_GCM, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use ring::rand::{SecureRandom, SystemRandom};

use crate::Fastest;

/// The size of an object's context: 49 bytes of fixed fields, two lengths, and a bucket and a name
/// as long as those in `CONTEXT` of `ratios.rs`.
const CONTEXT_BYTES: usize = 49 + 2 + 13 + 2 + 32;
/// The info of the sealing: label, suite, salt, hash of the context.
const INFO_BYTES: usize = 6 + 1 + 24 + 32;
/// Key and commitment.
const OKM_BYTES: usize = 32 + 32;

pub(crate) fn print() {
    println!("\n| step | time |\n|---|---:|");
    let random = SystemRandom::new();
    step("salt from the operating system", || {
        let mut salt = [0; 24];
        random.fill(&mut salt).expect("randomness");
        salt
    });
    step("hash of the context", || digest(&SHA256, &[1; CONTEXT_BYTES]));
    step("key and commitment by HKDF", || {
        let mut okm = [0; OKM_BYTES];
        let info: [&[u8]; 1] = [&[2; INFO_BYTES]];
        let derived =
            Prk::new_less_safe(HKDF_SHA256, &[3; 32]).expand(&info, Length).and_then(|okm_of| okm_of.fill(&mut okm));
        derived.expect("few bytes");
        okm
    });
    for (name, cipher) in [("AES-256-GCM", &AES_256_GCM), ("ChaCha20-Poly1305", &CHACHA20_POLY1305)] {
        step(&format!("key schedule of {name}"), || {
            LessSafeKey::new(UnboundKey::new(cipher, &[4; 32]).expect("32 bytes"))
        });
    }
}

fn step<T>(name: &str, mut run: impl FnMut() -> T) {
    let mut fastest = Fastest::default();
    for _ in 0..100_000 {
        fastest.time((), |()| run());
    }
    println!("| {name} | {:.2} µs |", fastest.micros());
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        OKM_BYTES
    }
}
