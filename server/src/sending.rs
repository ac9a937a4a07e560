//! Messages to users, which the server sends itself.

use gateway::send_due_messages;
use shared::{
    config::{USER_MESSAGES, WeChatSettings},
    instance::Instance,
    runtime::Invoker,
};
use tokio::{sync::watch, task::JoinHandle, time::Duration};

use crate::settings::Settings;

/// How long messages are begun in one round, and so after a stop, too.
const BEGINNING: Duration = Duration::from_secs(5);
/// What the function `messages` needs besides the time of WeChat's answer, to find a message that is due and
/// to begin with it.
const RECORDING: Duration = Duration::from_secs(6);

/// Sends messages to users.
pub(crate) struct Sending {
    messages: Invoker,
    round: Duration,
}

impl Sending {
    /// What sends them, where they are on. Config errors of the function are recorded with the others.
    pub(crate) fn of(instance: &Instance, settings: &Settings) -> Option<Self> {
        let env = instance.env();
        USER_MESSAGES.read(env).then(|| Self {
            messages: gateway::messages(instance),
            round: round(WeChatSettings::read(env).timeout, settings.shutdown),
        })
    }

    /// Until the server stops, and until what has begun by then is written down.
    pub(crate) fn start(self, mut stopping: watch::Receiver<bool>) -> JoinHandle<()> {
        let stop = async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        tokio::spawn(send_due_messages(self.messages, self.round, stop))
    }
}

/// How long a round may take: one that has begun when the server stops is over within `SHUTDOWN_SECONDS`,
/// unless not even one message can be sent in that time.
fn round(wechat_timeout: Duration, shutdown: Duration) -> Duration {
    let one = wechat_timeout + RECORDING;
    (one + BEGINNING).min(shutdown).max(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_over_before_the_server_has_to_be() {
        let seconds = |wechat, shutdown| {
            let round = round(Duration::from_secs(wechat), Duration::from_secs(shutdown));
            round.as_secs()
        };
        assert_eq!((seconds(3, 20), seconds(3, 600)), (14, 14));
        assert_eq!((seconds(9, 20), seconds(12, 20)), (20, 20));
        assert_eq!(
            (seconds(3, 9), seconds(3, 1)),
            (9, 9),
            "as long as one takes"
        );
    }
}
