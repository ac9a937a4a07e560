//! Binding the phone number that a person shared with the phone number button, and what can be done
//! when another user has it.
//!
//! WeChat says that the number is the caller's (at this moment, if it comes from the real-time button:
//! docs/accounts.md), so they are offered a ticket: for a merge of the two accounts if the other user
//! was active of late, else for the number alone, because carriers give numbers to others. Nothing
//! happens without the ticket.
//!
//! Nothing is offered where the holder is disabled or barred: an operator's decision is not undone by
//! a new WeChat account with the old number. Neither where a merge would give somebody the rights of
//! an administrator, or take them away; nor for a merge where the holder has not shared the number for
//! longer than `PHONE_PROOF_DAYS`, if that is set.

mod codes;
mod tickets;

pub use codes::PhoneCodes;
use secrecy::SecretString;
use thiserror::Error;
pub use tickets::{Bearer, Choice, Offer, PhoneTickets, Ticket};

use super::MergeProof;
use crate::{
    clock::Clock,
    config::PhoneNumberSettings,
    dynamo::{DynamoError, Write},
    ids::{AppId, OpenId},
    users::{
        Activity, Administrators, BindError, Holder, PhoneNumbers, Profiles, Status, TakeError,
        User, UserError,
    },
    values::{OneTimeCode, Phone},
    wechat::WeChatError,
};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Why a number was not bound.
#[derive(Debug, Error)]
pub enum PhoneError {
    /// Another user has it. What the caller can do about it, if anything.
    #[error("the phone number belongs to another user")]
    Taken(Option<Offer>),
    /// The ticket is not one of this session that can still be used, for this choice.
    #[error("the ticket can't be used")]
    Ticket,
    /// The user does not exist, or their account is barred: it is being deleted or merged.
    #[error("no such user")]
    NotFound,
    /// The table is unavailable.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl From<TakeError> for PhoneError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Gone => Self::Ticket,
            TakeError::NotFound => Self::NotFound,
            TakeError::Dynamo(error) => Self::Dynamo(error),
        }
    }
}

/// What numbers are bound with.
pub struct PhoneParts {
    /// Exchanges codes.
    pub codes: PhoneCodes,
    /// The numbers.
    pub numbers: PhoneNumbers,
    /// Records what callers are offered.
    pub tickets: PhoneTickets,
    /// The users.
    pub profiles: Profiles,
    /// Says when users were active.
    pub activity: Activity,
    /// Says who is an administrator.
    pub administrators: Administrators,
    /// When tickets expire.
    pub clock: Clock,
}

/// A number with its holder, and the ticket that says what the caller may do.
pub struct Redeemed {
    /// The user who has the number.
    pub holder: Holder,
    /// Used up together with what it is for ([`Ticket::proof`]).
    pub ticket: Ticket,
}

/// Binds numbers. Keep one per instance.
pub struct PhoneBinding {
    parts: PhoneParts,
    settings: PhoneNumberSettings,
}

impl PhoneBinding {
    /// Binds numbers with these parts, as `settings` say.
    #[must_use]
    pub fn new(parts: PhoneParts, settings: PhoneNumberSettings) -> Self {
        Self { parts, settings }
    }

