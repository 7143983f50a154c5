//! The journal's writing end: concurrent calls share one record, one record is in flight at a time,
//! and a call is answered when this process's own follower has accepted the very bytes that were
//! sent.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::order::Ignored;
use super::outcome::outcome_unknown;
use super::pin::Pin;
use super::put::{Answer, Put};
use super::records;
use super::shared::{OwnVerdict, Shared};
use super::submit::{Request, Submit, bytes};
use crate::format::announcement::Announcement;
use crate::format::digest::Digest;
use crate::format::record::{Body, MAX_CLOSED_WRITERS, Operation, Record, attestation};
use crate::objects::layout::Layout;
use crate::position::Position;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// Operations of several calls share a record up to this size.
const SHARED_RECORD_BYTES: usize = 512 << 10;
/// What a record and its envelope take beside the operations.
const RECORD_OVERHEAD_BYTES: usize = 2048;
/// Identities that one call takes up when the keys of its records are taken.
const MAX_TAKEN_KEYS: usize = 16;

/// What a record is to hold, and until when it may be written.
struct Draft<'a> {
    body: Body<&'a [Operation]>,
    announces: Option<Announcement>,
    closes: Vec<u64>,
    deadline: Instant,
}

/// What became of one put.
enum Sent {
    Judged(OwnVerdict),
    /// Something else is under the record's key. Whether the record landed before that shows when
    /// its writer is closed.
    Occupied(oneshot::Receiver<OwnVerdict>),
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    pin: Option<Arc<Pin>>,
    requests: mpsc::Receiver<Request>,
    closing: Arc<Notify>,
    /// Names this writer's records.
    id: u64,
    sequence: u64,
    /// Writers whose ends are unknown, to be closed by the first record.
    closes: Vec<u64>,
    /// Whether the pin knows this writer.
    is_pinned: bool,
    /// Whether a record of this writer may still land: its successor has to close it.
    in_doubt: bool,
    /// A request taken from the queue that did not fit into the record before.
    left_over: Option<Request>,
}

impl Writer {
    /// Makes a writer whose first record closes the writers of `closes`.
    pub(crate) fn new(shared: Arc<Shared>, pin: Option<Arc<Pin>>, closes: Vec<u64>) -> (Self, Submit) {
        let (submit, requests, closing) = Submit::new();
        let id = u64::from_le_bytes(shared.objects.environment.random());
        let is_pinned = pin.is_none();
        let writer = Self {
            shared,
            pin,
            requests,
            closing,
            id,
            sequence: 0,
            closes,
            is_pinned,
            in_doubt: false,
            left_over: None,
        };
        (writer, submit)
    }

