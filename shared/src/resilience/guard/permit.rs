//! One call that the breakers admitted, from its start to its report.

use super::{
    super::breaker::{Generation, Outcomes, ProbeToken},
    Guard, read,
};
use crate::kv::Delivery;

/// How a call ended, for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The upstream answered.
    Good,
    /// It answered, and took too long.
    Slow,
    /// It did not answer, or not usably.
    Failed,
    /// The call was cut short: it proves nothing.
    Unknown,
}

/// The state of a breaker that a call began in.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallStart {
    pub(super) generation: Generation,
    /// The probe's token, if the call is one.
    pub(super) token: Option<ProbeToken>,
}

impl CallStart {
    pub(super) fn outcomes(self, outcome: CallOutcome) -> Outcomes {
        let one = |wanted| u32::from(outcome == wanted);
        Outcomes {
            generation: self.generation,
            good: one(CallOutcome::Good),
            slow: one(CallOutcome::Slow),
            failed: one(CallOutcome::Failed),
        }
    }
}

/// The right to make one call. Dropped without [`Self::end`] (its caller was cancelled), it reports
/// nothing; a probe's lease then expires.
#[must_use = "the breaker counts only calls that are reported"]
pub struct CallPermit<'a> {
    pub(super) guard: &'a Guard,
    pub(super) shared: Option<CallStart>,
    pub(super) local: Option<CallStart>,
}

impl CallPermit<'_> {
    /// Reports how the call ended: a failure, and the end of a probe, at once; a success is sent
    /// along with the next check.
    pub async fn end(self, outcome: CallOutcome) {
        self.end_local(outcome);
        let (Some((kv, breaker)), Some(start)) = (&self.guard.shared, self.shared) else {
            return;
        };
        match (outcome, start.token) {
            (CallOutcome::Unknown, None) => {}
            (CallOutcome::Good, None) => self.guard.memory().defer_success(start.generation),
            (_, token) => {
                let report = breaker.report(start.outcomes(outcome), token);
                self.guard.ask(kv, &report, Delivery::Required).await;
            }
        }
    }

    fn end_local(&self, outcome: CallOutcome) {
        if let (Some((store, breaker)), Some(start)) = (&self.guard.local, self.local) {
            let reply = store.step(&breaker.report(start.outcomes(outcome), start.token));
            let transition = read(&reply).and_then(|reply| reply.transition);
            self.guard.report_transition(transition, "this instance");
            if transition.is_some() {
                self.guard.record_state(None);
            }
        }
    }
}
