//! What the driver of a connection and its callers share: the requests that wait, and when one waits too long.

use super::{CallError, Cause};
use crate::batch::Summed;
use crate::wire::ApiKey;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// Where a request's answer goes.
pub(super) type Reply = oneshot::Sender<Result<Summed, CallError>>;

/// A request that was sent, or is being sent.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) correlation: i32,
    pub(super) api: ApiKey,
    /// How long the connection may stand still while this is the oldest request.
    pub(super) patience: Duration,
    pub(super) reply: Reply,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    cause: OnceLock<Arc<Cause>>,
    /// Tells the watch that the oldest request is another one.
    changed: Notify,
    /// Tells the driver that the connection was closed by us.
    closed: Notify,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Waiting>,
    /// When the connection last moved: bytes came or went, or the oldest request became the oldest.
    progress: Instant,
    /// Until when the broker said it would not read (KIP-219).
    muted: Instant,
    /// Whether the connection stands still because we have no memory for the answer.
    stalled: bool,
}

impl Shared {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State { waiting: VecDeque::new(), progress: now, muted: now, stalled: false };
        Self { state: Mutex::new(state), cause: OnceLock::new(), changed: Notify::new(), closed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cause(&self) -> Option<Arc<Cause>> {
        self.cause.get().cloned()
    }

    /// Ends the connection from our side; the driver follows.
    pub(super) fn close(&self) {
        self.cause.get_or_init(|| Arc::new(Cause::Dropped));
        self.closed.notify_one();
    }

    pub(super) async fn closed(&self) -> Cause {
        self.closed.notified().await;
        Cause::Dropped
    }

    pub(super) fn progress(&self) {
        self.state().progress = Instant::now();
    }

    pub(super) fn mute(&self, throttle: Duration) {
        if !throttle.is_zero() {
            self.state().muted = Instant::now() + throttle;
        }
    }

    pub(super) fn stall(&self, stalled: bool) {
        let mut state = self.state();
        state.stalled = stalled;
        state.progress = Instant::now();
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn register(&self, waiting: Waiting) {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.progress = Instant::now();
            self.changed.notify_one();
        }
        state.waiting.push_back(waiting);
    }

    /// Takes the oldest request out, if the answer with this correlation id is its answer.
    pub(super) fn answered(&self, correlation: i32) -> Result<Waiting, Cause> {
        let mut state = self.state();
        let due = state.waiting.front().map(|waiting| waiting.correlation);
        match state.waiting.pop_front_if(|waiting| waiting.correlation == correlation) {
            Some(waiting) => {
                state.progress = Instant::now();
                self.changed.notify_one();
                Ok(waiting)
            }
            None => Err(Cause::OutOfOrder { due, got: correlation }),
        }
    }

    /// Ends with a cause when the oldest request has waited too long.
    pub(super) async fn watch(&self) -> Cause {
        loop {
            let deadline = self.deadline();
            match deadline {
                Some((at, api, patience)) if at <= Instant::now() => return Cause::TimedOut { api, waited: patience },
                Some((at, ..)) => {
                    tokio::select! {
                        biased;
                        () = self.changed.notified() => {}
                        () = sleep_until(at) => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn deadline(&self) -> Option<(Instant, ApiKey, Duration)> {
        let state = self.state();
        let oldest = state.waiting.front().filter(|_| !state.stalled)?;
        let since = state.progress.max(state.muted);
        Some((since + oldest.patience, oldest.api, oldest.patience))
    }

    /// Sets the cause, once, and takes out everything that still waits.
    pub(super) fn end(&self, cause: Cause) -> (Arc<Cause>, VecDeque<Waiting>) {
        let cause = Arc::clone(self.cause.get_or_init(|| Arc::new(cause)));
        (cause, std::mem::take(&mut self.state().waiting))
    }
}
