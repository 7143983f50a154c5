//! The client of a process, which applies faults to every operation.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Bucket, Error, ErrorKind, Result, Revision};
use futures::future::pending;
use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until, timeout};

use super::ids::ClientId;
use super::random::Rate;
use super::world::{Shared, World};

/// The store as one process sees it.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ClientId,
}

/// The fate of an operation of a client.
enum Fate {
    Goes,
    Unavailable,
    /// The client crashes during the operation, which never returns. `is_sent` is whether the
    /// request still reaches the store.
    Crashes {
        is_sent: bool,
    },
}

/// The fate of a write.
struct Plan {
    arrives_after: Duration,
    is_lost: bool,
    /// The delay after which it arrives a second time.
    again_after: Option<Duration>,
    /// The delay of the acknowledgement, unless it is lost.
    answer_after: Option<Duration>,
    time_out: Duration,
    lie: Option<Lie>,
}

#[derive(Clone, Copy)]
pub(super) enum Lie {
    Dropped,
    WrongRevision,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, id: ClientId) -> Self {
        Self { shared, id }
    }

    /// Returns the id of the client.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    pub(super) fn last_seen(&self, bucket: &Bucket) -> Revision {
        let world = self.shared.lock();
        world.clients[self.id.0].seen.get(bucket.name()).copied().unwrap_or_default()
    }

    /// Records a revision, because a backend refuses an acknowledgement that is not newer than what
    /// it has seen.
    pub(super) fn has_seen(&self, bucket: &Bucket, revision: Revision) {
        let mut world = self.shared.lock();
        let seen = world.clients[self.id.0].seen.entry(bucket.name().to_owned()).or_default();
        *seen = revision.max(*seen);
    }

    /// Starts a read operation. Never returns if the client crashes.
    pub(super) async fn begin(&self, what: &str) -> Result<()> {
        match self.fate() {
            Fate::Goes => {
                self.awake().await;
                self.travel().await;
                Ok(())
            }
            Fate::Unavailable => self.unavailable(what).await,
            Fate::Crashes { .. } => pending().await,
        }
    }

    /// Waits while the client is paused, and forever once it has crashed.
    pub(super) async fn awake(&self) {
        loop {
            let (has_crashed, until) = {
                let world = self.shared.lock();
                let state = &world.clients[self.id.0];
                (state.has_crashed, state.paused_until)
            };
            if has_crashed {
                pending::<()>().await;
            }
            match until.filter(|until| *until > tokio::time::Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }

    /// Delivers the response to the caller and records the operation in the trace.
    pub(super) async fn answer<T>(&self, what: &str, outcome: Result<T>, shown: impl Fn(&T) -> String) -> Result<T> {
        self.awake().await;
        let end = match &outcome {
            Ok(value) => shown(value),
            Err(error) => format!("{:?}", error.kind()),
        };
        self.shared.lock().note(format_args!("{} {what} -> {end}", self.id));
        outcome
    }

    pub(super) async fn travel(&self) {
        let delay = self.shared.lock().delay();
        sleep(delay).await;
    }

    async fn unavailable<T>(&self, what: &str) -> Result<T> {
        self.awake().await;
        self.travel().await;
        let error = Error::new(ErrorKind::Unavailable, "the simulated store does not answer");
        self.answer(what, Err(error), |_| String::new()).await
    }

    fn fate(&self) -> Fate {
        let mut guard = self.shared.lock();
        let world = &mut *guard;
        world.start();
        let state = &mut world.clients[self.id.0];
        state.operations += 1;
        if state.has_crashed {
            return Fate::Crashes { is_sent: false };
        }
        if state.crash_at == Some(state.operations) {
            state.has_crashed = true;
            let is_sent = world.random.below(2) == 1;
            world.note(format_args!("{} crashes", self.id));
            drop(guard);
            self.shared.changed.notify_waiters();
            return Fate::Crashes { is_sent };
        }
        if world.random.happens(world.faults.pause) {
            let time = world.random.within(&world.faults.paused_for);
            state.paused_until = Some(tokio::time::Instant::now() + time);
            world.note(format_args!("{} pauses for {time:?}", self.id));
        }
        if world.random.happens(world.faults.unavailable) { Fate::Unavailable } else { Fate::Goes }
    }

    /// Sends a write and waits for its acknowledgement. `lie` creates the content of a false
    /// acknowledgement (for a put, a revision).
    pub(super) async fn write<T: Send + 'static>(
        &self,
        what: String,
        act: impl Fn(&mut World, ClientId) -> Result<T> + Send + Sync + 'static,
        lie: impl Fn(&mut World, ClientId, Lie) -> T + Send + Sync + 'static,
        shown: fn(&T) -> String,
    ) -> Result<T> {
        let fate = self.fate();
        let is_last = matches!(fate, Fate::Crashes { .. });
        match fate {
            Fate::Unavailable => return self.unavailable(&what).await,
            Fate::Crashes { is_sent: false } => return pending().await,
            Fate::Crashes { is_sent: true } => {}
            Fate::Goes => self.awake().await,
        }
        let plan = self.shared.lock().plan_write(is_last);
        let (time_out, answer_after) = (plan.time_out, plan.answer_after);
        let landed = self.send(what.clone(), plan, act, lie);
        // A crashed client waits here forever.
        self.awake().await;
        let acknowledged = async {
            let Ok(outcome) = landed.await else { return pending().await };
            let Some(delay) = answer_after else { return pending().await };
            sleep(delay).await;
            outcome
        };
        let outcome = timeout(time_out, acknowledged).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::OutcomeUnknown, "the simulated store did not acknowledge in time"))
        });
        self.answer(&what, outcome, shown).await
    }

    /// Performs a write in a separate task, so that it may take effect after its caller gave up or
    /// crashed.
    fn send<T: Send + 'static>(
        &self,
        what: String,
        plan: Plan,
        act: impl Fn(&mut World, ClientId) -> Result<T> + Send + Sync + 'static,
        lie: impl Fn(&mut World, ClientId, Lie) -> T + Send + Sync + 'static,
    ) -> oneshot::Receiver<Result<T>> {
        let (acknowledge, acknowledged) = oneshot::channel();
        let (shared, id) = (Arc::clone(&self.shared), self.id);
        tokio::spawn(async move {
            sleep(plan.arrives_after).await;
            if plan.is_lost {
                return;
            }
            let land = |word: &str| {
                shared.change(|world| {
                    if let Some(Lie::Dropped) = plan.lie {
                        world.note(format_args!("lie: {id} {what} is dropped"));
                        return Ok(lie(world, id, Lie::Dropped));
                    }
                    let outcome = act(world, id);
                    let end = outcome.as_ref().err().map_or(word.to_owned(), |error| format!("{:?}", error.kind()));
                    world.note(format_args!("{id} {what}: {end}"));
                    match plan.lie {
                        Some(told) => outcome.map(|_| lie(world, id, told)),
                        None => outcome,
                    }
                })
            };
            // Ignored if the caller gave up.
            drop(acknowledge.send(land("lands")));
            if let Some(delay) = plan.again_after {
                sleep(delay).await;
                drop(land("lands again"));
            }
        });
        acknowledged
    }
}

impl World {
    fn delay(&mut self) -> Duration {
        self.random.within(&self.faults.delay)
    }

    /// Chooses the fate of a write. If the client crashes during it (`is_last`) and late writes are
    /// enabled, it is late with probability one half, because a successor has to handle that case.
    fn plan_write(&mut self, is_last: bool) -> Plan {
        let late = Duration::ZERO..=self.faults.late;
        let may_be_late = is_last && self.faults.late_landing > Rate::NEVER;
        let is_late = self.random.happens(self.faults.late_landing) || (may_be_late && self.random.below(2) == 1);
        let arrives_after = if is_late { self.faults.time_out + self.random.within(&late) } else { self.delay() };
        let lie = if self.random.happens(self.faults.lies.dropped_write) {
            Some(Lie::Dropped)
        } else {
            self.random.happens(self.faults.lies.wrong_revision).then_some(Lie::WrongRevision)
        };
        Plan {
            arrives_after,
            is_lost: self.random.happens(self.faults.lost_write),
            again_after: self.random.happens(self.faults.double_landing).then(|| self.random.within(&late)),
            answer_after: (!self.random.happens(self.faults.lost_acknowledgement)).then(|| self.delay()),
            time_out: self.faults.time_out,
            lie,
        }
    }
}
