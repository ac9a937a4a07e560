//! The operations that this project uses, and how the SDK turns their inputs into requests and
//! answers into their outputs.
//!
//! The SDK keeps serializer and parser of an operation in the layer that the operation contributes
//! to a client's configuration (`RuntimePlugin::config`). They are taken from there once.

use std::{fmt::Debug, sync::LazyLock};

use aws_sdk_dynamodb::{
    config::{ConfigBag, FrozenLayer, RuntimePlugin},
    error::{ErrorMetadata, ProvideErrorMetadata},
    operation,
};
use aws_smithy_runtime_api::client::{
    interceptors::context::{Error, Input, Output},
    orchestrator::{HttpResponse, OrchestratorError},
    ser_de::{
        DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer,
    },
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::USER_AGENT};

use crate::dynamo::failure::{Failure, ServiceError};

/// What AWS's logs show as the caller.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("weapp-serverless/", env!("CARGO_PKG_VERSION")));

/// A failure whose error is one of the operation's, its type erased.
pub(super) type ErasedFailure = Failure<Error>;

/// An operation of DynamoDB's.
pub(in crate::dynamo) trait Operation {
    type Input: Debug + Send + Sync + 'static;
    type Output: Debug + Send + Sync + 'static;
    type Error: ServiceError;

    /// Serializer and parser.
    fn codec() -> &'static Codec;
}

macro_rules! operations {
    ($($module:ident: $operation:ident, $input:ident, $output:ident, $error:ident;)*) => {$(
        impl Operation for operation::$module::$operation {
            type Input = operation::$module::$input;
            type Output = operation::$module::$output;
            type Error = operation::$module::$error;

            fn codec() -> &'static Codec {
                static CODEC: LazyLock<Codec> = LazyLock::new(|| {
                    Codec::of::<operation::$module::$operation>(&operation::$module::$operation::new())
                });
                &CODEC
            }
        }
    )*};
}

operations! {
    get_item: GetItem, GetItemInput, GetItemOutput, GetItemError;
    query: Query, QueryInput, QueryOutput, QueryError;
    put_item: PutItem, PutItemInput, PutItemOutput, PutItemError;
    update_item: UpdateItem, UpdateItemInput, UpdateItemOutput, UpdateItemError;
    delete_item: DeleteItem, DeleteItemInput, DeleteItemOutput, DeleteItemError;
    transact_write_items:
        TransactWriteItems, TransactWriteItemsInput, TransactWriteItemsOutput, TransactWriteItemsError;
}

/// A request before it is signed. All attempts share it.
pub(super) struct Serialized {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Serializer and parser of an operation.
pub(in crate::dynamo) struct Codec {
    layer: Option<FrozenLayer>,
    metadata: fn(&Error) -> Option<&ErrorMetadata>,
}

impl Codec {
    fn of<O: Operation>(plugin: &impl RuntimePlugin) -> Self {
        Self {
            layer: plugin.config(),
            metadata: |error| error.downcast_ref::<O::Error>().map(O::Error::meta),
        }
    }

    /// The operation's own part of the SDK's configuration. Each has all of them: a test looks.
    fn part<T: Storable<Storer = StoreReplace<T>>>(&self) -> Result<&T, ErasedFailure> {
        let part = self.layer.as_ref().and_then(|layer| layer.load::<T>());
        part.ok_or_else(|| Failure::construction("the SDK has no serializer or parser"))
    }

