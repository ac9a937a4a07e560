//! Moving a session on with its refresh token.

use thiserror::Error;

use super::{Revoker, Session, SessionError, Sessions, later, row::session_key};
use crate::{
    auth::RefreshToken,
    dynamo::{self, Condition, DynamoError, Update, WriteOutcome},
    ids::{AppId, SessionId, UserId},
};

/// Why a refresh token does not get a successor.
#[derive(Debug, Error)]
pub enum RotateError {
    /// Not ours, or of a session that has expired.
    #[error("not a refresh token of a living session")]
    Invalid,
    /// The session is of a mini-program that is no longer configured: an access token for it would be
    /// refused.
    #[error("the session's mini-program is no longer among WECHAT_APPIDS")]
    AppRemoved,
    /// Used before, outside the grace window. The session is revoked now.
    #[error("the refresh token was used before")]
    Reused {
        /// The session's user.
        user: UserId,
        /// The session, revoked by now.
        session: SessionId,
    },
    /// The session was revoked.
    #[error("the session was revoked")]
    Revoked,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// How moving a session's counter on ended.
enum Advance {
    /// The session, one step further.
    Advanced(Session),
    /// The counter is not where the token says, or the session has ended: its row, if there is one.
    Stale(Option<Session>),
}

impl Sessions {
    /// The session of a refresh token, one step further: one conditional write.
    ///
    /// The token one step behind gets the same successor again within the grace window; an older
    /// one revokes the session, because either its thief or its owner must have used it before.
    /// Nothing is written for a session of a mini-program that is not among `audiences`.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn rotate(
        &self,
        token: &RefreshToken,
        audiences: &[AppId],
    ) -> Result<Session, RotateError> {
        match self.advance(token, audiences).await? {
            Advance::Advanced(session) => Ok(session),
            Advance::Stale(None) => Err(RotateError::Invalid),
            Advance::Stale(Some(current)) if !audiences.contains(&current.app_id) => {
                Err(RotateError::AppRemoved)
            }
            Advance::Stale(Some(current)) => self.handle_stale_token(token, current).await,
        }
    }

    /// Moves the counter on if it stands where the token says.
    async fn advance(
        &self,
        token: &RefreshToken,
        audiences: &[AppId],
    ) -> Result<Advance, DynamoError> {
        let now = self.clock.now();
        let condition = Condition::new(format!(
            "#counter = :counter AND attribute_not_exists(revokedAt) AND #ttl > :seconds AND ({})",
            is_one_of(audiences.len())
        ));
        let update = Update::new(
            session_key(token.user, token.session),
            "SET #counter = :next, rotatedAt = :now, #ttl = :ttl",
            condition,
        );
        let update = update
            .name("#counter", "counter")
            .name("#ttl", "ttl")
            .value(":counter", dynamo::number(token.counter))
            .value(":next", dynamo::number(token.counter.saturating_add(1)))
            .value(":now", dynamo::string(now.to_string()))
            .value(":seconds", dynamo::number(now.as_second()))
            .value(":ttl", dynamo::number(later(now, self.refresh_lifetime)))
            .returning_new()
            .returning_old_on_failure();
        let update = audiences
            .iter()
            .enumerate()
            .fold(update, |update, (number, app)| {
                update.value(&audience(number), dynamo::string(app.as_str()))
            });
        Ok(match self.dynamo.update(update).await? {
            WriteOutcome::Written(row) => Advance::Advanced(Session::from_item(row)?),
            WriteOutcome::ConditionFailed(row) => {
                Advance::Stale(row.map(Session::from_item).transpose()?)
            }
        })
    }

    /// What a token gets that is not the current one of its session.
    async fn handle_stale_token(
        &self,
        token: &RefreshToken,
        current: Session,
    ) -> Result<Session, RotateError> {
        if self.has_expired(&current) {
            return Err(RotateError::Invalid);
        }
        if current.revoked_at.is_some() {
            return Err(RotateError::Revoked);
        }
        // From a future that a restored backup does not know.
        if token.counter > current.counter {
            return Err(RotateError::Invalid);
        }
        let one_behind = token.counter + 1 == current.counter;
        let since = self.clock.now().duration_since(current.refreshed_at);
        if one_behind
            && since <= jiff::SignedDuration::try_from(self.refresh_grace).unwrap_or_default()
        {
            return Ok(current);
        }
        match self.revoke(token.user, token.session, Revoker::REUSE).await {
            Err(SessionError::Dynamo(error)) => Err(error.into()),
            Ok(()) | Err(SessionError::Ended) => Err(RotateError::Reused {
                user: token.user,
                session: token.session,
            }),
        }
    }
}

/// How many values DynamoDB compares with in one `IN`.
const MAX_IN: usize = 100;

/// The condition that a session is of one of so many mini-programs.
fn is_one_of(audiences: usize) -> String {
    let names: Vec<_> = (0..audiences).map(audience).collect();
    let names = names.chunks(MAX_IN).map(|names| names.join(", "));
    let any: Vec<_> = names.map(|names| format!("appId IN ({names})")).collect();
    any.join(" OR ")
}

fn audience(number: usize) -> String {
    format!(":app{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_compares_with_at_most_a_hundred_mini_programs_at_once() {
        assert_eq!(is_one_of(2), "appId IN (:app0, :app1)");
        let many = is_one_of(101);
        assert!(many.ends_with(", :app99) OR appId IN (:app100)"), "{many}");
    }
}
