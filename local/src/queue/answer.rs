//! Answers in SQS's JSON protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>).

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SqsError {
    status: StatusCode,
    pub(super) code: &'static str,
}

impl SqsError {
    pub(super) const SIGNATURE: Self = Self::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    pub(super) const UNKNOWN_OPERATION: Self = Self::bad("UnknownOperationException");
    pub(super) const NO_QUEUE: Self = Self::bad("QueueDoesNotExist");
    pub(super) const INVALID: Self = Self::bad("InvalidParameterValue");
    pub(super) const TOO_LARGE: Self = Self::bad("InvalidMessageContents");
    pub(super) const EMPTY_BATCH: Self = Self::bad("EmptyBatchRequest");
    pub(super) const TOO_MANY_ENTRIES: Self = Self::bad("TooManyEntriesInBatchRequest");
    pub(super) const BATCH_TOO_LONG: Self = Self::bad("BatchRequestTooLong");
    pub(super) const INVALID_RECEIPT: Self = Self::bad("ReceiptHandleIsInvalid");
    pub(super) const FULL: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");

    const fn new(status: StatusCode, code: &'static str) -> Self {
        Self { status, code }
    }

    const fn bad(code: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code)
    }

    /// Whether the same call would fail again.
    pub(super) fn is_of_sender(self) -> bool {
        self.status.is_client_error()
    }
}

impl IntoResponse for SqsError {
    fn into_response(self) -> Response {
        let code = format!("com.amazonaws.sqs#{}", self.code);
        (self.status, json(&json!({"__type": code}))).into_response()
    }
}

pub(super) fn success(answer: &Value) -> Response {
    json(answer).into_response()
}

fn json(value: &Value) -> impl IntoResponse + use<> {
    let header = [(CONTENT_TYPE, "application/x-amz-json-1.0")];
    (header, value.to_string())
}
