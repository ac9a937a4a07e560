//! Retries of requests whose signature was made at another time.

use aws_sdk_dynamodb::{
    config::{
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    error::{ErrorMetadata, ProvideErrorMetadata},
    operation::{
        delete_item::DeleteItemError, get_item::GetItemError, put_item::PutItemError,
        query::QueryError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError,
    },
};

use super::error::is_out_of_time;

/// Sends a request again, with a new signature, when its signature had expired on arrival: Lambda
/// freezes an instance wherever it is, also between signing and sending. The SDK signs each attempt
/// anew, but by itself retries only when the answer's `Date` is four minutes off its own clock,
/// which after a thaw it is not (`aws_runtime::service_clock_skew`).
#[derive(Debug)]
pub(super) struct SignAgain;

impl ClassifyRetry for SignAgain {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        macro_rules! metadata {
            ($($error:ty),* $(,)?) => {
                error.as_operation_error().and_then(|error| {
                    let none: Option<&ErrorMetadata> = None;
                    none$(.or_else(|| error.downcast_ref::<$error>().map(ProvideErrorMetadata::meta)))*
                })
            };
        }
        // All operations that this project uses.
        let metadata = metadata!(
            GetItemError,
            QueryError,
            PutItemError,
            UpdateItemError,
            DeleteItemError,
            TransactWriteItemsError,
        );
        if metadata.is_some_and(is_out_of_time) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "SignAgain"
    }
}
