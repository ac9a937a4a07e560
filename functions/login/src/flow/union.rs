//! A person who turns out to have two accounts: WeChat tells a union id that is another user's.

use shared::{
    accounts::MergeError,
    api::{ApiError, Reason},
    ids::UserId,
    request,
    saga::Progress,
    users::WeChatLogin,
};

use super::Login;

impl Login {
    /// The account that the person has from now on: `user`, or where accounts are merged the older one
    /// of both. That is the one which others are more likely to know by its id, and every login picks
    /// the same one. Where one of the two can't be merged, both stay.
    pub(super) async fn join_by_union_id(
        &self,
        login: &WeChatLogin,
        user: UserId,
    ) -> Result<UserId, ApiError> {
        if !self.merges_by_union_id {
            return Ok(user);
        }
        let owner = self.logins.union_owner(login).await?;
        let Some(other) = owner.filter(|owner| *owner != user) else {
            return Ok(user);
        };
        // Ids begin with the time at which they were made (UUIDv7).
        let (into, from) = (user.min(other), user.max(other));
        match self.sagas.merge.begin(from, into, None).await {
            Ok(Progress::Done) => Ok(into),
            Ok(Progress::Undone) => Ok(user),
            Ok(Progress::Unfinished | Progress::Waiting(_)) => Err(Reason::Unavailable.into()),
            Err(MergeError::Saga(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(
                    user_id = %user, request_id = request::id(), %error,
                    "two accounts with one union id stay apart"
                );
                Ok(user)
            }
        }
    }
}
