//! The plaintext body: compression, padding, and the limits of both.

use cim_ipld_envelope::{
    Compression, EncryptionAlgorithm, Envelope, ErrorKind, HEADER_BYTES, MAX_OBJECT_BYTES, OVERHEAD_BYTES,
    ObjectContext, ObjectHeader, Padding, SealOptions,
};

use crate::fixture::{INDEX, PAGE, content, envelope, every_envelope};

#[tokio::test]
async fn encryption_bounds_content() {
    for envelope in every_envelope().await {
        let options = SealOptions::default().compressed(Compression::default());
        let object = envelope.seal(&PAGE, &[0; 100_000], &options).unwrap();
        assert!(object.len() < 1000);
        let bounded = envelope.clone().with_content_limit(99_999);
        assert_eq!(bounded.open(&PAGE, &object).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(envelope.with_content_limit(100_000).open(&PAGE, &object).unwrap().len(), 100_000);
    }
    let envelope = Envelope::plaintext(INDEX);
    let oversized = vec![0; MAX_OBJECT_BYTES + 1];
    let sealed = envelope.seal(&PAGE, &oversized, &SealOptions::default());
    assert_eq!(sealed.unwrap_err().kind(), ErrorKind::Limit);
    let long = "n".repeat(65_536);
    let sealed = envelope.seal(&ObjectContext { name: &long, ..PAGE }, b"", &SealOptions::default());
    assert_eq!(sealed.unwrap_err().kind(), ErrorKind::Limit);
}

/// A frame with an impossible length is refused before memory is allocated for it.
#[test]
fn encryption_refuses_decompression_bombs() {
    let envelope = Envelope::plaintext(INDEX);
    let bomb = |length: u32, frame: &[u8]| {
        let body = [&length.to_le_bytes(), frame].concat();
        let object = forge_plaintext_object(&body, 1);
        envelope.open(&PAGE, &object).unwrap_err().kind()
    };
    assert_eq!(bomb(u32::MAX, &[0; 8]), ErrorKind::Limit);
    assert_eq!(bomb(60 << 20, &[0; 8]), ErrorKind::Damaged);
    let frame = zstd::bulk::compress(&[0; 5000], 1).unwrap();
    let lie = allocation_counter::measure(|| assert_eq!(bomb(60 << 20, &frame), ErrorKind::Damaged));
    assert!(lie.bytes_max < 100_000, "{lie:?} for a frame of {} bytes", frame.len());
    assert_eq!(bomb(4999, &frame), ErrorKind::Damaged, "more than promised");
    assert_eq!(bomb(5001, &frame), ErrorKind::Damaged, "less than promised");
    let object = forge_plaintext_object(&[&5000u32.to_le_bytes(), &frame[..]].concat(), 1);
    assert_eq!(envelope.open(&PAGE, &object).unwrap(), vec![0; 5000]);
}

/// Inputs that Zstandard decoders accept besides a single frame: concatenated frames, skippable
/// frames, nothing.
#[test]
fn encryption_refuses_all_but_one_frame() {
    let envelope = Envelope::plaintext(INDEX);
    let open = |length: u32, frames: &[&[u8]]| {
        let body = [&length.to_le_bytes()[..], &frames.concat()].concat();
        envelope.open(&PAGE, &forge_plaintext_object(&body, 1)).map_err(|error| error.kind())
    };
    let frame = |byte: u8| zstd::bulk::compress(&[byte; 500], 1).unwrap();
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    let empty = zstd::bulk::compress(&[], 1).unwrap();
    let damaged = Err(ErrorKind::Damaged);
    assert_eq!(open(1000, &[&frame(1), &frame(2)]), damaged, "two frames");
    assert_eq!(open(500, &[&skipped, &frame(1)]), damaged, "a frame to skip");
    assert_eq!(open(500, &[&frame(1), &skipped]), damaged, "a frame to skip");
    assert_eq!(open(500, &[&frame(1), &[0]]), damaged, "a byte left over");
    assert_eq!(open(0, &[&skipped]), damaged, "only a frame to skip");
    assert_eq!(open(0, &[]), damaged, "no frame");
    assert_eq!(open(500, &[&frame(1)]).unwrap(), [1; 500].as_slice());
    assert_eq!(open(0, &[&empty]).unwrap(), b"".as_slice());
}

#[test]
fn encryption_refuses_levels_that_zstandard_lacks() {
    let envelope = Envelope::plaintext(INDEX);
    let seal = |level: i32| {
        let options = SealOptions::default().compressed(Compression { level, min_bytes: 0 });
        envelope.seal(&PAGE, &[0; 3000], &options).map(|object| object.len()).map_err(|error| error.kind())
    };
    for level in [23, i32::MAX, i32::MIN] {
        assert_eq!(seal(level), Err(ErrorKind::Limit), "level {level}");
    }
    for level in [-5, 0, 1, 22] {
        assert!(seal(level).unwrap() < 300, "level {level}");
    }
}

#[test]
fn encryption_refuses_malformed_padding() {
    let envelope = Envelope::plaintext(INDEX);
    for body in [&b""[..], &[0; 20], b"content", b"content\x80\x01", b"content\x81"] {
        let object = forge_plaintext_object(body, 2);
        assert_eq!(envelope.open(&PAGE, &object).unwrap_err().kind(), ErrorKind::Damaged, "{body:?}");
    }
    assert_eq!(envelope.open(&PAGE, &forge_plaintext_object(b"content\x80\0\0", 2)).unwrap(), "content");
    assert_eq!(envelope.open(&PAGE, &forge_plaintext_object(b"content\x80", 2)).unwrap(), "content");
}

/// Builds a plaintext object with any body, from the format alone.
fn forge_plaintext_object(body: &[u8], flags: u8) -> Vec<u8> {
    use ring::digest::{SHA256, digest};

    let mut context = b"cim/v1/object\x01\x00".to_vec();
    context.extend_from_slice(&[flags, PAGE.kind.0]);
    context.extend_from_slice(&[0; 8]);
    context.extend_from_slice(INDEX.as_bytes());
    context.extend_from_slice(&PAGE.generation.to_le_bytes());
    for text in [PAGE.bucket, PAGE.name] {
        context.extend_from_slice(&(text.len() as u16).to_le_bytes());
        context.extend_from_slice(text.as_bytes());
    }
    let context = digest(&SHA256, &context);
    let authenticated = [b"cim/v1/plaintext", context.as_ref(), body].concat();

    let mut object = b"CIMO\x01\x00".to_vec();
    object.extend_from_slice(&[flags, PAGE.kind.0]);
    object.extend_from_slice(&[0; 32]);
    object.extend_from_slice(digest(&SHA256, &authenticated).as_ref());
    assert_eq!(object.len(), HEADER_BYTES);
    object.extend_from_slice(body);
    object
}

#[tokio::test]
async fn encryption_padding_hides_sizes() {
    let envelope = envelope(EncryptionAlgorithm::AES256GCM).await;
    let sealed_bytes = |bytes: usize, padding: Padding| {
        envelope.seal(&PAGE, &content(bytes), &SealOptions::default().padded(padding)).unwrap().len()
    };
    let kib = Padding::Multiple(1024.try_into().unwrap());
    assert_eq!(sealed_bytes(0, kib), 1024 + OVERHEAD_BYTES);
    assert_eq!(sealed_bytes(1023, kib), 1024 + OVERHEAD_BYTES);
    assert_eq!(sealed_bytes(1024, kib), 2048 + OVERHEAD_BYTES);
    assert_eq!(sealed_bytes(60_001, Padding::Padme), sealed_bytes(60_500, Padding::Padme));
    assert_ne!(sealed_bytes(60_001, Padding::None), sealed_bytes(60_500, Padding::None));
}

/// Content that does not become smaller is stored uncompressed.
#[tokio::test]
async fn encryption_compresses_only_what_shrinks() {
    let envelope = envelope(EncryptionAlgorithm::AES256GCM).await;
    let options = SealOptions::default().compressed(Compression { level: 3, min_bytes: 100 });
    let is_compressed = |content: &[u8]| {
        let object = envelope.seal(&PAGE, content, &options).unwrap();
        assert!(object.len() <= content.len() + OVERHEAD_BYTES);
        ObjectHeader::parse(&object).unwrap().is_compressed()
    };
    assert!(is_compressed(&[0; 100]));
    assert!(!is_compressed(&[0; 99]), "below the size to try");
    assert!(!is_compressed(&cim_ipld_envelope::random::<4096>()), "random bytes");
}
