//! The calls.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RANGE},
};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::{
    FormOrder, ObjectError, UploadForm,
    answer::{MAX_ANSWER, ObjectStart, broken, is_copied, object_start, start_of_body},
    form::form,
    location::{bucket_url, is_china},
    sign::{SERVICE, Signer, construction},
};
use crate::{
    clock::Clock,
    config::ObjectSettings,
    dynamo::{Connections, Lent},
    random::Random,
    request::deadline,
    resilience::retry::{Retries, RetryPolicy},
    sigv4::Signers,
    telemetry::metrics,
    tls::Authorities,
};

/// Its name in metrics.
const UPSTREAM: &str = "objects";
/// An attempt, with the connection that it may need.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Attempts, and the pauses between them, in a request that has this much time left.
const OPERATION: Duration = Duration::from_secs(4);

/// A copy to be made inside of the bucket.
#[derive(Clone, Copy, Debug)]
pub struct Copy<'a> {
    /// The key of what is copied.
    pub from: &'a str,
    /// Only if it still has this etag.
    pub etag: Option<&'a str>,
    /// The key of the copy.
    pub to: &'a str,
    /// The content type of the copy.
    pub content_type: &'a str,
    /// The `Cache-Control` of the copy.
    pub cache_control: &'static str,
}

/// A bucket. Cheap to clone; connects at the first call.
#[derive(Clone)]
pub struct Objects(Arc<Bucket>);

struct Bucket {
    name: String,
    url: String,
    form_url: String,
    authorities: Authorities,
    signers: Signers,
    connections: OnceLock<Connections>,
    retries: Retries,
    clock: Clock,
}

impl Bucket {
    /// Signs with the keys of this moment.
    fn signer(&self) -> Signer {
        Signer(self.signers.current())
    }
}

impl Objects {
    /// The bucket of `settings`; `clock` dates signatures, `random` decides the pauses between
    /// attempts.
    #[must_use]
    pub fn new(settings: ObjectSettings, clock: Clock, random: Random) -> Self {
        let ObjectSettings {
            bucket,
            region,
            endpoint,
            upload_url,
            credentials,
        } = settings;
        let url = bucket_url(&bucket, &region, endpoint.as_deref());
        let authorities = if url.starts_with("http://") {
            Authorities::None
        } else if endpoint.is_some() || is_china(&region) {
            Authorities::Any
        } else {
            Authorities::Amazon
        };
        Self(Arc::new(Bucket {
            name: bucket,
            form_url: upload_url.unwrap_or_else(|| url.clone()),
            url,
            authorities,
            signers: Signers::new(SERVICE, region, credentials),
            connections: OnceLock::new(),
            retries: Retries::new(UPSTREAM, RetryPolicy::DEFAULT, random),
            clock,
        }))
    }

    /// A form with which one object can be uploaded. No call.
    ///
    /// # Errors
    /// [`ObjectError::Construction`].
    pub fn form(&self, order: FormOrder<'_>) -> Result<UploadForm, ObjectError> {
        let Bucket {
            name,
            form_url,
            clock,
            ..
        } = &*self.0;
        form(&self.0.signer(), (name, form_url), order, clock.now())
    }

    /// A URL with which anybody can read the object for this long. No call. It is a secret.
    ///
    /// # Errors
    /// [`ObjectError::Construction`].
    pub fn signed_url(&self, key: &str, lifetime: Duration) -> Result<String, ObjectError> {
        let url = self.url(key);
        self.0
            .signer()
            .signed_url(&url, lifetime, self.0.clock.now())
    }