    /// Code and message of the operation's error.
    pub(super) fn metadata<'a>(&self, error: &'a Error) -> Option<&'a ErrorMetadata> {
        (self.metadata)(error)
    }

    pub(super) fn serialize(&self, input: Input) -> Result<Serialized, ErasedFailure> {
        let request = self
            .part::<SharedRequestSerializer>()?
            .serialize_input(input, &mut ConfigBag::base())
            .map_err(|error| Failure::construction(&error))?;
        let request = request
            .try_into_http1x()
            .map_err(|error| Failure::construction(&error))?;
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        headers.insert(USER_AGENT, AGENT);
        // All of it is in memory, as a body of the SDK's that nothing streams.
        let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
        Ok(Serialized { headers, body })
    }

    pub(super) fn parse(&self, answer: Response<Bytes>) -> Result<Output, ErasedFailure> {
        let status = answer.status();
        let unreadable = |why| Failure::Unreadable { status, why };
        let answer = HttpResponse::try_from(answer.map(Into::into))
            .map_err(|_| unreadable("its headers are not text"))?;
        let parser = self.part::<SharedResponseDeserializer>()?;
        let error = match parser.deserialize_nonstreaming_with_config(&answer, &ConfigBag::base()) {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        // The parser's own words can quote the body.
        let no_error = || unreadable("it is not one of DynamoDB's");
        let error = operation_error(error).ok_or_else(no_error)?;
        match self.metadata(&error).and_then(ErrorMetadata::code) {
            Some(_) => Err(Failure::Service { error, status }),
            None => Err(no_error()),
        }
    }
}

/// The operation's own error in what a parser returns.
fn operation_error(error: OrchestratorError<Error>) -> Option<Error> {
    let mut own = None;
    let _ = error.map_operation_error(|error| own = Some(error));
    own
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::{
        delete_item::DeleteItem,
        get_item::{GetItem, GetItemInput},
        put_item::PutItem,
        query::Query,
        transact_write_items::TransactWriteItems,
        update_item::UpdateItem,
    };
    use http::{StatusCode, header::CONTENT_LENGTH};

    use super::*;

    /// What is parsed from an answer to a read.
    fn parsed(status: u16, body: &'static str) -> Result<Output, ErasedFailure> {
        let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        GetItem::codec().parse(answer)
    }

    #[test]
    fn the_sdk_has_serializer_and_parser_of_each_operation() {
        for codec in [
            GetItem::codec(),
            Query::codec(),
            PutItem::codec(),
            UpdateItem::codec(),
            DeleteItem::codec(),
            TransactWriteItems::codec(),
        ] {
            assert!(codec.part::<SharedRequestSerializer>().is_ok());
            assert!(codec.part::<SharedResponseDeserializer>().is_ok());
        }
    }

    #[test]
    fn a_request_has_the_operations_headers_and_its_input_as_json() {
        let input = GetItemInput::builder().table_name("weapp").build().unwrap();
        let Ok(serialized) = GetItem::codec().serialize(Input::erase(input)) else {
            panic!("not serialized");
        };
        assert_eq!(serialized.body, r#"{"TableName":"weapp"}"#);
        let header = |name: &str| serialized.headers[name].to_str().unwrap();
        assert_eq!(header("x-amz-target"), "DynamoDB_20120810.GetItem");
        assert_eq!(header("content-type"), "application/x-amz-json-1.0");
        assert_eq!(header(CONTENT_LENGTH.as_str()), "21");
    }

    #[test]
    fn an_error_is_parsed_with_its_code_and_its_message() {
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"later"}"#;
        let Err(Failure::Service { error, status }) = parsed(400, body) else {
            panic!("no error");
        };
        let metadata = GetItem::codec().metadata(&error).unwrap();
        assert_eq!(metadata.code(), Some("ThrottlingException"));
        assert_eq!(metadata.message(), Some("later"));
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(
            error
                .downcast_ref::<operation::get_item::GetItemError>()
                .is_some()
        );
    }

    #[test]
    fn what_is_not_dynamodbs_is_unreadable_and_not_quoted() {
        for (status, body) in [
            (200, "hunter2"),
            (200, r#"["hunter2"]"#),
            (200, r#"{"Item":"hunter2"}"#),
            (200, r#"{"Item":{"a":{"S":"hunter2""#),
            (400, "hunter2"),
            (400, r#"{"hunter2":1}"#),
            (502, "<html>hunter2</html>"),
        ] {
            let failure = parsed(status, body).unwrap_err();
            assert!(
                matches!(failure, Failure::Unreadable { .. }),
                "{status} {body}: {failure:?}"
            );
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }
}
