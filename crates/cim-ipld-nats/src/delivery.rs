//! Classification of the messages that arrive at a consumer's inbox. All of them are untrusted: any
//! client that may write to the bucket can choose the key, the headers and the status line of a
//! stored message. The status line alone therefore never makes a message a heartbeat: its subject
//! must also lie outside the bucket.

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use cim_ipld_backend::Key;

/// A message that arrived at the inbox of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// A message of the stream.
    Stored {
        /// Its position.
        place: Place,
        /// What it contains.
        content: Content,
    },
    /// A heartbeat or flow control message of the consumer.
    Heartbeat {
        /// The number of messages that the consumer has sent, if given.
        delivered: Option<u64>,
        /// The subject on which the server expects a flow control response.
        answer_to: Option<Subject>,
        /// Whether the consumer is idle.
        is_idle: bool,
    },
    /// Neither: another client wrote to the inbox.
    Stray,
}

/// The content of a stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A value of this key.
    Value(Key),
    /// The marker of another NATS KV client for a removed value.
    Removal,
    /// A message that is not a value: its subject is not a valid key, or its headers cannot be
    /// parsed.
    Foreign,
}

/// The position of a message in the stream and among the deliveries of its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its sequence in the stream.
    pub(crate) stream: u64,
    /// Its delivery number, from 1.
    pub(crate) consumer: u64,
    /// The number of messages still to be delivered.
    pub(crate) pending: u64,
}

/// Classifies a message; `prefix` is the common prefix of the subjects of the bucket, including the
/// dot.
pub(crate) fn decode(prefix: &str, message: &Message) -> Delivery {
    // A stored message has its own subject; a heartbeat has the subject of the inbox.
    if message.subject.starts_with(prefix) {
        return match message.reply.as_deref().and_then(place) {
            Some(place) => {
                Delivery::Stored { place, content: content(prefix, &message.subject, message.headers.as_ref()) }
            }
            None => Delivery::Stray,
        };
    }
    if message.status != Some(StatusCode::IDLE_HEARTBEAT) {
        return Delivery::Stray;
    }
    let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name));
    let delivered = header("Nats-Last-Consumer").and_then(|number| number.as_str().parse().ok());
    let stalled = header("Nats-Consumer-Stalled").map(|subject| Subject::from(subject.as_str()));
    let is_idle = message.reply.is_none();
    // A client that can write to the inbox must not choose where this process publishes.
    let answer_to = message.reply.clone().or(stalled).filter(|subject| is_flow_control(subject));
    Delivery::Heartbeat { delivered, answer_to, is_idle }
}

/// Returns whether this is a subject on which the server receives flow control responses.
fn is_flow_control(subject: &str) -> bool {
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    subject.strip_prefix("$JS.FC.").is_some_and(|rest| rest.split('.').all(is_token))
}

/// Classifies the content of a stored message.
pub(crate) fn content(prefix: &str, subject: &str, headers: Option<&HeaderMap>) -> Content {
    match subject.strip_prefix(prefix).map(Key::new) {
        _ if headers.is_some_and(is_marker) => Content::Removal,
        Some(Ok(key)) => Content::Value(key),
        _ => Content::Foreign,
    }
}

/// Returns whether the headers are those of the marker that other NATS KV clients write when they
/// remove a value. This backend writes none.
pub(crate) fn is_marker(headers: &HeaderMap) -> bool {
    let removed = headers.get("KV-Operation").is_some_and(|operation| matches!(operation.as_str(), "DEL" | "PURGE"));
    removed || headers.get("Nats-Marker-Reason").is_some()
}

/// Parses `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, or the longer
/// form with a domain and an account before the stream and possibly further tokens at the end
/// (ADR-15).
fn place(reply: &str) -> Option<Place> {
    let parts: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.splitn(12, '.').collect();
    let parts = match parts.len() {
        7 => &parts[..],
        9.. => &parts[2..9],
        _ => return None,
    };
    let number = |at: usize| parts[at].parse::<u64>().ok();
    let place = Place { stream: number(3)?, consumer: number(4)?, pending: number(6)? };
    (place.stream > 0 && place.consumer > 0).then_some(place)
}
