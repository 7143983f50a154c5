//! Classifying hostile deliveries; shared by the tests here and by the fuzz target in `fuzz/`.

#[allow(dead_code, reason = "not every item of the module is used here")]
#[path = "../../../src/delivery.rs"]
mod delivery;

use std::str::FromStr;

use async_nats::header::{HeaderName, HeaderValue};
use async_nats::{HeaderMap, Message, StatusCode};
use delivery::{Content, Delivery};

const PREFIX: &str = "$KV.catalog_v1.";

/// Classifies a delivery whose first three lines are subject, reply and status; every other line is
/// a header.
pub(crate) fn nats_delivery(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (subject, reply, status) = (line(), line(), line());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let message = Message {
        subject: subject.into(),
        reply: Some(reply).filter(|reply| !reply.is_empty()).map(Into::into),
        payload: "value".into(),
        headers: Some(headers),
        status: status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()),
        description: None,
        length: data.len(),
    };
    match delivery::decode(PREFIX, &message) {
        Delivery::Stored { place, content } => {
            assert!(subject.starts_with(PREFIX), "somebody else's message was taken for the bucket's");
            assert!(place.stream > 0 && place.consumer > 0);
            let parts: Vec<u64> = reply.split('.').filter_map(|part| part.parse().ok()).collect();
            assert!([place.stream, place.consumer, place.pending].iter().all(|number| parts.contains(number)));
            if let Content::Value(key) = &content {
                assert_eq!(format!("{PREFIX}{key}"), subject);
            }
            matches!(content, Content::Value(_))
        }
        Delivery::Heartbeat { answer_to, is_idle, .. } => {
            assert!(!subject.starts_with(PREFIX), "a stored message was taken for a heartbeat");
            assert_eq!(message.status, Some(StatusCode::IDLE_HEARTBEAT));
            assert!(!is_idle || reply.is_empty());
            assert!(
                answer_to
                    .is_none_or(|subject| subject.starts_with("$JS.FC.") && !subject.contains(char::is_whitespace))
            );
            true
        }
        Delivery::Stray => false,
    }
}
