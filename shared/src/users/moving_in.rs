//! Moving a person in from another backend: profile, phone number and identities in one transaction.
//!
//! An identity that is moved in has no session keys until its person logs in for the first time, which
//! finds this user.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use thiserror::Error;

use super::{
    Gender, User,
    phone_numbers::PhoneHashes,
    rows::{
        IDENTITY, Owner, PHONE_OWNER, UNION_LINK, identity_pk, identity_row, new_profile_row,
        phone_owner_row, union_pk, union_row,
    },
};
use crate::{
    clock::Clock,
    config::DataKey,
    dynamo::{self, Condition, Dynamo, DynamoError, TransactionOutcome, Write},
    ids::{AppId, OpenId, UnionId, UserId},
    random::Random,
    values::{AvatarUrl, Nickname, Phone},
};

/// A person to move in.
pub struct NewUser {
    /// The nickname.
    pub nickname: Option<Nickname>,
    /// The avatar.
    pub avatar_url: Option<AvatarUrl>,
    /// The gender.
    pub gender: Option<Gender>,
    /// The phone number, which the other backend has verified.
    pub phone: Option<Phone>,
    /// The person in mini-programs; one for each mini-program at most.
    pub identities: Vec<NewIdentity>,
}

/// A person in one mini-program.
pub struct NewIdentity {
    /// The mini-program.
    pub app_id: AppId,
    /// The person's id there.
    pub open_id: OpenId,
    /// The person's id across mini-programs, if it is known.
    pub union_id: Option<UnionId>,
}

/// Something that belongs to one user at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The identity at this position.
    Identity(usize),
    /// The union id of the identity at this position.
    UnionId(usize),
    /// The phone number.
    Phone,
}

/// Something that belongs to another user already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What.
    pub what: Claimed,
    /// Whose it is.
    pub user: UserId,
}

/// Why a person was not moved in.
#[derive(Debug, Error)]
pub enum MoveInError {
    /// These things belong to users who are here already.
    #[error("{} of the person's identities and numbers belong to other users", .0.len())]
    Taken(Vec<Taken>),
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// The row that says whose something is.
struct Claim {
    what: Claimed,
    pk: String,
    sk: &'static str,
}

/// Moves people in. Keep one per instance.
pub struct MovingIn {
    dynamo: Dynamo,
    clock: Clock,
    random: Random,
    hashes: PhoneHashes,
}

impl MovingIn {
    /// Makes users in `dynamo`, their numbers hashed with keys made from `keys`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, random: Random, keys: &[DataKey]) -> Self {
        Self {
            dynamo,
            clock,
            random,
            hashes: PhoneHashes::new(keys),
        }
    }

    /// The new user. All or nothing.
    ///
    /// # Errors
    /// [`MoveInError::Taken`] with everything that is another user's; also when the person was moved
    /// in before.
    pub async fn move_in(&self, person: &NewUser) -> Result<User, MoveInError> {
        let attempt = || self.attempt(person);
        let is_conflict =
            |error: &MoveInError| matches!(error, MoveInError::Dynamo(DynamoError::Conflict));
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    async fn attempt(&self, person: &NewUser) -> Result<User, MoveInError> {
        let user = self.user(person);
        let (writes, claims) = self.writes(person, &user)?;
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(user),
            TransactionOutcome::ConditionFailed(_) => {
                let taken = self.taken(&claims).await?;
                if taken.is_empty() {
                    // What was taken is free again.
                    return Err(DynamoError::Conflict.into());
                }
                Err(MoveInError::Taken(taken))
            }
        }
    }

    fn user(&self, person: &NewUser) -> User {
        let id = UserId(self.random.uuid_v7(&self.clock));
        let text = |text: &str| text.to_owned();
        User {
            nickname: person.nickname.as_ref().map(|name| text(name.as_str())),
            avatar_url: person.avatar_url.as_ref().map(|url| text(url.as_str())),
            gender: person.gender,
            phone: person.phone.as_ref().map(|phone| text(phone.expose())),
            ..User::new(id, self.clock.now())
        }
    }

    /// The writes, and the rows that they claim.
    fn writes(
        &self,
        person: &NewUser,
        user: &User,
    ) -> Result<(Vec<Write>, Vec<Claim>), DynamoError> {
        let put = |row| Write::Put(row, Condition::absent());
        let (mut writes, mut claims) = (Vec::new(), Vec::new());
        let mut profile = new_profile_row(user)?;
        let (mut pks, mut union_ids) = (Vec::new(), BTreeSet::new());
        for (index, identity) in person.identities.iter().enumerate() {
            let pk = identity_pk(&identity.app_id, &identity.open_id);
            let union_id = identity.union_id.as_ref();
            writes.push(put(identity_row(&pk, user.id, union_id, user.created_at)));
            claims.push(Claim::new(Claimed::Identity(index), &pk, IDENTITY.sk));
            pks.push(pk);
            let Some(union_id) = union_id else { continue };
            claims.push(Claim::new(
                Claimed::UnionId(index),
                &union_pk(union_id),
                UNION_LINK.sk,
            ));
            // A transaction names a row once.
            if union_ids.insert(union_id.as_str()) {
                writes.push(put(union_row(union_id, user.id)));
            }
        }
        if !pks.is_empty() {
            profile.insert("identities".into(), AttributeValue::Ss(pks));
        }
        if let Some(phone) = &person.phone {
            let (claim, older) = self.hashes.claims(phone)?;
            profile.insert("phoneClaim".into(), dynamo::string(claim.as_str()));
            writes.push(put(phone_owner_row(&claim, user.id, None)));
            claims.push(Claim::new(Claimed::Phone, &claim, PHONE_OWNER.sk));
            for pk in older {
                let key = dynamo::key(&pk, PHONE_OWNER.sk);
                writes.push(Write::Check(key, Condition::absent()));
                claims.push(Claim::new(Claimed::Phone, &pk, PHONE_OWNER.sk));
            }
        }
        writes.push(put(profile));
        Ok((writes, claims))
    }

    /// Everything that is another user's now, not only what the transaction failed for.
    async fn taken(&self, claims: &[Claim]) -> Result<Vec<Taken>, DynamoError> {
        let owner = async |claim: &Claim| -> Result<Option<Taken>, DynamoError> {
            let Some(row) = self.dynamo.get(&claim.pk, claim.sk).await? else {
                return Ok(None);
            };
            let Owner { uid: user } = dynamo::from_item(row)?;
            let what = claim.what;
            Ok(Some(Taken { what, user }))
        };
        let owners = try_join_all(claims.iter().map(owner)).await?;
        Ok(owners.into_iter().flatten().collect())
    }
}

impl Claim {
    fn new(what: Claimed, pk: &str, sk: &'static str) -> Self {
        Self {
            what,
            pk: pk.to_owned(),
            sk,
        }
    }
}
