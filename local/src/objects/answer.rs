//! Errors as S3 writes them
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).

use std::{borrow::Cow, io};

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

/// An error of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct S3Error {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

macro_rules! errors {
    ($($name:ident = $status:ident $code:literal $message:literal;)*) => {
        impl S3Error {
            $(pub(super) const $name: Self = Self {
                status: StatusCode::$status,
                code: $code,
                message: Cow::Borrowed($message),
            };)*
        }
    };
}

errors! {
    ACCESS_DENIED = FORBIDDEN "AccessDenied" "Access Denied";
    EXPIRED = FORBIDDEN "AccessDenied" "Request has expired";
    POLICY_EXPIRED = FORBIDDEN "AccessDenied" "Invalid according to Policy: Policy expired.";
    INVALID_KEY_ID = FORBIDDEN "InvalidAccessKeyId" "The AWS Access Key Id you provided does not exist in our records.";
    INVALID_TOKEN = BAD_REQUEST "InvalidToken" "The provided token is malformed or otherwise invalid.";
    SIGNATURE = FORBIDDEN "SignatureDoesNotMatch" "The request signature we calculated does not match the signature you provided.";
    SKEWED = FORBIDDEN "RequestTimeTooSkewed" "The difference between the request time and the current time is too large.";
    NO_SUCH_BUCKET = NOT_FOUND "NoSuchBucket" "The specified bucket does not exist";
    NO_SUCH_KEY = NOT_FOUND "NoSuchKey" "The specified key does not exist.";
    PRECONDITION_FAILED = PRECONDITION_FAILED "PreconditionFailed" "At least one of the pre-conditions you specified did not hold";
    INVALID_RANGE = RANGE_NOT_SATISFIABLE "InvalidRange" "The requested range is not satisfiable";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "MethodNotAllowed" "The specified method is not allowed against this resource.";
    NOT_IMPLEMENTED = NOT_IMPLEMENTED "NotImplemented" "A header you provided implies functionality that is not implemented.";
    MALFORMED_FORM = BAD_REQUEST "MalformedPOSTRequest" "The body of your POST request is not well-formed multipart/form-data.";
    MALFORMED_POLICY = BAD_REQUEST "InvalidPolicyDocument" "The content of the form does not meet the conditions specified in the policy document.";
    INVALID_KEY = BAD_REQUEST "InvalidArgument" "This key can't be used here.";
    INCOMPLETE = BAD_REQUEST "IncompleteBody" "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    TOO_LARGE = BAD_REQUEST "EntityTooLarge" "Your proposed upload exceeds the maximum allowed size";
    TOO_SMALL = BAD_REQUEST "EntityTooSmall" "Your proposed upload is smaller than the minimum allowed size";
    INTERNAL = INTERNAL_SERVER_ERROR "InternalError" "We encountered an internal error. Please try again.";
}

impl S3Error {
    /// A condition of a policy does not hold, or a field has none.
    pub(super) fn policy(what: &str) -> Self {
        Self {
            message: format!("Invalid according to Policy: {what}").into(),
            ..Self::ACCESS_DENIED
        }
    }
}

/// A file that can't be read or written.
impl From<io::Error> for S3Error {
    fn from(error: io::Error) -> Self {
        tracing::error!(%error, "the object store");
        Self::INTERNAL
    }
}

impl IntoResponse for S3Error {
    fn into_response(self) -> Response {
        let message = self.message.replace('&', "&amp;").replace('<', "&lt;");
        let code = self.code;
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        xml(self.status, &error)
    }
}

/// An answer in XML.
pub(super) fn xml(status: StatusCode, content: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{content}");
    (status, [(CONTENT_TYPE, "application/xml")], body).into_response()
}
