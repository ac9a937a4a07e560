//! What API Gateway asks: the events of its authorizers.
//!
//! The form of the answer follows from that of the event, with one exception: an HTTP API may want
//! payload 2.0 answered with a policy. Its authorizer needs simple responses
//! (`EnableSimpleResponses`).

use std::collections::BTreeMap;

use axum::http::{HeaderValue, header::AUTHORIZATION};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// A question: may this caller come in?
pub struct Question {
    /// How it is answered.
    pub form: Form,
    /// The request's `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// API Gateway's id of the request.
    pub request_id: Option<String>,
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Yes or no: an HTTP API with payload 2.0.
    Simple,
    /// A policy for everything in this stage of the API: a REST API, a WebSocket API, or an HTTP API
    /// with payload 1.0.
    Policy {
        /// `arn:…:api/stage/*`.
        stage: String,
    },
}

/// The fields that are used. <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: Option<String>,
    r#type: Option<String>,
    method_arn: Option<String>,
    /// Of `TOKEN` events; also, with payload 1.0, all identity sources of an HTTP API.
    authorization_token: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    /// With payload 2.0 the values that the answer is cached by; `null` where it is not.
    #[serde(default)]
    identity_source: Option<Box<RawValue>>,
    request_context: Option<Context>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    request_id: Option<String>,
}

impl<'de> Deserialize<'de> for Question {
    fn deserialize<D: Deserializer<'de>>(event: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(event)?.get();
        let event = serde_json::from_str::<Event>(raw).ok();
        // The library's error can quote the event, which contains a token.
        event
            .and_then(Event::question)
            .ok_or_else(|| D::Error::custom("not an event of an authorizer"))
    }
}

impl Event {
    fn question(mut self) -> Option<Question> {
        let form = self.form()?;
        let header = match self.r#type.as_deref()? {
            "TOKEN" => self.authorization_token.take(),
            "REQUEST" => self.header(),
            _ => return None,
        };
        let authorization = header.filter(|header| self.is_cached_by(header));
        Some(Question {
            form,
            // What no header may contain is no token either.
            authorization: authorization.and_then(|header| HeaderValue::try_from(header).ok()),
            request_id: self.request_context.and_then(|context| context.request_id),
        })
    }

    fn form(&self) -> Option<Form> {
        if self.version.as_deref() == Some("2.0") {
            return Some(Form::Simple);
        }
        let stage = stage_of(self.method_arn.as_deref()?)?;
        Some(Form::Policy { stage })
    }

    /// The header's names are as the client wrote them in a REST API, else in lower case.
    fn header(&mut self) -> Option<String> {
        let headers = self.headers.take()?.into_iter();
        let mut values = headers
            .filter(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()))
            .filter_map(|(_, value)| value);
        values.next()
    }

    /// Whether the answer would be cached by this token. Where an API caches it by something else, the
    /// next caller with the same would be taken for this one, so nobody is let in. Only payload 2.0
    /// tells.
    fn is_cached_by(&self, header: &str) -> bool {
        if self.version.as_deref() != Some("2.0") {
            return true;
        }
        let Some(source) = &self.identity_source else {
            return true;
        };
        let is_source = serde_json::from_str::<Vec<String>>(source.get())
            .is_ok_and(|values| values.iter().any(|value| value == header));
        if !is_source {
            tracing::warn!(
                "an authorizer's identity source is not $request.header.Authorization: nobody is let in"
            );
        }
        is_source
    }
}

