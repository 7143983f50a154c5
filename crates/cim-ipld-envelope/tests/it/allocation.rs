//! Sealing and opening allocate only the output, and no second copy of a page.

use allocation_counter::measure;
use bytes::BytesMut;
use cim_ipld_envelope::{ErrorKind, OVERHEAD_BYTES, SealBuffer, SealOptions};

use crate::fixture::{PAGE, every_envelope};

/// The bookkeeping data of a shared buffer, without its bytes.
const SMALL: u64 = 64;

#[tokio::test]
async fn encryption_allocates_the_output_and_no_more() {
    let content = vec![0x5a; 64 << 10];
    let output = (content.len() + OVERHEAD_BYTES) as u64;
    for envelope in every_envelope().await {
        // The first object at a location derives its root, which is cached.
        let object = envelope.seal(&PAGE, &content, &SealOptions::default()).unwrap();

        let sealed = measure(|| drop(envelope.seal(&PAGE, &content, &SealOptions::default()).unwrap()));
        assert!(sealed.bytes_total <= output + SMALL, "seal: {sealed:?}");
        let opened = measure(|| drop(envelope.open(&PAGE, &object).unwrap()));
        assert!(opened.bytes_total <= content.len() as u64 + SMALL, "open: {opened:?}");

        let mut buffer = SealBuffer::with_capacity(content.len());
        buffer.extend_from_slice(&content);
        let in_place = measure(|| drop(envelope.seal_in_place(&PAGE, buffer).unwrap()));
        assert!(in_place.bytes_total <= SMALL, "seal in place: {in_place:?}");
        let buffer = BytesMut::from(&object[..]);
        let in_place = measure(|| drop(envelope.open_in_place(&PAGE, buffer).unwrap()));
        assert!(in_place.bytes_total <= SMALL, "open in place: {in_place:?}");
    }
}

/// A forged object over the limit of the envelope is refused before it is copied.
#[tokio::test]
async fn encryption_copies_no_object_over_the_limit() {
    for envelope in every_envelope().await {
        let envelope = envelope.with_content_limit(1024);
        let mut forged = envelope.seal(&PAGE, b"", &SealOptions::default()).unwrap().to_vec();
        forged.resize(1 << 20, 0);
        let mut kind = None;
        let refused = measure(|| kind = envelope.open(&PAGE, &forged).err().map(|error| error.kind()));
        assert_eq!(kind, Some(ErrorKind::Limit));
        assert!(refused.bytes_max < 1024, "{refused:?}");
    }
}
