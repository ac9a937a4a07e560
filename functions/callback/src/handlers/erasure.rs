//! Deletes what users have revoked, as WeChat's terms and the law require.
//!
//! Source:
//! `developers.weixin.qq.com/miniprogram/dev/server/event_push/platform/authorized_user_information_changes`

use futures_util::future::BoxFuture;
use shared::{
    accounts::AccountDeletion,
    api::{ApiError, Reason},
    auth::Sessions,
    dynamo::DynamoError,
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

pub struct EraseOnRevocation {
    erasure: Erasure,
    avatars: Avatars,
    identities: Identities,
    sessions: Sessions,
    deletion: AccountDeletion,
}

impl EraseOnRevocation {
    pub fn new(instance: &Instance) -> Self {
        Self {
            erasure: instance.erasure(),
            avatars: instance.avatars(),
            identities: instance.identities(),
            sessions: instance.sessions(),
            deletion: instance.account_deletion(),
        }
    }

    async fn erase(&self, app_id: &AppId, event: &Event) -> Result<(), ApiError> {
        match event {
            Event::AuthorizationRevoked { open_id, grants } => {
                self.clear(app_id, open_id, &fields_of(grants)).await
            }
            Event::UserInfoModified { open_id } => {
                self.clear(app_id, open_id, SHOWN_TO_OTHERS).await
            }
            Event::AuthorizationCancelled { open_id } => self.cancel(app_id, open_id).await,
            _ => Ok(()),
        }
    }

    async fn clear(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        fields: &[PersonalField],
    ) -> Result<(), ApiError> {
        if fields.is_empty() {
            return Ok(());
        }
        let Some(identity) = self.find(app_id, open_id).await? else {
            return Ok(());
        };
        self.erasure.clear(identity.user, fields).await?;
        if fields.contains(&PersonalField::AvatarUrl) {
            self.delete_pictures(identity.user).await?;
        }
        audit(
            identity.user,
            "profile fields were cleared at WeChat's request",
        );
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
    async fn cancel(&self, app_id: &AppId, open_id: &OpenId) -> Result<(), ApiError> {
        let Some(identity) = self.find(app_id, open_id).await? else {
            return Ok(());
        };
        if self.identities.is_only_one(&identity).await? {
            return self.delete(identity.user).await;
        }
        self.leave(&identity).await?;
        // The others may have been cancelled at the same time.
        if self.identities.has_none(identity.user).await? {
            return self.delete(identity.user).await;
        }
        Ok(())
    }

    /// In a task of its own, which goes on when the time for the answer is over.
    async fn delete(&self, user: UserId) -> Result<(), ApiError> {
        let deletion = self.deletion.clone();
        let run = async move { deletion.begin_now(user, None).await };
        let crashed = |error| ApiError::new(Reason::Internal).because(&error);
        match request::run_to_end(run).await.map_err(crashed)?? {
            Progress::Done => Ok(()),
            // WeChat sends it again.
            _ => Err(Reason::Unavailable.into()),
        }
    }

    /// The identity is deleted last, so that a repeated delivery still finds the rest.
    async fn leave(&self, identity: &Identity) -> Result<(), ApiError> {
        self.sessions.revoke_all(identity.user, None).await?;
        self.erasure
            .clear(identity.user, &PersonalField::ALL)
            .await?;
        self.delete_pictures(identity.user).await?;
        self.erasure.unlink(identity).await?;
        // A login that read the identity before it was deleted may have opened a session since.
        self.sessions.revoke_all(identity.user, None).await?;
        audit(
            identity.user,
            "a user was erased after the WeChat account was cancelled",
        );
        Ok(())
    }

    async fn find(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
    ) -> Result<Option<Identity>, DynamoError> {
        let identity = self.identities.find(app_id, open_id).await?;
        if let Some(identity) = &identity {
            request::note(|notes| notes.user_id = Some(identity.user));
        }
        Ok(identity)
    }
}

impl Handler for EraseOnRevocation {
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled> {
        Box::pin(async {
            self.erase(&push.app_id, &push.event).await?;
            Ok(None)
        })
    }
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
