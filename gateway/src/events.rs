//! Events for the functions that API Gateway does not call, where there is no Lambda to hand them over.

use std::{future::pending, time::Duration};

use serde_json::{Value, json, value::RawValue};
use shared::{
    clock::Clock,
    random::Random,
    runtime::{InvocationError, InvocationScope, Invoker},
};
use tokio::{
    pin, select,
    time::{Instant, MissedTickBehavior, interval},
};

/// The time of an invocation, as in template.yaml.
const INVOCATION: Duration = Duration::from_mins(1);
/// How often the schedule of template.yaml asks the worker for what is due.
const SCHEDULE: Duration = Duration::from_mins(1);
/// How often messages to users are looked for: without a queue, nothing else says that there is one.
const MESSAGES: Duration = Duration::from_secs(5);

/// Hands an event over, and returns the function's answer.
///
/// # Errors
/// The function's. Its log line says what went wrong.
pub async fn hand_over(function: &Invoker, event: &Value) -> Result<Value, InvocationError> {
    hand_over_for(INVOCATION, function, event).await
}

/// The same for an invocation of this time.
async fn hand_over_for(
    time: Duration,
    function: &Invoker,
    event: &Value,
) -> Result<Value, InvocationError> {
    let event = RawValue::from_string(event.to_string());
    let event = event.map_err(|error| InvocationError(error.to_string()))?;
    let id = Random::System.uuid_v7(&Clock::System).to_string();
    let invocation = InvocationScope {
        id: &id,
        deadline: Some(Instant::now() + time),
    };
    function.invoke(&event, invocation).await
}

/// Asks the worker once a minute, and at once, for the deletions and merges of accounts that are due or
/// stopped half-way. Never returns. Several processes may do it at the same time: each saga is continued
/// by one of them.
pub async fn run_schedule(worker: Invoker) {
    let schedule = Schedule {
        pause: SCHEDULE,
        task: "resume-sagas",
        time: INVOCATION,
    };
    schedule.run(worker, pending()).await;
}

/// Has the messages to users sent that are due, every five seconds and at once, in rounds that take
/// `round` at most. Several processes may do it at the same time: each message is claimed by one of them.
///
/// Returns once `stop` has completed and the round is over that was running then. Dropped
/// before that, it leaves messages of which nobody knows whether WeChat took them.
pub async fn send_due_messages(
    messages: Invoker,
    round: Duration,
    stop: impl Future<Output = ()> + Send,
) {
    let schedule = Schedule {
        pause: MESSAGES,
        task: "send-messages",
        time: round,
    };
    schedule.run(messages, stop).await;
}

/// What a function is asked for, again and again.
struct Schedule {
    pause: Duration,
    task: &'static str,
    /// What each invocation has.
    time: Duration,
}

impl Schedule {
    async fn run(self, function: Invoker, stop: impl Future<Output = ()> + Send) {
        let mut ticks = interval(self.pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pin!(stop);
        loop {
            select! {
                biased;
                () = &mut stop => return,
                _ = ticks.tick() => {}
            }
            // The log line of the invocation says what went wrong.
            let event = json!({"task": self.task});
            drop(hand_over_for(self.time, &function, &event).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use shared::{
        request::deadline,
        runtime::{EventHandler, Handled},
    };
    use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

    use super::*;

    const ROUND: Duration = Duration::from_secs(12);

    /// Takes three seconds for each round.
    #[derive(Default)]
    struct Slow {
        begun: AtomicUsize,
        ended: AtomicUsize,
    }

    impl Slow {
        fn counts(&self) -> (usize, usize) {
            let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
            (of(&self.begun), of(&self.ended))
        }
    }

    impl EventHandler for Slow {
        fn handle<'a>(
            &'a self,
            _: &'a RawValue,
        ) -> Pin<Box<dyn Future<Output = Result<Handled, InvocationError>> + Send + 'a>> {
            Box::pin(async {
                self.begun.fetch_add(1, Ordering::SeqCst);
                assert!(deadline::remaining().is_some_and(|left| left < ROUND));
                sleep(Duration::from_secs(3)).await;
                self.ended.fetch_add(1, Ordering::SeqCst);
                Ok(Handled {
                    route: "schedule",
                    answer: Value::Null,
                    is_complete: true,
                })
            })
        }
    }

    fn start() -> (Arc<Slow>, oneshot::Sender<()>, JoinHandle<()>) {
        let slow = Arc::new(Slow::default());
        let messages = Invoker::new(Arc::clone(&slow) as Arc<dyn EventHandler>);
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let sending = tokio::spawn(send_due_messages(messages, ROUND, stopped));
        (slow, stop, sending)
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_has_begun_ends_before_the_stop_and_none_follows() {
        let (slow, stop, sending) = start();
        sleep(Duration::from_secs(6)).await;
        assert_eq!(slow.counts(), (2, 1));
        stop.send(()).unwrap();
        sending.await.unwrap();
        assert_eq!(slow.counts(), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_between_two_rounds_waits_for_none() {
        let (slow, stop, sending) = start();
        sleep(Duration::from_secs(4)).await;
        stop.send(()).unwrap();
        let before = Instant::now();
        sending.await.unwrap();
        assert_eq!((slow.counts(), before.elapsed()), ((1, 1), Duration::ZERO));
    }
}
