//! What API Gateway is answered.
//!
//! | caller | answer | the client gets |
//! |---|---|---|
//! | a caller who is admitted | allowed, with the context | the function's response |
//! | a disabled user | denied | 403 |
//! | no token, a foreign, expired or revoked one | the error `Unauthorized` | 401 |
//! | anybody while DynamoDB is down | another error | 500 |
//!
//! API Gateway caches answers and no errors: a client that refreshes its token, or tries again, is not
//! refused by what was true before.

use axum::{http::StatusCode, response::Response};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;
use shared::runtime::Failure;

use crate::{caller::Caller, question::Form};

/// The text is what API Gateway recognises: with any other one, the client gets 500.
const UNAUTHORIZED: Failure = Failure {
    kind: "Unauthorized",
    message: "Unauthorized",
};
/// The log line of the request has the reason.
const UNDECIDED: Failure = Failure {
    kind: "Undecided",
    message: "the caller could not be checked",
};

/// What became of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The caller is admitted.
    Allowed(Caller),
    /// Known, and not admitted.
    Denied,
    /// Not known.
    Unauthorized,
    /// Nobody can tell at the moment.
    Undecided,
}

impl Verdict {
    /// What a response says.
    pub fn of(mut response: Response) -> Self {
        if let Some(caller) = response.extensions_mut().remove() {
            return Self::Allowed(caller);
        }
        match response.status() {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Denied,
            _ => Self::Undecided,
        }
    }

    /// The answer in this form.
    ///
    /// # Errors
    /// Where the answer is an error.
    pub fn answer(self, form: Form) -> Result<Answer, Failure> {
        match self {
            Self::Allowed(caller) => Ok(Answer {
                form,
                caller: Some(caller),
            }),
            Self::Denied => Ok(Answer { form, caller: None }),
            Self::Unauthorized => Err(UNAUTHORIZED),
            Self::Undecided => Err(UNDECIDED),
        }
    }
}

/// An answer: the caller, if admitted.
#[derive(Debug)]
pub struct Answer {
    form: Form,
    caller: Option<Caller>,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        match &self.form {
            Form::Simple => members.serialize_entry("isAuthorized", &self.caller.is_some())?,
            Form::Policy { stage } => {
                let caller = self.caller.as_ref();
                let principal = caller.map_or("denied", |caller| &caller.user_id);
                members.serialize_entry("principalId", principal)?;
                members.serialize_entry("policyDocument", &policy(caller.is_some(), stage))?;
            }
        }
        if let Some(caller) = &self.caller {
            members.serialize_entry("context", caller)?;
        }
        members.end()
    }
}

fn policy(is_allowed: bool, stage: &str) -> serde_json::Value {
    let effect = if is_allowed { "Allow" } else { "Deny" };
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": stage}],
    })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde_json::Value;
    use shared::api::{ApiError, Reason};

    use super::*;

    const STAGE: &str = "arn:aws:execute-api:ap-southeast-1:123456789012:z9y8x7w6v5/prod/*";

    fn caller() -> Caller {
        Caller {
            user_id: "u1".to_owned(),
            app_id: "wx1".to_owned(),
            role: "user".to_owned(),
            session_id: "s1".to_owned(),
        }
    }

    fn in_both_forms(response: fn() -> Response) -> Result<[Value; 2], Failure> {
        let stage = STAGE.to_owned();
        let answer = |form| {
            let answer = Verdict::of(response()).answer(form)?;
            Ok(serde_json::to_value(&answer).unwrap())
        };
        Ok([answer(Form::Simple)?, answer(Form::Policy { stage })?])
    }

    #[test]
    fn an_admitted_caller_is_allowed_with_the_context() {
        let [simple, policy] = in_both_forms(|| caller().into_response()).unwrap();
        let context = json!({"userId": "u1", "appId": "wx1", "role": "user", "sessionId": "s1"});
        assert_eq!(simple, json!({"isAuthorized": true, "context": context}));
        let statement =
            json!({"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": STAGE});
        let document = json!({"Version": "2012-10-17", "Statement": [statement]});
        assert_eq!(
            policy,
            json!({"principalId": "u1", "policyDocument": document, "context": context})
        );
    }

    #[test]
    fn a_disabled_user_is_denied() {
        let [simple, policy] =
            in_both_forms(|| ApiError::new(Reason::UserDisabled).into_response()).unwrap();
        assert_eq!(simple, json!({"isAuthorized": false}));
        let statement =
            json!({"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": STAGE});
        let document = json!({"Version": "2012-10-17", "Statement": [statement]});
        assert_eq!(
            policy,
            json!({"principalId": "denied", "policyDocument": document})
        );
    }

    #[test]
    fn an_unknown_caller_is_the_error_that_api_gateway_answers_401_to() {
        for refuse in [
            || ApiError::new(Reason::TokenMissing).into_response(),
            || ApiError::new(Reason::TokenInvalid).into_response(),
            || ApiError::new(Reason::TokenExpired).into_response(),
            || ApiError::new(Reason::SessionRevoked).into_response(),
        ] {
            let failure = in_both_forms(refuse).unwrap_err();
            assert_eq!(failure.message, "Unauthorized");
        }
    }

    #[test]
    fn whatever_is_not_decided_is_another_error() {
        for fail in [
            || ApiError::new(Reason::Unavailable).into_response(),
            || ApiError::new(Reason::UpstreamTimeout).into_response(),
            || ApiError::new(Reason::Internal).into_response(),
            // A response without a caller lets nobody in, whatever its status.
            || Response::default(),
        ] {
            assert_eq!(in_both_forms(fail).unwrap_err(), UNDECIDED);
        }
    }
}
