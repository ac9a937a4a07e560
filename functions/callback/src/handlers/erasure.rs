//! Deletes what users have revoked, as WeChat's terms and the law require.
//!
//! Source:
//! `developers.weixin.qq.com/miniprogram/dev/server/event_push/platform/authorized_user_information_changes`

use futures_util::future::BoxFuture;
use shared::{
    accounts::{AccountSagas, DeletionError},
    api::{ApiError, Reason},
    auth::{Revoker, Sessions},
    ids::{AppId, OpenId, UserId},
    instance::Instance,
    request,
    saga::Progress,
    users::{Avatars, Erasure, Identities, Identity, PersonalField},
};

use crate::{
    Handled, Handler,
    push::{Event, Grant, Push},
};

/// How many accounts a message can be about, one after the other, because each is merged into the
/// next one meanwhile. WeChat sends the message again then.
const ROUNDS: usize = 3;

pub struct EraseOnRevocation {
    erasure: Erasure,
    avatars: Avatars,
    identities: Identities,
    sessions: Sessions,
    sagas: AccountSagas,
}

/// What has to go.
enum Demand {
    /// These fields, never none.
    Fields(Vec<PersonalField>),
    /// The identity with everything about the person.
    Identity,
}

impl EraseOnRevocation {
    pub fn new(instance: &Instance) -> Self {
        Self {
            erasure: instance.erasure(),
            avatars: instance.avatars(),
            identities: instance.identities(),
            sessions: instance.sessions(),
            sagas: instance.account_sagas(),
        }
    }

    async fn erase(&self, app_id: &AppId, event: &Event) -> Result<(), ApiError> {
        let Some((open_id, demand)) = demand_of(event) else {
            return Ok(());
        };
        let Some(mut identity) = self.identities.find(app_id, open_id).await? else {
            return Ok(());
        };
        for _ in 0..ROUNDS {
            note(identity.user);
            let was_merged = self.end_merge(identity.user).await?;
            if !was_merged {
                match &demand {
                    Demand::Fields(fields) => self.clear(identity.user, fields).await?,
                    Demand::Identity => self.cancel(&identity).await?,
                }
            }
            let Some(now) = self.identities.find_again(&identity).await? else {
                return Ok(());
            };
            // A merge may have moved it, with what had to go, before that went.
            if !was_merged && now.user == identity.user {
                return Ok(());
            }
            identity = now;
        }
        Err(Reason::Unavailable.into())
    }

    /// Brings a merge of the account to its end: while it goes on, what goes from one of the two can come
    /// from the other. Whether there was one.
    async fn end_merge(&self, user: UserId) -> Result<bool, ApiError> {
        let sagas = self.sagas.clone();
        // Boxed, because it is large.
        to_its_end(Box::pin(async move { sagas.end_merge_of(user).await })).await
    }

    async fn clear(&self, user: UserId, fields: &[PersonalField]) -> Result<(), ApiError> {
        self.erasure.clear(user, fields).await?;
        if fields.contains(&PersonalField::AvatarUrl) {
            self.delete_pictures(user).await?;
        }
        audit(user, "profile fields were cleared at WeChat's request");
        Ok(())
    }

    /// Deletes uploaded pictures.
    async fn delete_pictures(&self, user: UserId) -> Result<(), ApiError> {
        match self.avatars.remove_all(user).await? {
            None => Ok(()),
            // One is being published: WeChat sends the event again.
            Some(_) => Err(Reason::Unavailable.into()),
        }
    }

    /// Erases a user whose WeChat account was cancelled: the whole account, unless other identities
    /// lead to it.
    async fn cancel(&self, identity: &Identity) -> Result<(), ApiError> {
        if self.identities.is_only_one(identity).await? {
            return self.delete(identity).await;
        }
        self.leave(identity).await?;
        // The others may have been cancelled at the same time.
        if self.identities.has_none(identity.user).await? {
            return self.delete(identity).await;
        }
        Ok(())
    }

