//! The reason that each module's errors have for a client. Every variant is listed, so that no
//! error becomes a 500 by accident.

use std::time::Duration;

use super::{ApiError, Reason};
use crate::{
    accounts::{DeletionError, MergeError, PhoneError},
    auth::{AdmissionError, RefreshTokenError, RotateError, SessionError, TokenError},
    dynamo::DynamoError,
    objects::ObjectError,
    queue::QueueError,
    resilience::{Denied, bulkhead::AtCapacity},
    saga::SagaError,
    users::{AdministratorError, AvatarError, IdentityError, UserError},
    webhooks::OutboxError,
    wechat::WeChatError,
};

impl From<DynamoError> for ApiError {
    fn from(error: DynamoError) -> Self {
        let reason = match error {
            DynamoError::Unavailable(_) => Reason::Unavailable,
            DynamoError::Conflict => Reason::Conflict,
            DynamoError::Refused(_) => Reason::Internal,
        };
        Self::new(reason).because(&error)
    }
}

impl From<AtCapacity> for ApiError {
    fn from(error: AtCapacity) -> Self {
        Self::new(Reason::Unavailable).because(&error)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::new(match error {
            TokenError::Missing => Reason::TokenMissing,
            TokenError::Invalid
            | TokenError::UnknownKey
            | TokenError::Extension
            | TokenError::NotYetValid => Reason::TokenInvalid,
            TokenError::Expired => Reason::TokenExpired,
        })
    }
}

impl From<AdmissionError> for ApiError {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Token(error) => error.into(),
            AdmissionError::SessionEnded => Reason::SessionRevoked.into(),
            AdmissionError::UserDisabled => Reason::UserDisabled.into(),
            AdmissionError::RefreshToken(error) => error.into(),
            AdmissionError::Denied(error) => error.into(),
            AdmissionError::Dynamo(error) => error.into(),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::new(Reason::RateLimited)
            .because(&denied)
            .retry_after(denied.retry_after)
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ended => Reason::SessionRevoked.into(),
            SessionError::Dynamo(error) => error.into(),
        }
    }
}

impl From<RefreshTokenError> for ApiError {
    fn from(_: RefreshTokenError) -> Self {
        Reason::RefreshInvalid.into()
    }
}

impl From<RotateError> for ApiError {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Invalid => Reason::RefreshInvalid.into(),
            RotateError::AppRemoved => Self::new(Reason::RefreshInvalid).because(&error),
            RotateError::Reused { .. } => Reason::RefreshReused.into(),
            RotateError::Revoked => Reason::SessionRevoked.into(),
            RotateError::Dynamo(error) => error.into(),
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Reason::NotFound.into(),
            UserError::Dynamo(error) => error.into(),
        }
    }
}

impl From<AdministratorError> for ApiError {
    fn from(error: AdministratorError) -> Self {
        match error {
            AdministratorError::NotFound => Reason::SessionRevoked.into(),
            AdministratorError::Disabled => Reason::UserDisabled.into(),
            AdministratorError::NotAdministrator => Reason::Forbidden.into(),
            AdministratorError::Dynamo(error) => error.into(),
        }
    }
}

impl From<SagaError> for ApiError {
    fn from(error: SagaError) -> Self {
        match error {
            SagaError::NotFound => Reason::NotFound.into(),
            SagaError::NotAllowed => Reason::Forbidden.into(),
            SagaError::Refused(_) | SagaError::TooLate | SagaError::Blocked => {
                Self::new(Reason::Conflict).because(&error)
            }
            // Not what the client has read has changed: the saga is to be continued later.
            SagaError::Busy
            | SagaError::Unavailable(_)
            | SagaError::Dynamo(DynamoError::Conflict) => {
                Self::new(Reason::Unavailable).because(&error)
            }
            SagaError::Dynamo(error) => error.into(),
        }
    }
}

impl From<DeletionError> for ApiError {
    fn from(error: DeletionError) -> Self {
        match error {
            DeletionError::Merged => Self::new(Reason::Conflict).because(&error),
            DeletionError::Saga(error) => error.into(),
        }
    }
}

impl From<MergeError> for ApiError {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::SameAccount | MergeError::ProofFailed | MergeError::Unfit(..) => {
                Self::new(Reason::Conflict).because(&error)
            }
            MergeError::Saga(error) => error.into(),
        }
    }
}

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> Self {
        match error {
            // Another login recreates the identity.
            IdentityError::NotFound => Self::new(Reason::SessionRevoked).because(&error),
            IdentityError::Dynamo(error) => error.into(),
        }
    }
}

