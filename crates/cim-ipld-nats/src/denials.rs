//! What the server says of permissions: it answers a refused request with nothing, and tells the reason beside.

use async_nats::{Event, ServerError};
use cim_ipld_backend::{Error, ErrorKind, Result};
use tokio::sync::broadcast;

/// News of refused subjects, for the operations that are waiting.
#[derive(Clone, Debug)]
pub(crate) struct Denials(broadcast::Sender<String>);

impl Denials {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(256))
    }

    /// Takes note of an event of the connection.
    pub(crate) fn note(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(text)) = event
            && let Some(subject) = denied_subject(text)
        {
            // Nobody may be waiting for it any more.
            let _ = self.0.send(subject.to_owned());
        }
    }

    /// Runs `operation`, which has sent something to one of `subjects`, and ends it when the server refuses that.
    pub(crate) async fn watch<T>(&self, subjects: &[&str], operation: impl Future<Output = Result<T>>) -> Result<T> {
        let mut news = self.0.subscribe();
        let denied = async {
            loop {
                match news.recv().await {
                    Ok(subject) if subjects.contains(&&*subject) => return subject,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            biased;
            done = operation => done,
            subject = denied => {
                let message = format!("this account has no permission for the subject {subject}");
                Err(Error::new(ErrorKind::Denied, message))
            }
        }
    }
}

/// The subject in `Permissions Violation for Publish to "SUBJECT"`, which the client passes on in lower case or not.
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
