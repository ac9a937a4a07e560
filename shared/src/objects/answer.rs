//! What the store answers.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::ObjectError;
use crate::telemetry;

/// More than any answer that is read as a whole, in bytes.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// The first bytes of an object, and what the store says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStart {
    /// Of the whole object, in bytes.
    pub size: u64,
    /// As it was uploaded.
    pub content_type: String,
    /// Changes with the content.
    pub etag: String,
    /// The bytes that were asked for; fewer if the object has fewer.
    pub first: Bytes,
}

/// The first `wanted` bytes of the body; all of it if there are fewer.
pub(super) async fn start_of_body(mut body: Incoming, wanted: usize) -> Result<Bytes, ObjectError> {
    let mut read = BytesMut::new();
    while read.len() < wanted {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|error| broken(&error))?;
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data);
        }
    }
    read.truncate(wanted);
    Ok(read.freeze())
}

/// The object whose first bytes were asked for.
pub(super) fn object_start(
    head: &HeaderMap,
    status: StatusCode,
    first: Bytes,
) -> Option<ObjectStart> {
    let text = |name: HeaderName| head.get(name)?.to_str().ok();
    let size = if status == StatusCode::PARTIAL_CONTENT {
        // `bytes 0-63/1234`
        text(CONTENT_RANGE)?.rsplit_once('/')?.1
    } else {
        text(CONTENT_LENGTH)?
    };
    Some(ObjectStart {
        size: size.parse().ok()?,
        content_type: text(CONTENT_TYPE).unwrap_or_default().to_owned(),
        etag: text(ETAG)?.to_owned(),
        first,
    })
}

/// S3 begins to answer 200 before a copy is done, so an error can stand in the body.
pub(super) fn is_copied(response: &Response<Bytes>) -> bool {
    let text = String::from_utf8_lossy(response.body());
    text.contains("<CopyObjectResult") && !text.contains("<Error")
}

pub(super) fn broken(error: &dyn std::error::Error) -> ObjectError {
    ObjectError::Unavailable(telemetry::describe(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        lines.iter().map(header).collect()
    }

    #[test]
    fn the_size_of_a_part_is_that_of_the_whole() {
        let (range, length) = (("content-range", "bytes 0-1/70"), ("content-length", "2"));
        let rest = [("etag", "\"e\""), ("content-type", "image/png")];
        let part = head(&[range, length, rest[0], rest[1]]);
        let found = object_start(&part, StatusCode::PARTIAL_CONTENT, Bytes::from("ab")).unwrap();
        assert_eq!(
            (found.size, &*found.etag, &*found.content_type),
            (70, "\"e\"", "image/png")
        );
        let whole = head(&[length, rest[0]]);
        let found = object_start(&whole, StatusCode::OK, Bytes::from("ab")).unwrap();
        assert_eq!((found.size, &*found.content_type), (2, ""));
        assert!(object_start(&head(&[length]), StatusCode::OK, Bytes::new()).is_none());
    }

    #[test]
    fn a_copy_with_an_error_in_its_body_has_failed() {
        let is_copied = |body: &'static str| is_copied(&Response::new(Bytes::from(body)));
        assert!(is_copied(
            "<?xml version=\"1.0\"?><CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
        ));
        assert!(!is_copied(
            "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>"
        ));
        assert!(!is_copied(""));
    }
}
