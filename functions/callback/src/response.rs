//! A reply as a response, without the envelope, which WeChat would not understand.

use crate::push::Format;
use axum::{body::Body, response::Response};
use http::{HeaderValue, header::CONTENT_TYPE};

pub fn reply_response(format: Format, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    response
}