    /// The number behind the code, which WeChat issued to this person. Can be repeated: WeChat is
    /// asked once.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn number(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        code: &OneTimeCode,
    ) -> Result<Phone, WeChatError> {
        self.parts.codes.number(app_id, open_id, code).await
    }

    /// Gives the number to the user, in place of the one they have. Can be repeated: where the number
    /// is another user's, each time with a new ticket, which replaces the one before.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub async fn bind(&self, bearer: Bearer, phone: &Phone) -> Result<User, PhoneError> {
        match self.parts.numbers.bind(bearer.user, phone).await {
            Ok(user) => Ok(user),
            // Boxed, because it is large and rare.
            Err(BindError::Taken) => Err(Box::pin(self.taken(bearer, phone)).await),
            Err(BindError::NotFound) => Err(PhoneError::NotFound),
            Err(BindError::Dynamo(error)) => Err(error.into()),
        }
    }

    async fn taken(&self, bearer: Bearer, phone: &Phone) -> PhoneError {
        match self.offer(bearer, phone).await {
            Ok(offer) => PhoneError::Taken(offer),
            Err(error) => error,
        }
    }

    async fn offer(&self, bearer: Bearer, phone: &Phone) -> Result<Option<Offer>, PhoneError> {
        if !self.settings.resolves {
            return Ok(None);
        }
        let holders = self.parts.numbers.holders(phone).await?;
        // Of several, none is known to be the caller: that is for an operator.
        let [holder] = &holders[..] else {
            return Ok(None);
        };
        let caller = self.caller(bearer).await?;
        let Some(choice) = self.choice(&caller, holder).await? else {
            return Ok(None);
        };
        let issued = self.parts.tickets.issue(bearer, holder, choice).await?;
        issued.ok_or(PhoneError::NotFound).map(Some)
    }

    async fn caller(&self, bearer: Bearer) -> Result<User, PhoneError> {
        let caller = self.parts.profiles.read(bearer.user).await;
        match caller {
            Ok(caller) if caller.status == Status::Active => Ok(caller),
            Ok(_) | Err(UserError::NotFound) => Err(PhoneError::NotFound),
            Err(UserError::Dynamo(error)) => Err(error.into()),
        }
    }

    /// What the caller may do about the number of `holder`.
    async fn choice(&self, caller: &User, holder: &Holder) -> Result<Option<Choice>, DynamoError> {
        if holder.user.status != Status::Active || holder.user.id == caller.id {
            return Ok(None);
        }
        let days = self.parts.activity.days_inactive(holder).await?;
        if u64::from(days) > self.settings.recycled_after.as_secs() / DAY {
            return Ok(Some(Choice::Take));
        }
        if !self.is_proven(holder) {
            return Ok(None);
        }
        let administrators = &self.parts.administrators;
        let any = administrators.include(caller) || administrators.include(&holder.user);
        Ok((!any).then_some(Choice::Merge))
    }

    /// Whether the holder has shared the number recently enough for it to be taken as theirs still.
    fn is_proven(&self, holder: &Holder) -> bool {
        let within = self.settings.proven_within.as_secs() / DAY;
        let days = self.parts.activity.days_unproven(holder);
        within == 0 || days.is_some_and(|days| u64::from(days) <= within)
    }

    /// The ticket with the number's holder, if the caller may still do what it is for. It is not used
    /// up yet.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub async fn redeem(
        &self,
        bearer: Bearer,
        ticket: &SecretString,
        choice: Choice,
    ) -> Result<Redeemed, PhoneError> {
        // Issued by an instance that was configured otherwise.
        if !self.settings.resolves {
            return Err(PhoneError::Ticket);
        }
        let (ticket, caller) = futures_util::try_join!(
            async { Ok(self.parts.tickets.find(bearer, ticket).await?) },
            self.caller(bearer)
        )?;
        let ticket = ticket.filter(|ticket| ticket.choice == choice);
        let ticket = ticket.ok_or(PhoneError::Ticket)?;
        let holder = self.parts.numbers.holder(&ticket.claim).await?;
        let holder = holder.filter(|holder| ticket.is_of(holder));
        let holder = holder.ok_or(PhoneError::Ticket)?;
        // Users log in, are disabled, and become administrators meanwhile.
        if self.choice(&caller, &holder).await? != Some(choice) {
            return Err(PhoneError::Ticket);
        }
        Ok(Redeemed { holder, ticket })
    }

    /// What the transaction contains that begins a merge with the number's holder: a number that is
    /// released before it merges nobody.
    #[must_use]
    pub fn merge_proof(&self, redeemed: &Redeemed) -> MergeProof {
        MergeProof {
            ticket: self.proof(redeemed),
            number: redeemed.holder.check(),
        }
    }

    fn proof(&self, redeemed: &Redeemed) -> Write {
        redeemed.ticket.proof(self.parts.clock.now_seconds())
    }

    /// Moves the number to the caller, and uses the ticket up.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub async fn take(&self, bearer: Bearer, redeemed: &Redeemed) -> Result<User, PhoneError> {
        let proof = || self.proof(redeemed);
        let taken = self
            .parts
            .numbers
            .take(bearer.user, &redeemed.holder, proof);
        Ok(taken.await?)
    }
}
