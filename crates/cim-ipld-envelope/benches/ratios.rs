//! The speed of an envelope relative to the raw cipher, as a table.
//!
//! The raw cipher and the envelope run alternately, one call each, many times. The result is the
//! fastest run of each. Other load on the machine, which makes averages useless, then hardly
//! matters.
//!
//! The raw cipher is ring's, with a prepared key, in place. For XChaCha20-Poly1305 the raw cipher
//! is ring's ChaCha20-Poly1305, and the last column is the XChaCha20-Poly1305 of the
//! chacha20poly1305 crate.
//!
//! A second table shows the parts of the overhead: the same steps with ring alone, on inputs of the
//! same sizes.

mod parts;
mod raw;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use cim_ipld_envelope::{
    EncryptionAlgorithm, EncryptionKey, Envelope, IndexId, Keyset, ObjectContext, ObjectKind, SealBuffer,
};

use crate::raw::Raw;

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 512 << 10];
const CONTEXT: ObjectContext<'static> =
    ObjectContext::new("text_index_v1", ObjectKind::PAGE, "k5yxiyvqcnb3k7on6xdc64bjhbvgg4dd", 0);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    println!("| suite | bytes | operation | raw | envelope | raw / envelope | overhead | chacha20poly1305 |");
    println!("|---|---:|---|---:|---:|---:|---:|---:|");
    for algorithm in EncryptionAlgorithm::ALL {
        let source = EncryptionKey::generate(algorithm).into();
        let keyset = runtime.block_on(Keyset::create(IndexId::random(), algorithm, &source)).expect("a keyset");
        let envelope = Envelope::encrypted(keyset);
        for bytes in SIZES {
            seal(algorithm, &envelope, bytes);
            open(algorithm, &envelope, bytes);
        }
    }
    parts::print();
}

fn seal(algorithm: EncryptionAlgorithm, envelope: &Envelope, bytes: usize) {
    let (raw, peer) = ciphers(algorithm);
    let content = vec![0x5a; bytes];
    let mut best = Best::default();
    best.rounds(bytes, |best| {
        best.raw.time(content.clone(), |mut buffer| (raw.seal(&mut buffer), buffer));
        let mut buffer = SealBuffer::with_capacity(bytes);
        buffer.extend_from_slice(&content);
        best.envelope.time(buffer, |buffer| envelope.seal_in_place(&CONTEXT, buffer).expect("sealed"));
        if let Some(peer) = &peer {
            best.peer.time(content.clone(), |mut buffer| (peer.seal(&mut buffer), buffer));
        }
    });
    best.print(algorithm, bytes, "seal");
}

fn open(algorithm: EncryptionAlgorithm, envelope: &Envelope, bytes: usize) {
    let (raw, peer) = ciphers(algorithm);
    let sealed = |cipher: &Raw| {
        let mut ciphertext = vec![0x5a; bytes];
        let tag = cipher.seal(&mut ciphertext);
        (ciphertext, tag)
    };
    let (ciphertext, tag) = sealed(&raw);
    let peer = peer.map(|peer| (sealed(&peer), peer));
    let mut buffer = SealBuffer::with_capacity(bytes);
    buffer.extend_from_slice(&vec![0x5a; bytes]);
    let object = envelope.seal_in_place(&CONTEXT, buffer).expect("sealed");
    let mut best = Best::default();
    best.rounds(bytes, |best| {
        best.raw.time(ciphertext.clone(), |mut buffer| {
            raw.open(&mut buffer, tag);
            buffer
        });
        best.envelope
            .time(BytesMut::from(&object[..]), |object| envelope.open_in_place(&CONTEXT, object).expect("opened"));
        if let Some(((ciphertext, tag), peer)) = &peer {
            best.peer.time(ciphertext.clone(), |mut buffer| {
                peer.open(&mut buffer, *tag);
                buffer
            });
        }
    });
    best.print(algorithm, bytes, "open");
}

/// The reference with which the envelope is compared, and other implementations.
fn ciphers(algorithm: EncryptionAlgorithm) -> (Raw, Option<Raw>) {
    match algorithm {
        EncryptionAlgorithm::XChaCha20Poly1305 => {
            (Raw::new(EncryptionAlgorithm::ChaCha20Poly1305), Some(Raw::new(algorithm)))
        }
        _ => (Raw::new(algorithm), None),
    }
}

#[derive(Default)]
struct Best {
    raw: Fastest,
    envelope: Fastest,
    peer: Fastest,
}

impl Best {
    fn rounds(&mut self, bytes: usize, mut round: impl FnMut(&mut Self)) {
        let rounds = (400_000_000 / (bytes + 4096)).clamp(2000, 50_000);
        (0..rounds).for_each(|_| round(self));
    }

    fn print(&self, algorithm: EncryptionAlgorithm, bytes: usize, what: &str) {
        let (raw, envelope) = (self.raw.micros(), self.envelope.micros());
        let (kept, rest) = (raw / envelope, envelope - raw);
        print!("| {algorithm} | {bytes} | {what} | {raw:.2} µs | {envelope:.2} µs | {kept:.2} | {rest:.2} µs | ");
        match self.peer.0 {
            Some(_) => println!("{:.2} µs |", self.peer.micros()),
            None => println!("- |"),
        }
    }
}

#[derive(Default)]
pub(crate) struct Fastest(Option<Duration>);

impl Fastest {
    fn micros(&self) -> f64 {
        self.0.map_or(f64::NAN, |time| time.as_nanos() as f64 / 1000.0)
    }

    /// Times one call; its inputs are created and its outputs dropped outside of the measured time.
    fn time<I, O>(&mut self, input: I, call: impl FnOnce(I) -> O) {
        let start = Instant::now();
        let output = black_box(call(black_box(input)));
        let time = start.elapsed();
        self.0 = Some(self.0.map_or(time, |fastest| fastest.min(time)));
        drop(output);
    }
}
