//! Sealing and opening objects compared with the raw ciphers, in one run.
//!
//! * `raw`: the cipher alone with a prepared key, in place. The cipher is ring's or, for
//!   XChaCha20-Poly1305, that of the chacha20poly1305 crate.
//! * `in-place`: an object, sealed or opened in place: salt, key derivation, commitment, cipher.
//! * `copy`: the same with a copy, including its allocation.
//!
//! Every call has new inputs. They are created in batches of eight, outside of the measured time,
//! in the same way in every benchmark.

mod raw;

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use cim_ipld_envelope::{
    EncryptionAlgorithm, EncryptionKey, Envelope, IndexId, Keyset, ObjectContext, ObjectKind, SealBuffer, SealOptions,
};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

use crate::raw::Raw;

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 512 << 10];
const BATCH: BatchSize = BatchSize::NumIterations(8);
const CONTEXT: ObjectContext<'static> =
    ObjectContext::new("text_index_v1", ObjectKind::PAGE, "k5yxiyvqcnb3k7on6xdc64bjhbvgg4dd", 0);

fn objects(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for algorithm in EncryptionAlgorithm::ALL {
        let source = EncryptionKey::generate(algorithm).into();
        let keyset = runtime.block_on(Keyset::create(IndexId::random(), algorithm, &source)).expect("a keyset");
        let envelope = Envelope::encrypted(keyset);
        for bytes in SIZES {
            let mut group = criterion.benchmark_group(format!("{algorithm}/{bytes}"));
            group.throughput(Throughput::Bytes(bytes as u64));
            seal(&mut group, algorithm, &envelope, bytes);
            open(&mut group, algorithm, &envelope, bytes);
            group.finish();
        }
    }
}

fn seal(group: &mut BenchmarkGroup<'_, WallTime>, algorithm: EncryptionAlgorithm, envelope: &Envelope, bytes: usize) {
    let content = vec![0x5a; bytes];
    let raw = Raw::new(algorithm);
    group.bench_function("seal/raw", |bencher| {
        bencher.iter_batched(
            || content.clone(),
            |mut buffer| {
                black_box(raw.seal(&mut buffer));
                buffer
            },
            BATCH,
        );
    });
    group.bench_function("seal/in-place", |bencher| {
        let fill = || {
            let mut buffer = SealBuffer::with_capacity(bytes);
            buffer.extend_from_slice(&content);
            buffer
        };
        bencher.iter_batched(fill, |buffer| envelope.seal_in_place(&CONTEXT, buffer).expect("sealed"), BATCH);
    });
    group.bench_function("seal/copy", |bencher| {
        bencher.iter_batched(
            || content.clone(),
            |content| envelope.seal(&CONTEXT, &content, &SealOptions::default()).expect("sealed"),
            BATCH,
        );
    });
}

fn open(group: &mut BenchmarkGroup<'_, WallTime>, algorithm: EncryptionAlgorithm, envelope: &Envelope, bytes: usize) {
    let raw = Raw::new(algorithm);
    let mut ciphertext = vec![0x5a; bytes];
    let tag = raw.seal(&mut ciphertext);
    group.bench_function("open/raw", |bencher| {
        bencher.iter_batched(
            || ciphertext.clone(),
            |mut buffer| {
                raw.open(&mut buffer, tag);
                buffer
            },
            BATCH,
        );
    });
    let object = envelope.seal(&CONTEXT, &vec![0x5a; bytes], &SealOptions::default()).expect("sealed");
    group.bench_function("open/in-place", |bencher| {
        let fill = || BytesMut::from(&object[..]);
        bencher.iter_batched(fill, |object| envelope.open_in_place(&CONTEXT, object).expect("opened"), BATCH);
    });
    group.bench_function("open/copy", |bencher| {
        let fill = || object.to_vec();
        bencher.iter_batched(fill, |object| envelope.open(&CONTEXT, &object).expect("opened"), BATCH);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = objects
}
criterion_main!(benches);
