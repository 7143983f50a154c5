//! The queue of calls to the writer.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::format::MAX_DECODED_BYTES;
use crate::format::announcement::Announcement;
use crate::format::record::Operation;
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

/// The capacity of the queue. Further calls wait for a slot.
const WAITING_CALLS: usize = 1024;
/// The maximum size of a call: half of the largest content that a reader decodes.
const MAX_CALL_BYTES: usize = MAX_DECODED_BYTES / 2;

/// The operations of one call. They are written atomically, with one reply.
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

/// The sending half of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Submit {
    requests: mpsc::Sender<Request>,
    closing: Arc<Notify>,
}

impl Submit {
    /// Creates the queue. Returns the sending half, the receiver of the calls and the notification
    /// that no more calls follow.
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>, Arc<Notify>) {
        let (requests, receiver) = mpsc::channel(WAITING_CALLS);
        let closing = Arc::new(Notify::new());
        (Self { requests, closing: Arc::clone(&closing) }, receiver, closing)
    }

    /// Writes the operations and returns the position of their record. Without operations, the
    /// record is a barrier: every write acknowledged to any process before this call precedes it.
    ///
    /// Dropping the future does not cancel operations that the writer has already taken: either all
    /// of them are written or none.
    pub(crate) async fn operations(&self, operations: Vec<Operation>) -> Result<Position> {
        let bytes = bytes(&operations);
        if bytes > MAX_CALL_BYTES {
            let message = format!("the write has {bytes} bytes, which exceeds the limit of {MAX_CALL_BYTES}: split it");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.request(operations, None).await
    }

    /// Announces the root record that is about to replace the current one.
    pub(crate) async fn announce(&self, root: Announcement) -> Result<Position> {
        self.request(Vec::new(), Some(root)).await
    }

    async fn request(&self, operations: Vec<Operation>, announces: Option<Announcement>) -> Result<Position> {
        let closed = || Error::new(ErrorKind::Closed, "the engine was closed");
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { operations, announces, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Closes the queue. The writer ends after it has written the calls already taken.
    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }
}
