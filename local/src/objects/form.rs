//! A posted form: its fields, and the file at its end.

use std::collections::BTreeMap;

use axum::{body::BodyDataStream, extract::Request, http::header::CONTENT_TYPE};
use hyper::body::Bytes;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{S3Error, policy::Range};

/// The longest field, and the most of them.
const MAX_FIELD: usize = 20 * 1024;
const MAX_FIELDS: usize = 40;

/// The fields in front of the file, by their names in lower case, and the file.
pub(super) struct Form {
    pub(super) fields: BTreeMap<String, String>,
    file: Field<'static>,
    /// Has to live as long as the file is read.
    _rest: Multipart<'static>,
}

impl Form {
    /// Reads up to the file. What follows it is ignored, as S3 does.
    pub(super) async fn read(request: Request) -> Result<Self, S3Error> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let boundary = multer::parse_boundary(content_type.unwrap_or_default());
        let boundary = boundary.map_err(|_| S3Error::MALFORMED_FORM)?;
        let body: BodyDataStream = request.into_body().into_data_stream();
        // Fields are counted here; the file has the range of its policy.
        let limits = SizeLimit::new().per_field(u64::MAX).whole_stream(u64::MAX);
        let constraints = Constraints::new().size_limit(limits);
        let mut parts = Multipart::with_constraints(body, boundary, constraints);
        let mut fields = BTreeMap::new();
        loop {
            let field = parts.next_field().await.map_err(|error| broken(&error))?;
            let mut field = field.ok_or(S3Error::MALFORMED_FORM)?;
            let name = field.name().unwrap_or_default().to_ascii_lowercase();
            if name == "file" {
                return Ok(Self {
                    fields,
                    file: field,
                    _rest: parts,
                });
            }
            let value = text(&mut field).await?;
            if fields.insert(name, value).is_some() || fields.len() > MAX_FIELDS {
                return Err(S3Error::MALFORMED_FORM);
            }
        }
    }

    /// A field that the form has to have.
    pub(super) fn field(&self, name: &str) -> Result<&str, S3Error> {
        let field = self.fields.get(name).map(String::as_str);
        field.ok_or(S3Error::MALFORMED_FORM)
    }

    /// The file, if it ends and its size is in the range.
    pub(super) async fn file(mut self, range: Range) -> Result<Bytes, S3Error> {
        let mut content = Vec::new();
        while let Some(chunk) = self.file.chunk().await.map_err(|error| broken(&error))? {
            content.extend_from_slice(&chunk);
            if content.len() as u64 > range.max {
                return Err(S3Error::TOO_LARGE);
            }
        }
        if (content.len() as u64) < range.min {
            return Err(S3Error::TOO_SMALL);
        }
        Ok(content.into())
    }
}

async fn text(field: &mut Field<'static>) -> Result<String, S3Error> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_FIELD {
            return Err(S3Error::MALFORMED_FORM);
        }
    }
    String::from_utf8(text).map_err(|_| S3Error::MALFORMED_FORM)
}

fn broken(error: &multer::Error) -> S3Error {
    match error {
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream
        | multer::Error::StreamReadFailed(_) => S3Error::INCOMPLETE,
        _ => S3Error::MALFORMED_FORM,
    }
}
