//! Converts a response to what API Gateway expects.

use axum::response::Response;
use http::header::SET_COOKIE;
use lambda_http::{
    Body, IntoResponse,
    aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse},
};
use serde::Serialize;

use super::event::Format;

/// A response in the format of the API whose event it answers.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum EventResponse {
    V1(Box<ApiGatewayProxyResponse>),
    V2(Box<ApiGatewayV2httpResponse>),
}

impl EventResponse {
    /// Collects the body, as text or as base64.
    pub(super) async fn new(format: Format, response: Response) -> Self {
        let (parts, body) = response.into_response().await.into_parts();
        let status = i64::from(parts.status.as_u16());
        let is_base64_encoded = matches!(body, Body::Binary(_));
        let body = (!matches!(body, Body::Empty)).then_some(body);
        let mut headers = parts.headers;
        match format {
            Format::V1 => {
                let mut response = ApiGatewayProxyResponse::default();
                response.status_code = status;
                // Those in `headers` too would be sent twice.
                response.multi_value_headers = headers;
                response.body = body;
                response.is_base64_encoded = is_base64_encoded;
                Self::V1(Box::new(response))
            }
            Format::V2 => {
                let mut response = ApiGatewayV2httpResponse::default();
                response.status_code = status;
                let cookies = headers.get_all(SET_COOKIE).iter();
                response.cookies = cookies
                    .filter_map(|cookie| cookie.to_str().ok().map(str::to_owned))
                    .collect();
                headers.remove(SET_COOKIE);
                response.headers = headers;
                response.body = body;
                response.is_base64_encoded = is_base64_encoded;
                Self::V2(Box::new(response))
            }
        }
    }
}
