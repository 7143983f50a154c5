//! Writes the journal. Concurrent calls share a record, and a call is answered when the follower of
//! this process has accepted exactly the bytes that were sent and their documents are searchable.
//!
//! A record is sealed only after the one before was judged, so one is in flight at a time. It is
//! sent while the documents of the one before are still being inserted.

use std::sync::Arc;

use cim_ipld_backend::Revision;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::backpressure::wait_for_room;
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
use crate::format::writer_id::WriterId;
use crate::objects::layout::Layout;
use crate::position::Position;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// The maximum size of a record shared by several calls.
const SHARED_RECORD_BYTES: usize = 512 << 10;
/// An upper bound of the size of a record and its envelope without the operations.
const RECORD_OVERHEAD_BYTES: usize = 2048;
/// The maximum number of occupied keys per call. After each of them, the writer takes a new
/// identity.
const MAX_OCCUPIED_KEYS: usize = 16;

/// The content of a record, and the deadline for writing it.
struct Draft<'a> {
    body: Body<&'a [Operation]>,
    announces: Option<Announcement>,
    closes: Vec<WriterId>,
    /// The revision that the root had before the body was stored, if it is stored separately.
    body_fence: Option<Revision>,
    deadline: Instant,
}

/// The result of one put.
enum Sent {
    Judged(OwnVerdict),
    /// Our record cannot be put again, because a different value is stored under its key or its
    /// body may have been removed, but it may have been stored before. Whether it was accepted is
    /// certain only once this writer id has been closed.
    InDoubt(oneshot::Receiver<OwnVerdict>),
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    pin: Option<Arc<Pin>>,
    requests: mpsc::Receiver<Request>,
    closing: Arc<Notify>,
    /// The id in the keys of the records of this writer.
    id: WriterId,
    sequence: u64,
    /// Writers that may not have ended cleanly, to be closed before anything else is written, at
    /// most [`MAX_CLOSED_WRITERS`] per record.
    closes: Vec<WriterId>,
    /// Whether the pin records this writer.
    is_pinned: bool,
    /// Whether a record of this writer may yet arrive in the store, in which case a successor has
    /// to close this writer.
    in_doubt: bool,
    /// A request taken from the queue that did not fit into the previous record.
    left_over: Option<Request>,
}

impl Writer {
    /// Creates a writer that closes the writers `closes` before it writes anything else.
    pub(crate) fn new(shared: Arc<Shared>, pin: Option<Arc<Pin>>, closes: Vec<WriterId>) -> (Self, Submit) {
        let (submit, requests, closing) = Submit::new();
        let id = WriterId(u64::from_le_bytes(shared.objects.environment.random()));
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

    /// Writes until every [`Submit`] is dropped or one of them closes the writer.
    pub(crate) async fn run(mut self) {
        let mut answers = FuturesUnordered::new();
        while let Some(first) = while_answering(&mut answers, self.next()).await {
            let requests = self.gather(first);
            let announces = requests.iter().find_map(|request| request.announces);
            let (operations, replies): (Vec<_>, Vec<_>) =
                requests.into_iter().map(|request| (request.operations, request.reply)).unzip();
            let write = self.write(operations.into_iter().flatten().collect(), announces);
            match while_answering(&mut answers, write).await {
                Ok(position) => answers.push(answer_when_searchable(Arc::clone(&self.shared), position, replies)),
                Err(error) => answer(replies, &Err(error)),
            }
        }
        while answers.next().await.is_some() {}
        if let Some(pin) = self.pin.filter(|_| !self.in_doubt) {
            pin.ended_cleanly();
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

    /// Returns `first` with the waiting requests that fit into the same record.
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
        wait_for_room(&self.shared).await?;
        self.pin_identity().await?;
        let mut in_doubt = None;
        let written = self.write_until_accepted(&operations, announces, &mut in_doubt).await;
        match written {
            Err(error) if in_doubt.is_some() => Err(outcome_unknown(error)),
            written => written,
        }
    }

    /// Writes until a record is accepted. `in_doubt` is the pending verdict on a record with an
    /// unknown outcome.
    async fn write_until_accepted(
        &mut self,
        operations: &[Operation],
        announces: Option<Announcement>,
        in_doubt: &mut Option<oneshot::Receiver<OwnVerdict>>,
    ) -> Result<u64> {
        let deadline = Instant::now() + self.shared.settings.write_timeout;
        let mut occupied = 0;
        loop {
            self.shared.check()?;
            if Instant::now() >= deadline {
                let message = "the record was not accepted within the write timeout";
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            // Writers are closed first, by a separate record. Once that record is accepted, no
            // outcome is unknown any more.
            let closes: Vec<WriterId> = self.closes.iter().take(MAX_CLOSED_WRITERS).copied().collect();
            let is_closing = !closes.is_empty();
            let draft = if is_closing {
                let body = Body::Inline([].as_slice());
                Draft { body, announces: None, closes: closes.clone(), body_fence: None, deadline }
            } else {
                // A spilled body is stored again for each attempt, because the body of a rejected
                // record is trimmed together with the record.
                let root = self.shared.objects.root().revision;
                let body = self.body(operations).await?;
                let body_fence = matches!(body, Body::Spilled { .. }).then_some(root);
                Draft { body, announces, closes: Vec::new(), body_fence, deadline }
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
                    let message = "a document of this write was encoded but cannot be decoded: nothing was written";
                    return Err(Error::new(ErrorKind::InvalidInput, message));
                }
                Sent::Judged(OwnVerdict::Ignored(_)) => {}
                Sent::InDoubt(verdict) => {
                    if !is_closing {
                        *in_doubt = Some(verdict);
                    }
                    occupied += 1;
                    if occupied == MAX_OCCUPIED_KEYS {
                        let message = "the keys of all records of this write are occupied, or their bodies removed";
                        return Err(Error::new(ErrorKind::Unavailable, message));
                    }
                }
            }
        }
    }

    /// Returns the operations as the body of a record, stored in separate objects if they are too
    /// large.
    async fn body<'a>(&self, operations: &'a [Operation]) -> Result<Body<&'a [Operation]>> {
        if bytes(operations) > self.inline_limit_bytes() {
            return records::spill(&self.shared.objects, operations, &self.shared.text_options()).await;
        }
        Ok(Body::Inline(operations))
    }

