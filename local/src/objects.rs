//! The object store of `make run`: what avatars need of S3, with its rules. Forms are verified as S3
//! verifies them (signature, expiry, every field, size), and so are requests and signed URLs; errors
//! have S3's codes. It shares no code with the client.
//!
//! Objects are files, or in memory. Pictures below `avatars/` can be read by anybody, as through a
//! CDN; nothing else can.

mod answer;
mod files;
mod form;
mod policy;
mod signature;

use std::{io, path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{OriginalUri, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, RANGE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use shared::clock::Clock;

use answer::S3Error;
use files::{Files, Object};
pub use signature::StoreKeys;

/// How the keys of pictures begin that anybody may read.
const PUBLIC: &str = "avatars/";
/// How the keys of objects begin that nobody refers to after a restart.
const ABANDONED: [&str; 2] = ["uploads/", "checks/"];

/// A store of one bucket. Cheap to clone.
#[derive(Clone)]
pub struct ObjectStore(Arc<Store>);

struct Store {
    bucket: String,
    keys: StoreKeys,
    clock: Clock,
    files: Files,
}

impl ObjectStore {
    /// The store of `bucket` in `folder`, or in memory. Several processes can have one folder.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub fn open(
        bucket: &str,
        keys: StoreKeys,
        clock: Clock,
        folder: Option<PathBuf>,
    ) -> io::Result<Self> {
        Ok(Self(Arc::new(Store {
            bucket: bucket.to_owned(),
            keys,
            clock,
            files: Files::open(folder)?,
        })))
    }

    /// Deletes uploads that were not confirmed, or not checked, before a start.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn delete_abandoned(&self) -> io::Result<()> {
        let mut prefixes = ABANDONED.into_iter();
        prefixes.try_for_each(|prefix| self.0.files.delete_all(prefix))
    }

    /// S3's API, the bucket in the path. Can be nested below any prefix.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// Pictures as a CDN serves them. Can be nested below any prefix.
    pub fn public_router(&self) -> Router {
        Router::new()
            .fallback(serve_picture)
            .with_state(self.clone())
    }

    /// The keys of all objects, sorted.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn keys(&self) -> io::Result<Vec<String>> {
        self.0.files.keys()
    }
}

async fn serve(
    State(ObjectStore(store)): State<ObjectStore>,
    OriginalUri(original): OriginalUri,
    request: Request,
) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    if bucket != store.bucket {
        return S3Error::NO_SUCH_BUCKET.into_response();
    }
    let answer = if key.is_empty() {
        store.post(request).await
    } else {
        let (mut head, _) = request.into_parts();
        head.uri = original;
        store.call(&head, key)
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

impl Store {
    /// A form is posted.
    async fn post(&self, request: Request) -> Result<Response, S3Error> {
        if request.method() != Method::POST {
            return Err(S3Error::METHOD_NOT_ALLOWED);
        }
        let form = form::Form::read(request).await?;
        self.keys.verify_form(&form.fields)?;
        let range = policy::check(&self.bucket, &form.fields, self.clock.now())?;
        let (key, content_type) = (form.field("key")?, form.field("content-type")?);
        let (key, content_type) = (key.to_owned(), content_type.to_owned());
        let content = form.file(range).await?;
        let object = Object::new(content_type, String::new(), content);
        let etag = object.etag.clone();
        self.files.put(&key, object)?;
        Ok((StatusCode::NO_CONTENT, [(ETAG, etag)]).into_response())
    }

    fn call(&self, head: &Parts, key: &str) -> Result<Response, S3Error> {
        self.keys.verify(head, self.clock.now())?;
        match head.method {
            Method::GET | Method::HEAD => self.get(&head.headers, key),
            Method::PUT => self.copy(&head.headers, key),
            Method::DELETE => {
                self.files.delete(key)?;
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            _ => Err(S3Error::METHOD_NOT_ALLOWED),
        }
    }

    fn get(&self, headers: &HeaderMap, key: &str) -> Result<Response, S3Error> {
        let object = self.files.get(key)?.ok_or(S3Error::NO_SUCH_KEY)?;
        let size = object.content.len();
        let last = headers.get(RANGE).and_then(|range| {
            let range = range.to_str().ok()?.strip_prefix("bytes=0-")?;
            range.parse::<usize>().ok()
        });
        let Some(last) = last else {
            return Ok(whole(object));
        };
        if size == 0 {
            return Err(S3Error::INVALID_RANGE);
        }
        let last = last.min(size - 1);
        let range = format!("bytes 0-{last}/{size}");
        let part = Object {
            content: object.content.slice(0..=last),
            ..object
        };
        let mut response = whole(part);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response.headers_mut().insert(CONTENT_RANGE, value(&range));
        Ok(response)
    }

    fn copy(&self, headers: &HeaderMap, to: &str) -> Result<Response, S3Error> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // No other way to write is needed.
        let source = text("x-amz-copy-source").ok_or(S3Error::NOT_IMPLEMENTED)?;
        let from = source.strip_prefix(&format!("/{}/", self.bucket));
        let object = self.files.get(from.ok_or(S3Error::NO_SUCH_BUCKET)?)?;
        let object = object.ok_or(S3Error::NO_SUCH_KEY)?;
        if text("x-amz-copy-source-if-match").is_some_and(|etag| etag != object.etag) {
            return Err(S3Error::PRECONDITION_FAILED);
        }
        let header = |name: HeaderName| text(name.as_str()).unwrap_or_default().to_owned();
        let etag = object.etag.clone();
        let copy = Object {
            content_type: header(CONTENT_TYPE),
            cache_control: header(CACHE_CONTROL),
            ..object
        };
        self.files.put(to, copy)?;
        let etag = etag.replace('"', "&quot;");
        let xml = format!("<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>");
        Ok(answer::xml(StatusCode::OK, &xml))
    }
}

/// As a CDN with the headers that template.yaml adds.
async fn serve_picture(
    State(ObjectStore(store)): State<ObjectStore>,
    request: Request,
) -> Response {
    let key = request.uri().path().trim_start_matches('/');
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return S3Error::METHOD_NOT_ALLOWED.into_response();
    }
    let object = key.starts_with(PUBLIC).then(|| store.files.get(key));
    match object.transpose() {
        Ok(Some(Some(object))) => {
            let mut response = whole(object);
            let nosniff = HeaderValue::from_static("nosniff");
            response
                .headers_mut()
                .insert("x-content-type-options", nosniff);
            response
        }
        Ok(_) => S3Error::NO_SUCH_KEY.into_response(),
        Err(error) => error.into_response(),
    }
}

fn whole(object: Object) -> Response {
    let mut response = Response::new(Body::from(object.content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, value(&object.content_type));
    headers.insert(ETAG, value(&object.etag));
    if !object.cache_control.is_empty() {
        headers.insert(CACHE_CONTROL, value(&object.cache_control));
    }
    response
}

/// What came as a header, or through a form whose policy names it.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
