//! An S3 server that is not ours (s3s): it verifies signatures, policies and conditions by its own
//! reading of AWS's documentation.
//!
//! Two things that s3s leaves to its operator are AWS's here: temporary credentials need their session
//! token, and a bucket policy lets anybody read what was published.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::AUTHORIZATION,
    http::request::Parts, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{
    Body, HttpResponse, S3Result,
    access::{S3Access, S3AccessContext},
    auth::SimpleAuth,
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    background,
    settings::{AWS_ENVIRONMENT, AWS_SESSION},
};

/// The server, with one bucket. Dropping it stops it.
pub struct ForeignS3 {
    port: u16,
    folder: TempDir,
    accepting: AbortHandle,
}

/// The bucket's name.
pub const BUCKET: &str = "pictures";
/// How the keys of objects begin that anybody may read.
const PUBLIC: &str = "avatars/";
/// The header, the form's field, and in lower case the parameter with the session token.
const SECURITY_TOKEN: &str = "x-amz-security-token";

impl ForeignS3 {
    /// Starts a server with an empty bucket, for the credentials of the functions under test.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        let [(_, id), (_, secret), ..] = AWS_ENVIRONMENT;
        builder.set_auth(SimpleAuth::from_single(id, secret));
        builder.set_access(PublicPictures);
        let service = builder.build();
        let listener = background().spawn(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.await.unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = background().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                let answer = service_fn(move |request| answer(service.clone(), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::spawn(connection);
            }
        });
        Self {
            port,
            folder,
            accepting: accepting.abort_handle(),
        }
    }

    /// The value of `AWS_ENDPOINT_URL_S3`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The value of `AVATAR_BASE_URL`: without a CDN in front, the bucket's own address.
    pub fn base_url(&self) -> String {
        format!("{}/{BUCKET}", self.url())
    }

    /// The keys of all objects, sorted.
    pub fn keys(&self) -> Vec<String> {
        let bucket = self.folder.path().join(BUCKET);
        let mut keys = Vec::new();
        for prefix in fs::read_dir(&bucket).unwrap().map(Result::unwrap) {
            if !prefix.file_type().unwrap().is_dir() {
                continue;
            }
            let files = fs::read_dir(prefix.path()).unwrap().map(Result::unwrap);
            let key = |file: fs::DirEntry| file.path().strip_prefix(&bucket).unwrap().to_owned();
            keys.extend(
                files
                    .map(key)
                    .map(|key: PathBuf| key.to_str().unwrap().to_owned()),
            );
        }
        keys.sort();
        keys
    }
}

impl Drop for ForeignS3 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The bucket's policy: what was published can be read by anybody, and nothing else.
struct PublicPictures;

#[async_trait::async_trait]
impl S3Access for PublicPictures {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let reads = request.s3_op().name() == "GetObject";
        let is_public = |(bucket, key): (&str, &str)| bucket == BUCKET && key.starts_with(PUBLIC);
        let object = request.s3_path().as_object();
        if request.credentials().is_some() || (reads && object.is_some_and(is_public)) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied))
    }
}

async fn answer(
    service: S3Service,
    request: Request<Incoming>,
) -> Result<HttpResponse, s3s::HttpError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|error| s3s::HttpError::new(error.into()))?;
    let body = body.to_bytes();
    if !has_token(&head, &body) {
        let mut refused = Response::new(Body::from(
            "<Error><Code>InvalidToken</Code></Error>".to_owned(),
        ));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refused);
    }
    service.call(Request::from_parts(head, body.into())).await
}

/// Whether a request that is signed brings the session token, as a part of what is signed. What is not
/// signed needs none.
fn has_token(head: &Parts, body: &Bytes) -> bool {
    if head.method == Method::POST {
        // What a form's policy has to say of it, s3s checks.
        let field = format!("name=\"{SECURITY_TOKEN}\"\r\n\r\n{AWS_SESSION}\r\n");
        return String::from_utf8_lossy(body).contains(&field);
    }
    if let Some(authorization) = head.headers.get(AUTHORIZATION) {
        let token = head.headers.get(SECURITY_TOKEN);
        return token.is_some_and(|token| token == AWS_SESSION)
            && authorization.to_str().unwrap().contains(SECURITY_TOKEN);
    }
    let query = head.uri.query().unwrap_or_default();
    let token = format!("X-Amz-Security-Token={AWS_SESSION}");
    !query.contains("X-Amz-Signature") || query.split('&').any(|member| member == token)
}