impl From<PhoneError> for ApiError {
    fn from(error: PhoneError) -> Self {
        match error {
            PhoneError::Taken(Some(offer)) => Self::new(Reason::PhoneTaken).with_data(&offer),
            PhoneError::Taken(None) => Reason::PhoneTaken.into(),
            PhoneError::Ticket => Reason::TicketInvalid.into(),
            PhoneError::NotFound => Reason::SessionRevoked.into(),
            PhoneError::Dynamo(error) => error.into(),
        }
    }
}

impl From<ObjectError> for ApiError {
    fn from(error: ObjectError) -> Self {
        let reason = match error {
            ObjectError::NotFound | ObjectError::Changed => Reason::Conflict,
            ObjectError::Timeout => Reason::UpstreamTimeout,
            ObjectError::Unavailable(_) => Reason::Unavailable,
            // Not the client's fault; the log has the remedy.
            ObjectError::Refused(_) | ObjectError::Construction(_) => Reason::Internal,
        };
        Self::new(reason).because(&error)
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        let reason = match error {
            QueueError::Timeout => Reason::UpstreamTimeout,
            QueueError::Unavailable(_) => Reason::Unavailable,
            // Not the client's fault; the log has the remedy.
            QueueError::Refused(_) | QueueError::Construction(_) => Reason::Internal,
        };
        Self::new(reason).because(&error)
    }
}

impl From<OutboxError> for ApiError {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::NotConfigured => Self::new(Reason::NotConfigured).because(&error),
            OutboxError::Queue(error) => error.into(),
            OutboxError::Table(error) => error.into(),
        }
    }
}

impl From<AvatarError> for ApiError {
    fn from(error: AvatarError) -> Self {
        let reason = match error {
            AvatarError::NotConfigured => Reason::NotConfigured,
            AvatarError::NotFound => Reason::NotFound,
            AvatarError::Missing => Reason::UploadMissing,
            AvatarError::Invalid(_) | AvatarError::Unreadable => Reason::UploadInvalid,
            AvatarError::Risky => Reason::ContentRisky,
            AvatarError::UserGone => Reason::SessionRevoked,
            AvatarError::Merging => Reason::Conflict,
            AvatarError::Objects(error) => return error.into(),
            AvatarError::Dynamo(error) => return error.into(),
        };
        Self::new(reason).because(&error)
    }
}

impl From<WeChatError> for ApiError {
    fn from(error: WeChatError) -> Self {
        let reason = match error {
            WeChatError::CodeInvalid => Reason::CodeInvalid,
            WeChatError::CodeUsed => Reason::CodeUsed,
            WeChatError::PhoneCodeInvalid => Reason::PhoneCodeInvalid,
            WeChatError::UserBlocked => Reason::UserBlocked,
            WeChatError::SessionKeyStale => Reason::SessionKeyStale,
            WeChatError::NotSubscribed
            | WeChatError::ReplyWindowClosed
            | WeChatError::TooManyReplies => Reason::Conflict,
            WeChatError::MessageInvalid(_) => Reason::InvalidRequest,
            WeChatError::TargetInvalid(_) => Reason::TargetInvalid,
            WeChatError::Throttled | WeChatError::AccountLimited(_) => Reason::RateLimited,
            WeChatError::Busy
            | WeChatError::TooManyInFlight(_)
            | WeChatError::CircuitOpen(_)
            | WeChatError::QuotaExceeded
            | WeChatError::UserInactive
            | WeChatError::NoAccessToken(_)
            | WeChatError::Connect(_) => Reason::Unavailable,
            // Not the client's fault, so not a 4xx; the log has the remedy.
            WeChatError::Misconfigured { .. } => Reason::Internal,
            WeChatError::Timeout => Reason::UpstreamTimeout,
            WeChatError::AccessTokenStale(_)
            | WeChatError::Unexpected(_)
            | WeChatError::ConnectionLost(_)
            | WeChatError::Status(_)
            | WeChatError::Unreadable(_) => Reason::UpstreamError,
        };
        let failure = Self::new(reason).because(&error);
        match error {
            // WeChat's limit per minute.
            WeChatError::Throttled => failure.retry_after(Duration::from_mins(1)),
            WeChatError::AccountLimited(denied) => failure.retry_after(denied.retry_after),
            WeChatError::CircuitOpen(refused) => failure.retry_after(refused.retry_after),
            // WeChat's limit per day, whose time zone is not documented.
            WeChatError::QuotaExceeded => failure.retry_after(Duration::from_hours(1)),
            _ => failure,
        }
    }
}
