//! Events of the connection that decide the outcome of requests. The server does not respond to a
//! denied request; it reports the denial as an event. A response that had not arrived when the
//! connection was lost never will.

use std::sync::Arc;

use async_nats::{Event, ServerError};
use cim_ipld_backend::{Error, ErrorKind, Result};
use tokio::sync::{broadcast, watch};

use crate::connection::NatsConnection;

/// The API prefix in the subjects that operations pass to `watch`.
const API: &str = "$JS.API";

/// Distributes events of the connection to the operations that are waiting for a response.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    denied_subjects: broadcast::Sender<String>,
    /// The inbox to which this account is not allowed to subscribe, if any: no response can arrive.
    denied_inbox: watch::Sender<Option<String>>,
    /// How often the connection was lost.
    losses: watch::Sender<u64>,
    inbox: Arc<str>,
    api: Arc<str>,
}

impl Notices {
    /// For a connection whose events are not available.
    pub(crate) fn new() -> Self {
        Self::under("_INBOX", API)
    }

    pub(crate) fn of(connection: &NatsConnection) -> Self {
        Self::under(connection.inbox(), connection.api())
    }

    fn under(inbox: &str, api: &str) -> Self {
        let (denied_subjects, denied_inbox) = (broadcast::Sender::new(256), watch::Sender::new(None));
        let losses = watch::Sender::new(0);
        Self { denied_subjects, denied_inbox, losses, inbox: format!("{inbox}.").into(), api: api.into() }
    }

    /// Handles an event of the connection.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            // A new connection may have other permissions.
            Event::Connected => drop(self.denied_inbox.send_replace(None)),
            Event::Disconnected => self.losses.send_modify(|losses| *losses += 1),
            Event::ServerError(ServerError::Other(text)) => {
                let Some(subject) = denied_subject(text) else { return };
                if subject.starts_with(&*self.inbox) && text.to_ascii_lowercase().contains("for subscription") {
                    self.denied_inbox.send_replace(Some(subject.to_owned()));
                }
                // There may be no operation waiting for it.
                let _ = self.denied_subjects.send(self.as_watched(subject));
            }
            _ => {}
        }
    }

    /// Returns the subject to publish to. A bucket in another domain is reached through the API
    /// prefix of that domain.
    pub(crate) fn published(&self, subject: &str) -> String {
        match &*self.api {
            API => subject.to_owned(),
            api => format!("{api}.{subject}"),
        }
    }

    /// Takes a subject that the server denied, and returns it in the form in which operations pass
    /// it to `watch`. If it begins with the API prefix of this connection, that prefix is removed
    /// if a `$KV.` subject follows, and otherwise replaced with the default prefix.
    fn as_watched(&self, subject: &str) -> String {
        match subject.strip_prefix(&*self.api).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) if rest.starts_with("$KV.") => rest.to_owned(),
            Some(rest) => format!("{API}.{rest}"),
            None => subject.to_owned(),
        }
    }

    /// Runs `operation`, which must only read or be safe to repeat. Fails with `Unavailable` as
    /// soon as the connection is lost, instead of waiting for a response until the timeout.
    pub(crate) async fn while_connected<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let mut losses = self.losses.subscribe();
        tokio::select! {
            biased;
            done = operation => done,
            Ok(()) = losses.changed() => {
                Err(Error::new(ErrorKind::Unavailable, "the connection to the NATS server was lost before it responded"))
            }
        }
    }

    /// Runs `operation`, which sends to one of `subjects`, and aborts it if the server denies that
    /// subject or the inbox for the response.
    pub(crate) async fn watch<T>(&self, subjects: &[&str], operation: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut denied_subjects, mut denied_inbox) = (self.denied_subjects.subscribe(), self.denied_inbox.subscribe());
        let denied = async {
            loop {
                match denied_subjects.recv().await {
                    Ok(subject) if subjects.contains(&&*subject) => return subject,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let unheard = async {
            let inbox = denied_inbox.wait_for(Option::is_some).await.map(|inbox| inbox.clone().unwrap_or_default());
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
                    "this account has no permission to subscribe to its inbox {inbox}, so it cannot receive the server's responses"
                );
                let hint = "allow the account to subscribe to its inbox, or set an inbox prefix to which it may subscribe";
                Err(Error::new(ErrorKind::Denied, message).with_hint(hint))
            }
        }
    }
}

/// Extracts the subject from `Permissions Violation for Publish to "SUBJECT"`, which the client may
/// pass on in lower case.
fn denied_subject(text: &str) -> Option<&str> {
    let violation = text.get(.."permissions violation".len())?;
    if !violation.eq_ignore_ascii_case("permissions violation") {
        return None;
    }
    text.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use async_nats::Event;
    use cim_ipld_backend::{ErrorKind, Result};

    use super::{Notices, denied_subject};

    #[tokio::test]
    async fn a_lost_connection_ends_an_operation() {
        let notices = Notices::new();
        notices.note(&Event::Disconnected);
        assert!(notices.while_connected(async { Ok(()) }).await.is_ok());
        let operation = async {
            notices.note(&Event::Disconnected);
            std::future::pending::<Result<()>>().await
        };
        let error = notices.while_connected(operation).await.expect_err("it has no response");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn denied_subjects_are_parsed() {
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
