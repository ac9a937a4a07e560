//! Whom a message reaches.

use std::cmp::Reverse;

use super::{
    AccountState, Identities, Status,
    identities::linked,
    rows::{IDENTITY, PROFILE, identity_pk, user_pk},
};
use crate::{
    dynamo::{self, DynamoError},
    ids::{AppId, OpenId, UserId},
};

/// A user, as one who sends them a message in a mini-program sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// There is no such user.
    NoAccount,
    /// The account is being deleted or merged.
    Barred,
    /// The user is not known in the mini-program.
    Unreachable,
    /// The user is known there as these: mostly one, several after a merge.
    Known(Vec<OpenId>),
}

impl Identities {
    /// The user as the recipient of a message in the mini-program.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn recipient(&self, user: UserId, app_id: &AppId) -> Result<Recipient, DynamoError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        let Some(profile) = profile else {
            return Ok(Recipient::NoAccount);
        };
        let known = linked(Some(&profile), app_id);
        if dynamo::from_item::<AccountState>(profile)?.status == Status::Barred {
            return Ok(Recipient::Barred);
        }
        let known: Vec<_> = known.into_iter().map(|(_, open_id)| open_id).collect();
        Ok(if known.is_empty() {
            Recipient::Unreachable
        } else {
            Recipient::Known(known)
        })
    }

    /// Of these persons, the one who logged in last; none of none.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn last_used(
        &self,
        app_id: &AppId,
        known: Vec<OpenId>,
    ) -> Result<Option<OpenId>, DynamoError> {
        if known.len() < 2 {
            return Ok(known.into_iter().next());
        }
        let mut dated = Vec::new();
        for open_id in known {
            let pk = identity_pk(app_id, &open_id);
            let row = self.dynamo.get(&pk, IDENTITY.sk).await?;
            let last_login = row.and_then(|row| {
                let at = row.get("lastLoginAt")?.as_s().ok()?;
                at.parse::<jiff::Timestamp>().ok()
            });
            dated.push((Reverse(last_login), open_id));
        }
        let newest = dated.into_iter().min_by_key(|(last_login, _)| *last_login);
        Ok(newest.map(|(_, open_id)| open_id))
    }
}
