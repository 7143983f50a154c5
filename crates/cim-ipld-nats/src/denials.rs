//! What the server says of permissions: it answers a refused request with nothing, and tells the
//! reason beside.

use std::sync::Arc;

use async_nats::{Event, ServerError};
use cim_ipld_backend::{Error, ErrorKind, Result};
use tokio::sync::{broadcast, watch};

use crate::connection::NatsConnection;

/// How operations name the subjects of the API.
const API: &str = "$JS.API";

/// News of refused subjects, for the operations that are waiting.
#[derive(Clone, Debug)]
pub(crate) struct Denials {
    news: broadcast::Sender<String>,
    /// The inbox that this account may not listen to, if it may not: then no answer can ever
    /// arrive.
    deaf: watch::Sender<Option<String>>,
    inbox: Arc<str>,
    api: Arc<str>,
}

impl Denials {
    /// For a connection of somebody else's.
    pub(crate) fn new() -> Self {
        Self::under("_INBOX", API)
    }

    pub(crate) fn of(connection: &NatsConnection) -> Self {
        Self::under(connection.inbox(), connection.api())
    }

    fn under(inbox: &str, api: &str) -> Self {
        let (news, deaf) = (broadcast::Sender::new(256), watch::Sender::new(None));
        Self { news, deaf, inbox: format!("{inbox}.").into(), api: api.into() }
    }

    /// Takes note of an event of the connection.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            // Whoever connects anew is asked anew.
            Event::Connected => drop(self.deaf.send_replace(None)),
            Event::ServerError(ServerError::Other(text)) => {
                let Some(subject) = denied_subject(text) else { return };
                if subject.starts_with(&*self.inbox) && text.to_ascii_lowercase().contains("for subscription") {
                    self.deaf.send_replace(Some(subject.to_owned()));
                }
                // Nobody may be waiting for it any more.
                let _ = self.news.send(self.as_watched(subject));
            }
            _ => {}
        }
    }

    /// The subject under which a value reaches its bucket: that of another domain is reached
    /// through its API's.
    pub(crate) fn published(&self, subject: &str) -> String {
        match &*self.api {
            API => subject.to_owned(),
            api => format!("{api}.{subject}"),
        }
    }

    /// The subject as operations name it, whatever stands before it on this connection.
    fn as_watched(&self, subject: &str) -> String {
        match subject.strip_prefix(&*self.api).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) if rest.starts_with("$KV.") => rest.to_owned(),
            Some(rest) => format!("{API}.{rest}"),
            None => subject.to_owned(),
        }
    }

    /// Runs `operation`, which has sent something to one of `subjects`, and ends it when the server
    /// refuses that, or the inbox of its answer.
    pub(crate) async fn watch<T>(&self, subjects: &[&str], operation: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut news, mut deaf) = (self.news.subscribe(), self.deaf.subscribe());
        let denied = async {
            loop {
                match news.recv().await {
                    Ok(subject) if subjects.contains(&&*subject) => return subject,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let unheard = async {
            let inbox = deaf.wait_for(Option::is_some).await.map(|inbox| inbox.clone().unwrap_or_default());
            match inbox {
                Ok(inbox) => inbox,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = operation => done,
            subject = denied => {
                let message = format!("this account has no permission for the subject {subject}");
                Err(Error::new(ErrorKind::Denied, message))
            }
            inbox = unheard => {
                let message = format!(
                    "this account has no permission to listen to its inbox {inbox}: no answer of the server can arrive"
                );
                let hint = "allow it to subscribe to its inbox, or name the prefix of inboxes that it may subscribe to";
                Err(Error::new(ErrorKind::Denied, message).with_hint(hint))
            }
        }
    }
}

/// The subject in `Permissions Violation for Publish to "SUBJECT"`, which the client passes on in
/// lower case or not.
fn denied_subject(text: &str) -> Option<&str> {
    let violation = text.get(.."permissions violation".len())?;
    if !violation.eq_ignore_ascii_case("permissions violation") {
        return None;
    }
    text.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::denied_subject;

    #[test]
    fn refused_subjects_are_read() {
        for (text, expected) in [
            ("Permissions Violation for Publish to \"$KV.catalog_v1.manifest\"", Some("$KV.catalog_v1.manifest")),
            ("Permissions Violation for Subscription to \"_INBOX.a.b\" using queue \"q\"", Some("_INBOX.a.b")),
            ("Permissions Violation", None),
            ("Maximum Connections Exceeded \"a\"", None),
            ("", None),
        ] {
            assert_eq!(denied_subject(text), expected, "{text:?}");
        }
    }
}
