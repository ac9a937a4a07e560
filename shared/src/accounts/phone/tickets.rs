//! Tickets: what a user may do who shares a number that another user has.
//!
//! A session has one ticket at most, in the row `USER#{uid}` / `PHONE_TICKET#{sid}`; a newer one
//! replaces it. So nobody but the session that shared the number can use it, and a user has no
//! more tickets than sessions. The row does not hold the ticket, only its digest; and of the number's
//! holder only a digest too, so that nothing of them stays in it when their account is deleted.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, TransactionOutcome, Write},
    ids::{SessionId, UserId},
    random::Random,
    users::{
        Holder, Status,
        rows::{PHONE_TICKET, PROFILE, user_pk},
    },
};

/// How long a ticket can be used.
const LIFETIME: Duration = Duration::from_mins(10);

/// How a conflict about a number is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The caller's account ends, and its identities become the holder's.
    Merge,
    /// The number moves from the holder to the caller.
    Take,
}

impl Choice {
    /// The choice with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "merge" => Some(Self::Merge),
            "take" => Some(Self::Take),
            _ => None,
        }
    }
}

/// What a client is offered. Serialising is where the ticket is shown; `Debug` hides it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "openapi",
    schemars(
        description = "What the caller can do about a number that another user has: `resolvePhone`."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// 256 random bits, in base64url.
    #[serde(serialize_with = "exposed")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub ticket: SecretString,
    /// Seconds that it can be used.
    pub expires_in: i64,
    /// What it is for.
    pub choice: Choice,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// A session, and the user whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Bearer {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

/// A ticket as it is stored.
#[derive(Serialize, Deserialize)]
struct Row {
    digest: String,
    /// The key of the number's row.
    claim: String,
    /// The digest of the holder's id.
    owner: String,
    choice: Choice,
    /// When it expires, seconds since the epoch; DynamoDB's TTL attribute.
    ttl: i64,
}

/// A ticket that can be used.
pub struct Ticket {
    /// The key of the row of the number that it is for.
    pub claim: String,
    /// What it is for.
    pub choice: Choice,
    owner: String,
    digest: String,
    key: Item,
}

impl Ticket {
    /// Whether it is for the number of this holder.
    #[must_use]
    pub fn is_of(&self, holder: &Holder) -> bool {
        self.claim == holder.claim && self.owner == digest(holder.user.id.0.as_bytes())
    }

    /// The part of a transaction that uses the ticket up, `now` in seconds since the epoch.
    #[must_use]
    pub fn proof(&self, now: i64) -> Write {
        let condition = Condition::new("digest = :digest AND #ttl > :now")
            .value(":digest", dynamo::string(&self.digest))
            .name("#ttl", "ttl")
            .value(":now", dynamo::number(now));
        Write::Delete(self.key.clone(), condition)
    }
}

/// Issues tickets, and finds them again.
pub struct PhoneTickets {
    dynamo: Dynamo,
    clock: Clock,
    random: Random,
}

impl PhoneTickets {
    /// Tickets in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, random: Random) -> Self {
        Self {
            dynamo,
            clock,
            random,
        }
    }

    /// A new ticket for the number that `holder` has, in place of the session's previous one. None if
    /// the bearer's account is no longer active.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn issue(
        &self,
        bearer: Bearer,
        holder: &Holder,
        choice: Choice,
    ) -> Result<Option<Offer>, DynamoError> {
        let ticket = URL_SAFE_NO_PAD.encode(self.random.bytes::<32>());
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or_default();
        let row = Row {
            digest: digest(ticket.as_bytes()),
            claim: holder.claim.clone(),
            owner: digest(holder.user.id.0.as_bytes()),
            choice,
            ttl: self.clock.now_seconds() + lifetime,
        };
        let attempt = || self.store(bearer, &row);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        let stored = self.dynamo.retry_conflicts(attempt, is_conflict).await?;
        Ok(stored.then(|| Offer {
            ticket: ticket.into(),
            expires_in: lifetime,
            choice,
        }))
    }

    /// Whether the row was stored: not beside an account that is being deleted, where it would stay.
    async fn store(&self, bearer: Bearer, row: &Row) -> Result<bool, DynamoError> {
        let pk = user_pk(bearer.user);
        let item = dynamo::to_item(&pk, &sk(bearer.session), row)?;
        let any = Condition::new("attribute_exists(pk) OR attribute_not_exists(pk)");
        let is_active = Condition::new("#status = :active")
            .name("#status", "status")
            .value(":active", dynamo::string(Status::Active.as_str()));
        let writes = vec![
            Write::Put(item, any),
            Write::Check(dynamo::key(&pk, PROFILE.sk), is_active),
        ];
        let outcome = self.dynamo.transact(writes).await?;
        Ok(outcome == TransactionOutcome::Written)
    }

    /// The ticket, if it is this session's and has not expired.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn find(
        &self,
        bearer: Bearer,
        ticket: &SecretString,
    ) -> Result<Option<Ticket>, DynamoError> {
        let (pk, sk) = (user_pk(bearer.user), sk(bearer.session));
        let Some(item) = self.dynamo.get(&pk, &sk).await? else {
            return Ok(None);
        };
        let row: Row = dynamo::from_item(item)?;
        let is_it = row.digest == digest(ticket.expose_secret().as_bytes());
        // DynamoDB deletes expired rows late.
        let is_usable = is_it && row.ttl > self.clock.now_seconds();
        Ok(is_usable.then(|| Ticket {
            claim: row.claim,
            choice: row.choice,
            owner: row.owner,
            digest: row.digest,
            key: dynamo::key(&pk, &sk),
        }))
    }
}

fn sk(session: SessionId) -> String {
    format!("{}{session}", PHONE_TICKET.sk)
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_shows_its_ticket_to_the_client_only() {
        let offer = Offer {
            ticket: "secret".into(),
            expires_in: 600,
            choice: Choice::Take,
        };
        assert_eq!(
            serde_json::to_string(&offer).unwrap(),
            r#"{"ticket":"secret","expiresIn":600,"choice":"take"}"#
        );
        assert!(!format!("{offer:?}").contains("secret"));
    }

    #[test]
    fn the_words_of_choices_are_those_that_are_stored() {
        for choice in [Choice::Merge, Choice::Take] {
            let word = serde_json::to_value(choice).unwrap();
            assert_eq!(Choice::parse(word.as_str().unwrap()), Some(choice));
        }
        assert_eq!(Choice::parse("Merge"), None);
    }
}