    async fn delete(&self, identity: &Identity) -> Result<(), ApiError> {
        let (deletion, user) = (self.sagas.deletion.clone(), identity.user);
        // Boxed, because it is large.
        let begun = to_its_end(Box::pin(async move {
            match deletion.begin_now(user, None).await {
                Err(DeletionError::Merged) => Ok(None),
                begun => begun.map(Some),
            }
        }));
        match begun.await? {
            Some(Progress::Done) => Ok(()),
            // Its identity is another account's now, unless it is left of one that is gone.
            None => Ok(self.erasure.unlink_with_union(identity).await?),
            // WeChat sends it again.
            Some(_) => Err(Reason::Unavailable.into()),
        }
    }

    /// The identity is deleted last, so that a repeated delivery still finds the rest.
    async fn leave(&self, identity: &Identity) -> Result<(), ApiError> {
        let by = Revoker::SERVICE;
        self.sessions.revoke_all(identity.user, None, by).await?;
        self.erasure
            .clear(identity.user, &PersonalField::ALL)
            .await?;
        self.delete_pictures(identity.user).await?;
        self.erasure.unlink(identity).await?;
        // A login that read the identity before it was deleted may have opened a session since.
        self.sessions.revoke_all(identity.user, None, by).await?;
        audit(
            identity.user,
            "a user was erased after the WeChat account was cancelled",
        );
        Ok(())
    }
}

impl Handler for EraseOnRevocation {
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled> {
        Box::pin(async {
            // Boxed: one message in many deletes an account.
            Box::pin(self.erase(&push.app_id, &push.event)).await?;
            Ok(None)
        })
    }
}

/// In a task of its own, which goes on when the time for the answer is over.
async fn to_its_end<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    let ended = request::run_to_end(work).await.map_err(crashed)?;
    ended.map_err(Into::into)
}

/// What the event demands, and of whom; none where nothing that is stored has to go.
fn demand_of(event: &Event) -> Option<(&OpenId, Demand)> {
    let (open_id, fields) = match event {
        Event::AuthorizationRevoked { open_id, grants } => (open_id, fields_of(grants)),
        Event::UserInfoModified { open_id } => (open_id, SHOWN_TO_OTHERS.to_vec()),
        Event::AuthorizationCancelled { open_id } => return Some((open_id, Demand::Identity)),
        _ => return None,
    };
    (!fields.is_empty()).then_some((open_id, Demand::Fields(fields)))
}

const SHOWN_TO_OTHERS: &[PersonalField] = &[PersonalField::Nickname, PersonalField::AvatarUrl];

/// The stored fields that these grants cover. Data of other grants (locations, photos, invoices…)
/// is not stored.
fn fields_of(grants: &[Grant]) -> Vec<PersonalField> {
    let fields = |grant: &Grant| match *grant {
        Grant::NICKNAME_AND_AVATAR => &[
            PersonalField::Nickname,
            PersonalField::AvatarUrl,
            PersonalField::Gender,
        ][..],
        Grant::PHONE => &[PersonalField::Phone],
        Grant::CHOSEN_NICKNAME => &[PersonalField::Nickname],
        Grant::CHOSEN_AVATAR => &[PersonalField::AvatarUrl],
        _ => &[],
    };
    PersonalField::ALL
        .into_iter()
        .filter(|field| grants.iter().any(|grant| fields(grant).contains(field)))
        .collect()
}

fn note(user: UserId) {
    request::note(|notes| notes.user_id = Some(user));
}

fn audit(user: UserId, what: &'static str) {
    tracing::info!(audit = "user_forgotten", user_id = %user, request_id = request::id(), "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoking_a_grant_clears_its_fields() {
        use PersonalField::{AvatarUrl, Gender, Nickname, Phone};
        let cases: [(&[u32], &[PersonalField]); 6] = [
            (&[6], &[Nickname, AvatarUrl, Gender]),
            (&[8], &[Phone]),
            (&[19], &[Nickname]),
            (&[20], &[AvatarUrl]),
            (&[20, 8, 20], &[AvatarUrl, Phone]),
            (&[1, 2, 3, 4, 5, 7, 12, 13, 14, 15, 16, 18, 99], &[]),
        ];
        for (grants, fields) in cases {
            let grants: Vec<_> = grants.iter().copied().map(Grant).collect();
            assert_eq!(fields_of(&grants), fields, "{grants:?}");
        }
    }
}