    /// Writes until every [`Submit`] is gone or one of them closed it.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.next().await {
            let requests = self.gather(first);
            let announces = requests.iter().find_map(|request| request.announces);
            let (operations, replies): (Vec<_>, Vec<_>) =
                requests.into_iter().map(|request| (request.operations, request.reply)).unzip();
            let written = self.write(operations.into_iter().flatten().collect(), announces).await;
            for reply in replies {
                // A caller that went away has no use for the answer.
                let _ = reply.send(written.clone().map(Position::new));
            }
        }
        if let Some(pin) = self.pin.filter(|_| !self.in_doubt) {
            pin.ended_in_order();
        }
    }

    async fn next(&mut self) -> Option<Request> {
        match self.left_over.take() {
            Some(request) => Some(request),
            None => loop {
                tokio::select! {
                    biased;
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
        let mut announces = first.announces.is_some();
        let mut requests = vec![first];
        while bytes < limit {
            let Ok(request) = self.requests.try_recv() else { break };
            bytes += request.bytes();
            if bytes > limit || (announces && request.announces.is_some()) {
                self.left_over = Some(request);
                break;
            }
            announces |= request.announces.is_some();
            requests.push(request);
        }
        requests
    }

    fn inline_limit_bytes(&self) -> usize {
        self.shared.objects.backend.limits().max_value_bytes.saturating_sub(RECORD_OVERHEAD_BYTES)
    }

    /// Returns the position at which the operations were accepted.
    async fn write(&mut self, operations: Vec<Operation>, announces: Option<Announcement>) -> Result<u64> {
        self.wait_for_room().await?;
        self.pin_identity().await?;
        let mut in_doubt = None;
        let written = self.write_through(&operations, announces, &mut in_doubt).await;
        match written {
            Err(error) if in_doubt.is_some() => Err(outcome_unknown(error)),
            written => written,
        }
    }

    /// Writes until the record is accepted. `in_doubt` is the verdict on one whose outcome is open.
    async fn write_through(
        &mut self,
        operations: &[Operation],
        announces: Option<Announcement>,
        in_doubt: &mut Option<oneshot::Receiver<OwnVerdict>>,
    ) -> Result<u64> {
        let deadline = Instant::now() + self.shared.settings.write_timeout;
        let mut taken = 0;
        loop {
            self.shared.check()?;
            if Instant::now() >= deadline {
                let message = "the record was not accepted until the time was over";
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            // Closing comes first, and alone: once it is accepted, every outcome that was in doubt
            // is definite.
            let closes: Vec<u64> = self.closes.iter().take(MAX_CLOSED_WRITERS).copied().collect();
            let is_closing = !closes.is_empty();
            let draft = if is_closing {
                Draft { body: Body::Inline(&[]), announces: None, closes: closes.clone(), deadline }
            } else {
                // Stored anew each time: what is trimmed with a record that was not accepted is
                // that record's own.
                Draft { body: self.body(operations).await?, announces, closes: Vec::new(), deadline }
            };
            match self.write_next(draft).await? {
                Sent::Judged(OwnVerdict::Accepted(position)) if !is_closing => return Ok(position),
                Sent::Judged(OwnVerdict::Accepted(_)) => {
                    self.closes.drain(..closes.len());
                    self.pin.iter().for_each(|pin| pin.closed(&closes));
                    if self.closes.is_empty()
                        && let Some(verdict) = in_doubt.take()
                        && let OwnVerdict::Accepted(position) = verdict.await.map_err(|_| closed())?
                    {
                        return Ok(position);
                    }
                }
                Sent::Judged(OwnVerdict::Ignored(Ignored::Junk)) => {
                    let message = "what was written cannot be read back: a document that encodes and does not decode";
                    return Err(Error::new(ErrorKind::InvalidInput, message));
                }
                Sent::Judged(OwnVerdict::Ignored(_)) => {}
                Sent::Occupied(verdict) => {
                    if !is_closing {
                        *in_doubt = Some(verdict);
                    }
                    taken += 1;
                    if taken == MAX_TAKEN_KEYS {
                        let message = "somebody takes the key of every record that this process writes";
                        return Err(Error::new(ErrorKind::Unavailable, message));
                    }
                }
            }
        }
    }

    /// Returns the operations as a record holds them, stored beside it where they are too large for
    /// it.
    async fn body<'a>(&self, operations: &'a [Operation]) -> Result<Body<&'a [Operation]>> {
        if bytes(operations) > self.inline_limit_bytes() {
            return records::spill(&self.shared.objects, operations, &self.shared.text_options()).await;
        }
        Ok(Body::Inline(operations))
    }

    /// Puts the next record; one that is not accepted leaves this writer ready for another.
    async fn write_next(&mut self, draft: Draft<'_>) -> Result<Sent> {
        let closes = draft.closes.len();
        let sent = self.write_once(draft).await;
        // Whatever becomes of that record: the next accepted one makes sure that it is never part
        // of the order later.
        self.sequence += 1;
        self.in_doubt |= !matches!(sent, Ok(Sent::Judged(_)));
        let sent = sent?;
        match &sent {
            Sent::Judged(OwnVerdict::Accepted(_)) => self.in_doubt = self.closes.len() > closes,
            Sent::Judged(OwnVerdict::Ignored(reason)) => {
                tracing::warn!(?reason, "a record of this process was not accepted; it is sealed again");
                if matches!(reason, Ignored::Closed | Ignored::Duplicate) {
                    self.take_new_identity().await?;
                }
            }
            Sent::Occupied(_) => {
                tracing::warn!("the key of this process's next record is taken; it writes under another identity");
                self.closes.push(self.id);
                self.take_new_identity().await?;
            }
        }
        Ok(sent)
    }

    /// Puts one record and waits for what becomes of it.
    async fn write_once(&mut self, draft: Draft<'_>) -> Result<Sent> {
        let Draft { body, announces, closes, deadline } = draft;
        let shared = Arc::clone(&self.shared);
        let seen = shared.progress.read(|progress| progress.seen);
        let (generation, manifest) = if shared.objects.rules.hold(Rule::RecordManifest) {
            (seen.generation, seen.manifest)
        } else {
            (0, Digest::default())
        };
        let attest = attestation(seen.order, manifest);
        let record = Record { seen: seen.position, generation, attest, closes, announces, body };
        let key = Layout::record(self.id, self.sequence)?;
        let sealed = records::seal(&shared.objects, &key, self.sequence, &record, &shared.text_options())?;
        let digest = records::sealed_digest(&sealed);
        #[cfg(feature = "simulation")]
        shared.objects.environment.observe(|| crate::observer::Event::Sealed {
            writer: self.id,
            record: digest.0,
            seen: seen.position,
            order: seen.order.0,
            generation: seen.generation,
            manifest: seen.manifest.0,
        });
        let mut verdict = shared.send(self.id, self.sequence, digest, sealed.clone());
        let mut put = Put { shared: &shared, key, sealed, maybe_landed: false };
        let judged = async {
            tokio::select! {
                biased;
                judged = &mut verdict => return judged.map(Some).map_err(|_| closed()),
                answer = put.run(deadline) => match answer? {
                    Answer::Landed => {}
                    Answer::Occupied => return Ok(None),
                },
            }
            if !shared.objects.rules.hold(Rule::ReadBack) {
                return Ok(Some(OwnVerdict::Accepted(seen.position + 1)));
            }
            (&mut verdict).await.map(Some).map_err(|_| closed())
        };
        let stopped = shared.progress.wait_for(|progress| progress.fatal.clone());
        let outcome = tokio::select! {
            biased;
            judged = tokio::time::timeout_at(deadline, judged) => judged.ok(),
            error = stopped => Some(Err(error)),
        };
        match outcome {
            Some(Err(error)) if put.maybe_landed => Err(outcome_unknown(error)),
            Some(judged) => Ok(judged?.map_or_else(|| Sent::Occupied(verdict), Sent::Judged)),
            None if put.maybe_landed => {
                let message = "a record was written, but the store does not let it be read back";
                Err(Error::new(ErrorKind::OutcomeUnknown, message))
            }
            None => Err(Error::new(ErrorKind::Unavailable, "the store did not take the record in time")),
        }
    }

    /// Remembers this writer outside the store before its first record: whoever comes after an
    /// unclean end closes it.
    async fn pin_identity(&mut self) -> Result<()> {
        if !self.is_pinned
            && let Some(pin) = &self.pin
        {
            pin.begin_writer(&self.shared, self.id).await?;
            self.is_pinned = true;
        }
        Ok(())
    }

    async fn take_new_identity(&mut self) -> Result<()> {
        self.id = u64::from_le_bytes(self.shared.objects.environment.random());
        self.sequence = 0;
        self.is_pinned = self.pin.is_none();
        self.pin_identity().await
    }

    /// Holds writes back while two memtables' worth waits to be folded: memory stays within its
    /// budget.
    async fn wait_for_room(&self) -> Result<()> {
        self.shared.check()?;
        let settings = &self.shared.settings;
        if !settings.background {
            return Ok(());
        }
        let limit = settings.memtable_budget_bytes.max(1).saturating_mul(2);
        let has_room = |progress: &super::progress::Progress| progress.memtable_bytes + progress.frozen_bytes < limit;
        if !self.shared.progress.read(has_room) {
            // Nobody may be folding: each process counts for itself.
            self.shared.folds.notify_one();
        }
        let room = self.shared.progress.wait_until(has_room);
        tokio::time::timeout(settings.write_timeout, room).await.map_err(|_| {
            let message = "the memtable is full and the fold that would empty it does not come to its end";
            Error::new(ErrorKind::Unavailable, message)
        })?
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine was closed")
}
