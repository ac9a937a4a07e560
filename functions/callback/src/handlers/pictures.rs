//! Publishes or discards avatars, as WeChat's checks say.
//!
//! Source: `developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/sec-center/sec-check/mediaCheckAsync.html`

use std::time::Duration;

use futures_util::future::BoxFuture;
use shared::{
    api::ApiError,
    ids::{AppId, UserId},
    instance::Instance,
    request,
    users::{AvatarError, Avatars, Judged, Verdict},
};

use crate::{
    Handled, Handler,
    push::{Event, MediaCheck, Push},
};

/// A verdict can arrive before the request that asked for it has written down that it did: pauses before
/// it is looked for again.
const LOOK_AGAIN: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
];

pub struct JudgePictures {
    avatars: Avatars,
}

impl JudgePictures {
    pub fn new(instance: &Instance) -> Self {
        Self {
            avatars: instance.avatars(),
        }
    }

    async fn judge(&self, app_id: &AppId, check: &MediaCheck) -> Result<(), ApiError> {
        let verdict = verdict_of(check);
        let mut judged = self.avatars.judge(app_id, &check.trace_id, verdict).await;
        for pause in LOOK_AGAIN {
            if !matches!(judged, Ok(Judged::Unknown)) {
                break;
            }
            tokio::time::sleep(pause).await;
            judged = self.avatars.judge(app_id, &check.trace_id, verdict).await;
        }
        match judged {
            Ok(judged) => report(check, judged),
            // Another attempt would end the same.
            Err(
                error @ (AvatarError::NotFound | AvatarError::Invalid(_) | AvatarError::UserGone),
            ) => {
                let (request_id, why) = (request::id(), error.to_string());
                tracing::warn!(request_id, why, "a checked avatar is not published");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn verdict_of(check: &MediaCheck) -> Verdict {
    match (check.errcode, check.suggest.as_deref()) {
        (0, Some("pass" | "review")) => Verdict::Pass,
        (0, Some("risky")) => Verdict::Risky,
        _ => Verdict::Unreadable,
    }
}

fn report(check: &MediaCheck, judged: Judged) {
    let (request_id, errcode) = (request::id(), check.errcode);
    let label = check.label.unwrap_or_default();
    match judged {
        Judged::Unknown | Judged::Late => {
            tracing::info!(request_id, "a media check that nobody waits for");
        }
        Judged::Published(user) => {
            note(user);
            if check.suggest.as_deref() == Some("review") {
                tracing::warn!(
                    audit = "content_review", user_id = %user, request_id, label,
                    "WeChat advises to review an avatar"
                );
            }
        }
        Judged::Refused(user) => {
            note(user);
            tracing::info!(
                user_id = %user, request_id, label, errcode,
                "WeChat flags an avatar as risky, or could not read it"
            );
        }
        Judged::TakenDown(user) => {
            note(user);
            tracing::warn!(
                audit = "avatar_taken_down", user_id = %user, request_id, label,
                "WeChat flags an avatar as risky that was published without its verdict: it is deleted"
            );
        }
    }
}

fn note(user: UserId) {
    request::note(|notes| notes.user_id = Some(user));
}

impl Handler for JudgePictures {
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled> {
        Box::pin(async {
            if let Event::MediaChecked(check) = &push.event {
                self.judge(&push.app_id, check).await?;
            }
            Ok(None)
        })
    }
}
