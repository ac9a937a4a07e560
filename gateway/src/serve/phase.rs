//! What a connection does, seen from outside of hyper.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::ServerLimits;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For a request.
    Idle(Instant),
    /// For the client to take more of the last answer, of which it took some at this time.
    Writing(Instant),
    /// For the rest of a request's head.
    Head(Instant),
    /// For a request's body. The body keeps its own time.
    Body(Instant),
    /// For the app.
    Serving,
}

impl Phase {
    /// When the wait becomes too long, as far as the connection has to see to it. Once the server
    /// has stopped, a request is awaited for the time that is left to connections.
    pub(super) fn end(self, limits: &ServerLimits, stopped: Option<Instant>) -> Option<Instant> {
        let (since, limit) = match self {
            Self::Idle(since) => (since, limits.idle),
            // The answer was promised, whether the server has stopped or not.
            Self::Writing(since) => return Some(since + limits.idle),
            Self::Head(since) => (since, limits.head),
            Self::Body(_) | Self::Serving => return None,
        };
        let end = since + limit;
        let rest = limits.linger.max(limits.drain);
        Some(stopped.map_or(end, |stopped| end.min(stopped.max(since) + rest)))
    }

    /// Since when the client has let the server wait.
    pub(super) fn waiting_since(self) -> Option<Instant> {
        match self {
            Self::Idle(since) | Self::Writing(since) | Self::Head(since) | Self::Body(since) => {
                Some(since)
            }
            Self::Serving => None,
        }
    }
}

/// The phase of one connection, shared by its stream, its service and the table of connections.
#[derive(Clone, Debug)]
pub(super) struct SharedPhase(Arc<Mutex<Phase>>);

impl SharedPhase {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Idle(Instant::now()))))
    }

    pub(super) fn get(&self) -> Phase {
        *self.lock()
    }

    pub(super) fn set(&self, phase: Phase) {
        *self.lock() = phase;
    }

    /// Bytes have arrived: those of a request, if the connection was idle.
    pub(super) fn received(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Idle(_)) {
            *phase = Phase::Head(Instant::now());
        }
    }

    /// The client has been sent a part of an answer.
    pub(super) fn written(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Idle(_) | Phase::Writing(_)) {
            *phase = Phase::Writing(Instant::now());
        }
    }

    /// Everything that was written is on its way.
    pub(super) fn flushed(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Writing(_)) {
            *phase = Phase::Idle(Instant::now());
        }
    }

    /// The body is awaited.
    pub(super) fn awaits_body(&self) {
        let mut phase = self.lock();
        if *phase == Phase::Serving {
            *phase = Phase::Body(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