    /// The first bytes of an object, if there is one.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn start_of(
        &self,
        key: &str,
        bytes: usize,
    ) -> Result<Option<ObjectStart>, ObjectError> {
        let range = format!("bytes=0-{}", bytes.saturating_sub(1));
        let headers = [(RANGE, header(&range)?)];
        let answer = self
            .call(&Method::GET, key, &headers, |answer| async move {
                let (head, body) = answer.into_parts();
                let first = start_of_body(body, bytes).await?;
                object_start(&head.headers, head.status, first)
                    .ok_or_else(|| ObjectError::Unavailable("an answer without its headers".into()))
            })
            .await;
        match answer {
            Err(ObjectError::NotFound) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Copies an object. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Changed`]; others of [`ObjectError`].
    pub async fn copy(&self, copy: Copy<'_>) -> Result<(), ObjectError> {
        let name = HeaderName::from_static;
        let source = format!("/{}/{}", self.0.name, copy.from);
        let mut headers = vec![
            (name("x-amz-copy-source"), header(&source)?),
            (
                name("x-amz-metadata-directive"),
                HeaderValue::from_static("REPLACE"),
            ),
            (CONTENT_TYPE, header(copy.content_type)?),
            (CACHE_CONTROL, HeaderValue::from_static(copy.cache_control)),
        ];
        if let Some(etag) = copy.etag {
            headers.push((name("x-amz-copy-source-if-match"), header(etag)?));
        }
        self.call(&Method::PUT, copy.to, &headers, |answer| async move {
            let answer = whole(answer).await?;
            is_copied(&answer)
                .then_some(())
                .ok_or_else(|| ObjectError::Unavailable("the copy failed".into()))
        })
        .await
    }

    /// Deletes an object, if there is one.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let deleted = self.call(&Method::DELETE, key, &[], |answer| async move {
            whole(answer).await.map(drop)
        });
        match deleted.await {
            Err(ObjectError::NotFound) => Ok(()),
            deleted => deleted,
        }
    }

    /// Up to three attempts within the request's deadline, measured as one call; `read` reads an answer
    /// of success.
    async fn call<T, F>(
        &self,
        method: &Method,
        key: &str,
        headers: &[(HeaderName, HeaderValue)],
        read: impl Fn(Response<Incoming>) -> F,
    ) -> Result<T, ObjectError>
    where
        F: Future<Output = Result<T, ObjectError>>,
    {
        let start = Instant::now();
        let connections = self
            .0
            .connections
            .get_or_init(|| Connections::new(self.0.authorities, self.0.clock.clone()));
        let attempt = || async {
            let lent = connections.lend();
            let exchange = async {
                let answer = self.send(&lent, method, key, headers).await?;
                read(answer).await
            };
            let answer = timeout(deadline::cap(ATTEMPT), exchange).await;
            let answer = answer.unwrap_or(Err(ObjectError::Timeout));
            match &answer {
                Err(ObjectError::Timeout | ObjectError::Unavailable(_)) => {
                    connections.failed(&lent);
                }
                _ => connections.answered(&lent),
            }
            answer
        };
        let attempts = self
            .0
            .retries
            .idempotent(attempt, ObjectError::is_transient);
        let end = start + deadline::cap(OPERATION);
        let outcome = deadline::scope(Some(end), attempts).await;
        let label = outcome.as_ref().err().and_then(ObjectError::metric_label);
        metrics::upstream(UPSTREAM, label.map(str::to_owned), start.elapsed());
        outcome
    }

    async fn send(
        &self,
        lent: &Lent,
        method: &Method,
        key: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<Incoming>, ObjectError> {
        let uri: Uri = self
            .url(key)
            .parse()
            .map_err(|error| construction(&error))?;
        let mut request = Request::new(Full::<Bytes>::default());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().extend(headers.iter().cloned());
        // Signed anew for each attempt: an instance may have been frozen in between.
        self.0.signer().sign(&mut request, self.0.clock.now())?;
        let answer = lent.client.request(request).await;
        let answer = answer.map_err(|error| broken(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            // No byte is where the first was asked for.
            StatusCode::RANGE_NOT_SATISFIABLE => Err(ObjectError::NotFound),
            status => Err(ObjectError::of(status)),
        }
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.0.url)
    }
}

/// The answer with its body.
async fn whole(answer: Response<Incoming>) -> Result<Response<Bytes>, ObjectError> {
    let (head, body) = answer.into_parts();
    let body = start_of_body(body, MAX_ANSWER).await?;
    Ok(Response::from_parts(head, body))
}

fn header(text: &str) -> Result<HeaderValue, ObjectError> {
    HeaderValue::from_str(text).map_err(|error| construction(&error))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::{AwsCredentials, AwsKeys};

    /// A bucket in a store that accepts connections and never answers.
    fn silent() -> (TcpListener, Objects) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = ObjectSettings {
            bucket: "b".into(),
            region: "local".into(),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            upload_url: None,
            credentials: AwsCredentials::new(AwsKeys {
                id: "id".into(),
                secret: "secret".into(),
                session: None,
            }),
        };
        let objects = Objects::new(settings, Clock::System, Random::System);
        (listener, objects)
    }

    /// Time stands still but for what is waited for.
    #[tokio::test(start_paused = true)]
    async fn a_silent_store_is_given_up_in_time() {
        let (_listener, objects) = silent();
        let start = Instant::now();
        assert_eq!(objects.delete("k").await, Err(ObjectError::Timeout));
        let waited = start.elapsed();
        assert!(waited > ATTEMPT && waited <= OPERATION, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_with_less_time_waits_no_longer_for_the_store() {
        let (_listener, objects) = silent();
        let start = Instant::now();
        let left = Duration::from_secs(1);
        let read = deadline::scope(Some(start + left), objects.start_of("k", 10));
        assert_eq!(read.await, Err(ObjectError::Timeout));
        assert_eq!(start.elapsed(), left);
    }
}