/// Everything in the stage of a method's ARN (`arn:aws:execute-api:region:account:api/stage/GET/path`).
/// The answer is cached for all routes, so it names none: a policy for the route that was asked for
/// first would decide about the others.
fn stage_of(method: &str) -> Option<String> {
    let mut parts = method.splitn(3, '/');
    let (api, stage, _) = (parts.next()?, parts.next()?, parts.next()?);
    (api.starts_with("arn:") && !stage.is_empty()).then(|| format!("{api}/{stage}/*"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const METHOD: &str =
        "arn:aws:execute-api:ap-southeast-1:123456789012:z9y8x7w6v5/prod/GET/orders/7";
    const STAGE: &str = "arn:aws:execute-api:ap-southeast-1:123456789012:z9y8x7w6v5/prod/*";

    fn question(event: &Value) -> Question {
        serde_json::from_str(&event.to_string()).unwrap()
    }

    fn token(event: &Value) -> Option<String> {
        let authorization = question(event).authorization?;
        Some(authorization.to_str().unwrap().to_owned())
    }

    fn of_an_http_api() -> Value {
        json!({
            "version": "2.0", "type": "REQUEST", "identitySource": ["Bearer t"],
            "headers": {"authorization": "Bearer t"}, "requestContext": {"requestId": "r1"},
        })
    }

    #[test]
    fn payload_2_0_is_answered_simply() {
        let question = question(&of_an_http_api());
        assert_eq!(question.form, Form::Simple);
        assert_eq!(question.authorization.unwrap(), "Bearer t");
        assert_eq!(question.request_id.as_deref(), Some("r1"));
    }

    #[test]
    fn all_other_events_are_answered_with_a_policy_for_the_stage() {
        for event in [
            json!({"type": "TOKEN", "methodArn": METHOD, "authorizationToken": "Bearer t"}),
            json!({"type": "REQUEST", "methodArn": METHOD, "headers": {"Authorization": "Bearer t"}}),
            json!({"version": "1.0", "type": "REQUEST", "methodArn": METHOD, "identitySource": "Bearer t",
                   "headers": {"authorization": "Bearer t"}}),
        ] {
            let stage = STAGE.to_owned();
            assert_eq!(question(&event).form, Form::Policy { stage }, "{event}");
            assert_eq!(token(&event).as_deref(), Some("Bearer t"), "{event}");
        }
    }

    #[test]
    fn a_request_without_a_token_is_a_question_too() {
        let without = json!({"type": "REQUEST", "methodArn": METHOD, "headers": null});
        assert_eq!(token(&without), None);
        let mut unprintable = of_an_http_api();
        unprintable["headers"]["authorization"] = "Bearer \n".into();
        unprintable["identitySource"] = json!(["Bearer \n"]);
        assert_eq!(token(&unprintable), None);
    }

    #[test]
    fn nobody_is_let_in_where_the_answer_is_cached_by_something_else() {
        for source in [json!(["203.0.113.24"]), json!([]), json!("Bearer t")] {
            let mut event = of_an_http_api();
            event["identitySource"] = source;
            assert_eq!(token(&event), None, "{event}");
        }
        for source in [json!(["Bearer t", "GET /orders"]), Value::Null] {
            let mut event = of_an_http_api();
            event["identitySource"] = source;
            assert_eq!(token(&event).as_deref(), Some("Bearer t"), "{event}");
        }
    }

    #[test]
    fn other_events_are_refused_without_being_quoted() {
        for event in [
            json!({}),
            json!({"type": "TOKEN", "authorizationToken": "Bearer hunter2"}),
            json!({"type": "TOKEN", "methodArn": "hunter2", "authorizationToken": "Bearer hunter2"}),
            json!({"type": "TOKEN", "methodArn": "arn:hunter2/prod", "authorizationToken": "x"}),
            json!({"type": "hunter2", "methodArn": METHOD}),
            json!({"version": "2.0", "type": 1, "headers": {"authorization": "Bearer hunter2"}}),
            json!({"version": "2.0", "requestContext": {"http": {"method": "GET"}}}),
        ] {
            let Err(error) = serde_json::from_str::<Question>(&event.to_string()) else {
                panic!("{event} is no question")
            };
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_stage_may_be_the_default_one() {
        let default = "arn:aws-cn:execute-api:cn-north-1:123456789012:a1/$default/GET/a/b";
        let stage = "arn:aws-cn:execute-api:cn-north-1:123456789012:a1/$default/*";
        assert_eq!(stage_of(default).as_deref(), Some(stage));
        assert_eq!(
            stage_of("arn:aws:execute-api:x:1:a1/s/$connect").as_deref(),
            Some("arn:aws:execute-api:x:1:a1/s/*")
        );
    }
}
