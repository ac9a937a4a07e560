//! The writes of a person's first login in a mini-program.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{FirstLogin, Logins, WeChatLogin};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, Update, Write},
    ids::{UnionId, UserId},
    users::rows::{UNION_LINK, identity_row, new_profile_row, profile_key, union_pk, union_row},
};

impl Logins {
    /// Identity, user, union link and session of someone we did not know.
    pub(super) fn first_writes(
        &self,
        login: &WeChatLogin,
        first: &FirstLogin,
    ) -> Result<Vec<Write>, DynamoError> {
        let user = &first.user;
        let mut profile = new_profile_row(user)?;
        profile.insert("identities".into(), identity_set(login));
        let mut rows = vec![self.identity_row(login, user.id)?, profile];
        if let Some(union_id) = &login.union_id {
            rows.push(union_row(union_id, user.id));
        }
        let put_if_absent = |row| Write::Put(row, Condition::absent());
        let mut writes: Vec<_> = rows.into_iter().map(put_if_absent).collect();
        writes.push(first.session.clone());
        Ok(writes)
    }

    /// The identity, in another mini-program, of someone we know by union id.
    pub(super) fn link_writes(
        &self,
        login: &WeChatLogin,
        owner: UserId,
    ) -> Result<Vec<Write>, DynamoError> {
        let identity = self.identity_row(login, owner)?;
        let mut writes = vec![
            Write::Put(identity, Condition::absent()),
            add_identity_to_user(login, owner),
        ];
        if let Some(union_id) = &login.union_id {
            writes.push(check_union_owner(union_id, owner));
        }
        Ok(writes)
    }

    fn identity_row(&self, login: &WeChatLogin, uid: UserId) -> Result<Item, DynamoError> {
        let now = self.clock.now();
        let mut row = identity_row(&login.identity_pk(), uid, login.union_id.as_ref(), now);
        row.extend([
            ("sessionKey".into(), self.sealed_session_key(login)?),
            (
                "sessionKeyTag".into(),
                dynamo::string(self.session_key_tag(login)),
            ),
            ("lastLoginAt".into(), dynamo::string(now.to_string())),
            ("loginCount".into(), dynamo::number(1)),
        ]);
        Ok(row)
    }
}

fn add_identity_to_user(login: &WeChatLogin, user: UserId) -> Write {
    let update = Update::new(
        profile_key(user),
        "ADD identities :identity",
        // Not to an account whose identities are being deleted.
        Condition::new("attribute_exists(pk) AND attribute_not_exists(deleting)"),
    );
    Write::Update(update.value(":identity", identity_set(login)))
}

fn identity_set(login: &WeChatLogin) -> AttributeValue {
    AttributeValue::Ss(vec![login.identity_pk()])
}

fn check_union_owner(union_id: &UnionId, user: UserId) -> Write {
    Write::Check(
        dynamo::key(&union_pk(union_id), UNION_LINK.sk),
        Condition::owned_by(user),
    )
}
