//! The journal's writing end: concurrent calls share one record, one record is in flight at a time.

use std::sync::Arc;

use cim_ipld_backend::{Precondition, Revision};
use cim_ipld_envelope::random;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::catalog;
use crate::format::record::{Body, Operation, Record};
use crate::layout::Layout;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};

/// How many calls may wait for their record before a further one waits to be let in.
const WAITING_CALLS: usize = 1024;
/// Operations of several calls share a record up to this size.
const SHARED_RECORD_BYTES: usize = 512 << 10;
/// What a record and its envelope take beside the operations.
const RECORD_OVERHEAD_BYTES: usize = 1024;

/// One call's operations: atomic, and answered together.
struct Request {
    operations: Vec<Operation>,
    reply: oneshot::Sender<Result<Revision>>,
}

impl Request {
    fn bytes(&self) -> usize {
        self.operations.iter().map(Operation::encoded_bytes).sum()
    }
}

/// Hands operations to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Submit {
    requests: mpsc::Sender<Request>,
    closing: Arc<Notify>,
}

impl Submit {
    /// Returns the revision of the record that made the operations durable.
    ///
    /// Dropping the future after the operations were taken does not take them back: all of them are written, or none.
    pub(crate) async fn operations(&self, operations: Vec<Operation>) -> Result<Revision> {
        let closed = || Error::new(ErrorKind::Closed, "the engine was closed");
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { operations, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Lets the writer take nothing more; it ends when it has written what it took.
    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    closing: Arc<Notify>,
    /// Names this writer's records; drawn anew when a record's outcome could not be learned.
    id: u64,
    sequence: u64,
    previous: Revision,
    /// A request taken from the queue that did not fit into the record before.
    left_over: Option<Request>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, Submit) {
        let (submit, requests) = mpsc::channel(WAITING_CALLS);
        let closing = Arc::new(Notify::new());
        let writer = Self {
            shared,
            requests,
            closing: Arc::clone(&closing),
            id: u64::from_le_bytes(random()),
            sequence: 0,
            previous: Revision::ZERO,
            left_over: None,
        };
        (writer, Submit { requests: submit, closing })
    }

    /// Writes until every [`Submit`] is gone or one of them said so; returns the revision of the last record.
    pub(crate) async fn run(mut self) -> Revision {
        let mut last = Revision::ZERO;
        while let Some(first) = self.next().await {
            let requests = self.gather(first);
            let (operations, replies): (Vec<_>, Vec<_>) =
                requests.into_iter().map(|request| (request.operations, request.reply)).unzip();
            let written = self.write(operations.into_iter().flatten().collect()).await;
            last = written.as_ref().copied().unwrap_or(last);
            for reply in replies {
                // A caller that went away has no use for the answer.
                let _ = reply.send(written.clone());
            }
        }
        last
    }

    async fn next(&mut self) -> Option<Request> {
        match self.left_over.take() {
            Some(request) => Some(request),
            None => loop {
                tokio::select! {
                    request = self.requests.recv() => break request,
                    () = self.closing.notified() => self.requests.close(),
                }
            },
        }
    }

    /// Adds to `first` what waits already, as much as shares a record with it.
    fn gather(&mut self, first: Request) -> Vec<Request> {
        let limit = SHARED_RECORD_BYTES.min(self.inline_limit_bytes());
        let mut bytes = first.bytes();
        let mut requests = vec![first];
        while bytes < limit {
            let Ok(request) = self.requests.try_recv() else { break };
            bytes += request.bytes();
            if bytes > limit {
                self.left_over = Some(request);
                break;
            }
            requests.push(request);
        }
        requests
    }

    fn inline_limit_bytes(&self) -> usize {
        self.shared.objects.backend.limits().max_value_bytes.saturating_sub(RECORD_OVERHEAD_BYTES)
    }

    async fn write(&mut self, operations: Vec<Operation>) -> Result<Revision> {
        self.wait_for_room().await?;
        let bytes: usize = operations.iter().map(Operation::encoded_bytes).sum();
        let options = self.shared.text_options();
        let body = if bytes > self.inline_limit_bytes() {
            catalog::spill(&self.shared.objects, &operations, &options).await?
        } else {
            Body::Inline(operations)
        };
        let progress = self.shared.progress();
        let record = Record {
            previous: self.previous.number(),
            seen: progress.last_record,
            generation: progress.generation,
            body,
        };
        let key = Layout::record(self.id, self.sequence)?;
        let sealed = catalog::seal_record(&self.shared.objects, &key, self.sequence, &record, &options)?;
        let catalog = &self.shared.objects.layout.catalog;
        match self.shared.objects.write(catalog, &key, sealed, Precondition::Absent).await {
            Ok(revision) => {
                self.sequence += 1;
                self.previous = revision;
                Ok(revision)
            }
            Err(error) => {
                // The record may land yet. Another chain of records keeps this one from ever being written twice.
                self.id = u64::from_le_bytes(random());
                self.sequence = 0;
                self.previous = Revision::ZERO;
                Err(error)
            }
        }
    }

    /// Holds writes back while two memtables' worth waits to be folded: memory stays within its budget.
    async fn wait_for_room(&self) -> Result<()> {
        self.shared.check()?;
        let settings = &self.shared.settings;
        if !settings.background {
            return Ok(());
        }
        let limit = settings.memtable_budget_bytes.max(1).saturating_mul(2);
        let room = self.shared.wait_until(|progress| progress.memtable_bytes + progress.frozen_bytes < limit);
        tokio::time::timeout(settings.write_timeout(), room).await.map_err(|_| {
            let message = "the memtable is full and the fold that would empty it does not come to its end";
            Error::new(ErrorKind::Unavailable, message)
        })?
    }
}