    /// Puts the next record. If it is not accepted, the writer can put another one.
    async fn write_next(&mut self, draft: Draft<'_>) -> Result<Sent> {
        let closes = draft.closes.len();
        let sent = self.write_once(draft).await;
        // The sequence number increases in any case. Once the next record is accepted, this one can
        // no longer become part of the order.
        self.sequence += 1;
        self.in_doubt |= !matches!(sent, Ok(Sent::Judged(_)));
        let sent = sent?;
        match &sent {
            Sent::Judged(OwnVerdict::Accepted(_)) => self.in_doubt = self.closes.len() > closes,
            Sent::Judged(OwnVerdict::Ignored(reason)) => {
                tracing::warn!(?reason, "a record of this process was not accepted; sealing it again");
                if matches!(reason, Ignored::Closed | Ignored::Duplicate) {
                    self.take_new_identity().await?;
                }
            }
            Sent::InDoubt(_) => {
                self.closes.push(self.id);
                self.take_new_identity().await?;
            }
        }
        Ok(sent)
    }

    /// Puts one record and waits for its verdict.
    async fn write_once(&mut self, draft: Draft<'_>) -> Result<Sent> {
        let Draft { body, announces, closes, body_fence, deadline } = draft;
        let shared = Arc::clone(&self.shared);
        let seen = shared.history();
        let (generation, manifest) = if shared.objects.rules.enforces(Rule::RecordManifest) {
            (seen.generation, seen.manifest)
        } else {
            (0, Digest::default())
        };
        let attest = attestation(seen.order, manifest);
        let record = Record { seen: seen.position, generation, attest, closes, announces, body };
        let key = Layout::record(self.id, self.sequence)?;
        let sealed = records::seal(&shared.objects, key, self.sequence, &record, &shared.text_options())?;
        #[cfg(feature = "simulation")]
        shared.objects.environment.observe(|| crate::observer::Event::Sealed {
            writer: self.id.0,
            record: sealed.digest.0,
            seen: seen.position,
            order: seen.order.0,
            generation: seen.generation,
            manifest: seen.manifest.0,
        });
        let (key, bytes) = (sealed.key.clone(), sealed.bytes.clone());
        let mut put = Put { shared: &shared, key, sealed: bytes, maybe_landed: false, body_fence };
        let mut verdict = shared.register_in_flight(self.id, self.sequence, sealed);
        let judged = async {
            tokio::select! {
                biased;
                judged = &mut verdict => return judged.map(Some).map_err(|_| closed()),
                answer = put.run(deadline) => match answer? {
                    Answer::Landed => {}
                    Answer::Occupied | Answer::BodyAtRisk => return Ok(None),
                },
            }
            if !shared.objects.rules.enforces(Rule::ReadBack) {
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
            Some(judged) => Ok(judged?.map_or_else(|| Sent::InDoubt(verdict), Sent::Judged)),
            None if put.maybe_landed => {
                let message = "a record was written, but it could not be read back in time";
                Err(Error::new(ErrorKind::OutcomeUnknown, message))
            }
            None => {
                Err(Error::new(ErrorKind::Unavailable, "the store did not accept the record within the write timeout"))
            }
        }
    }

    /// Records this writer in the pin before its first record, so that a successor closes it if
    /// this process does not end cleanly.
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
        self.id = WriterId(u64::from_le_bytes(self.shared.objects.environment.random()));
        self.sequence = 0;
        self.is_pinned = self.pin.is_none();
        self.pin_identity().await
    }
}

type Replies = Vec<oneshot::Sender<Result<Position>>>;

/// Runs `future` to its end, and meanwhile answers the calls of earlier records.
async fn while_answering<F: Future>(answers: &mut FuturesUnordered<impl Future<Output = ()>>, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            biased;
            Some(()) = answers.next() => {}
            output = &mut future => return output,
        }
    }
}

/// Answers the calls of an accepted record once their documents are searchable.
async fn answer_when_searchable(shared: Arc<Shared>, position: u64, replies: Replies) {
    let reached = shared.progress.wait_until(|progress| progress.seen.position >= position);
    let answered = if shared.objects.rules.enforces(Rule::ReadBack) {
        tokio::time::timeout(shared.settings.write_timeout, reached).await.unwrap_or_else(|_| {
            let message = "a record was written, but its documents were not searchable in time";
            Err(Error::new(ErrorKind::OutcomeUnknown, message))
        })
    } else {
        Ok(())
    };
    answer(replies, &answered.map(|()| Position::new(position)).map_err(outcome_unknown));
}

fn answer(replies: Replies, answer: &Result<Position>) {
    for reply in replies {
        // Ignored if the caller is gone.
        let _ = reply.send(answer.clone());
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine was closed")
}
