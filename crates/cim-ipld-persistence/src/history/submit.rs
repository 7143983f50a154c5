//! Calls on their way to the writer.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::format::MAX_DECODED_BYTES;
use crate::format::announcement::Announcement;
use crate::format::record::Operation;
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

/// How many calls may wait for their record before a further one waits to be let in.
const WAITING_CALLS: usize = 1024;
/// The largest call: half of what a reader decodes at a time.
const MAX_CALL_BYTES: usize = MAX_DECODED_BYTES / 2;

/// One call's operations: atomic, and answered together.
pub(super) struct Request {
    pub(super) operations: Vec<Operation>,
    pub(super) announces: Option<Announcement>,
    pub(super) reply: oneshot::Sender<Result<Position>>,
}

impl Request {
    pub(super) fn bytes(&self) -> usize {
        bytes(&self.operations)
    }
}

pub(super) fn bytes(operations: &[Operation]) -> usize {
    operations.iter().map(Operation::encoded_bytes).sum()
}

/// Hands operations to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Submit {
    requests: mpsc::Sender<Request>,
    closing: Arc<Notify>,
}

impl Submit {
    /// Returns the end that hands calls in, and what the writer takes of it: the calls, and the
    /// notice that there will be no more.
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>, Arc<Notify>) {
        let (requests, taken) = mpsc::channel(WAITING_CALLS);
        let closing = Arc::new(Notify::new());
        (Self { requests, closing: Arc::clone(&closing) }, taken, closing)
    }

    /// Returns the position of the record that made the operations durable. Without operations it
    /// is a barrier: everything that was acknowledged to anybody before this was called is before
    /// it.
    ///
    /// Dropping the future after the operations were taken does not take them back: all of them are
    /// written, or none.
    pub(crate) async fn operations(&self, operations: Vec<Operation>) -> Result<Position> {
        let bytes = bytes(&operations);
        if bytes > MAX_CALL_BYTES {
            let message = format!("a call of {bytes} bytes is over the limit of {MAX_CALL_BYTES}: split it");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.request(operations, None).await
    }

    /// Announces the root record that is about to replace the present one.
    pub(crate) async fn announce(&self, root: Announcement) -> Result<Position> {
        self.request(Vec::new(), Some(root)).await
    }

    async fn request(&self, operations: Vec<Operation>, announces: Option<Announcement>) -> Result<Position> {
        let closed = || Error::new(ErrorKind::Closed, "the engine was closed");
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { operations, announces, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Lets the writer take nothing more; it ends when it has written what it took.
    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }
}
