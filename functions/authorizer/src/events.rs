//! Questions as requests, and responses as answers.

use axum::{extract::Request, response::Response};
use shared::runtime::{Events, Failure, Invocation};

use crate::{
    AUTHORIZE,
    answer::{Answer, Verdict},
    question::{Form, Question},
};

/// The questions of API Gateway.
pub enum AuthorizerEvents {}

impl Events for AuthorizerEvents {
    type Event = Question;
    type Form = Form;
    type Answer = Answer;

    fn request(question: Question, invocation: &Invocation) -> (Form, Request) {
        let Question {
            form,
            authorization,
            request_id,
        } = question;
        let mut request = Request::default();
        *request.uri_mut() = AUTHORIZE.parse().unwrap_or_default();
        if let Some(authorization) = authorization {
            request
                .headers_mut()
                .insert(axum::http::header::AUTHORIZATION, authorization);
        }
        let arrival = invocation.arrival(request_id);
        request.extensions_mut().insert(arrival);
        (form, request)
    }

    async fn answer(form: Form, response: Response) -> Result<Answer, Failure> {
        Verdict::of(response).answer(form)
    }
}
