//! What a push consumer sends, sorted without believing any of it: whoever may write to the bucket
//! chooses the subject, the headers and the status line of a stored message, so those alone never
//! make it a heartbeat.

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use cim_ipld_backend::Key;

/// A message that arrived at the inbox of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// A message of the stream.
    Stored {
        /// Where it stands.
        place: Place,
        /// What it is.
        content: Content,
    },
    /// A word of the consumer itself.
    Heartbeat {
        /// How many messages the consumer has sent, where it tells.
        delivered: Option<u64>,
        /// Where the server's flow control wants an answer.
        answer_to: Option<Subject>,
        /// Whether nothing was to be sent for a while.
        is_idle: bool,
    },
    /// Neither: somebody else wrote to the inbox.
    Stray,
}

/// What a message of the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A value of this key.
    Value(Key),
    /// The mark of another program that a value was removed.
    Removal,
    /// Something under a subject that names no key.
    Foreign,
}

/// Where a delivered message stands in the stream and among the deliveries of its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its sequence in the stream.
    pub(crate) stream: u64,
    /// Its number among the deliveries, from 1.
    pub(crate) consumer: u64,
    /// How many messages are still to come.
    pub(crate) pending: u64,
}

/// Sorts a message; `prefix` is what the subjects of the bucket begin with, the dot included.
pub(crate) fn decode(prefix: &str, message: &Message) -> Delivery {
    // A stored message comes under its own subject, a heartbeat under the inbox's.
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
    // Whoever can write to the inbox must not choose where this process publishes.
    let answer_to = message.reply.clone().or(stalled).filter(|subject| is_flow_control(subject));
    Delivery::Heartbeat { delivered, answer_to, is_idle }
}

/// Tells the subjects at which the server waits for the answers of its flow control.
fn is_flow_control(subject: &str) -> bool {
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    subject.strip_prefix("$JS.FC.").is_some_and(|rest| rest.split('.').all(is_token))
}

/// Sorts a message of the stream.
pub(crate) fn content(prefix: &str, subject: &str, headers: Option<&HeaderMap>) -> Content {
    match subject.strip_prefix(prefix).map(Key::new) {
        _ if headers.is_some_and(is_marker) => Content::Removal,
        Some(Ok(key)) => Content::Value(key),
        _ => Content::Foreign,
    }
}

/// Tells the mark that other programs of NATS KV leave where they removed a value. This one leaves
/// none.
pub(crate) fn is_marker(headers: &HeaderMap) -> bool {
    let removed = headers.get("KV-Operation").is_some_and(|operation| matches!(operation.as_str(), "DEL" | "PURGE"));
    removed || headers.get("Nats-Marker-Reason").is_some()
}

/// Reads `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, or the longer
/// form that has a domain and an account before the stream and may have more after the last part
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
