//! Pushes from WeChat, and instances that handle them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::serve;
use callback::{Handled, Handler, PushSecrets, Reply, Stamp, push::Push, push_key};
use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{Api, TestApp},
};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::{Value, json};
use shared::{
    api::{ApiError, Reason},
    clock::Clock,
    instance::Instance,
    random::Random,
};
use tokio::{net::TcpListener, sync::Semaphore};
use wechat_simulator::{PushConfig, PushFormat, PushMode, PushOrder, PushRequest, Simulator};

pub const PATH: &str = "/api/v1/wechat/callback";

/// An answer of the callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackResponse {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl CallbackResponse {
    /// Asserts the answer after which WeChat neither retries nor replies to the user.
    #[track_caller]
    pub fn assert_success(&self) {
        assert_eq!(
            (self.status, self.body.as_str()),
            (200, "success"),
            "{self:?}"
        );
        assert_eq!(self.content_type, "text/plain; charset=utf-8");
    }
}

/// Delivers a request and returns an answer outside the envelope.
pub async fn deliver(api: &Api, push: &PushRequest) -> CallbackResponse {
    let (status, headers, body) = request(api, push).send_raw().await;
    let content_type = headers
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    CallbackResponse {
        status,
        content_type,
        body: String::from_utf8(body).unwrap(),
    }
}

/// Delivers a request and returns a failure.
pub async fn refusal(api: &Api, push: &PushRequest) -> Answer {
    request(api, push).send().await
}

fn request(api: &Api, push: &PushRequest) -> e2e::http::Request {
    let request = api.request(push.method, &format!("{PATH}?{}", push.query));
    // The callback ignores the content type.
    let request = if push.content_type.is_empty() {
        request
    } else {
        request.header("content-type", push.content_type)
    };
    request.body(push.body.as_bytes())
}

/// An event about alice, in the secure mode.
pub fn event(name: &str, fields: Value) -> PushOrder {
    let Value::Object(fields) = fields else {
        panic!("no object: {fields}")
    };
    PushOrder {
        user: "alice".into(),
        event: Some(name.into()),
        fields,
        ..PushOrder::default()
    }
}

/// A text of alice's, in the secure mode.
pub fn text(content: &str) -> PushOrder {
    let fields = [("Content".to_owned(), content.into())]
        .into_iter()
        .collect();
    PushOrder {
        user: "alice".into(),
        message: Some("text".into()),
        fields,
        ..PushOrder::default()
    }
}

/// The same to the mini-program that has the plain mode.
pub fn plain(order: PushOrder) -> PushOrder {
    PushOrder {
        app_id: Some(OTHER_APP_ID.into()),
        mode: Some(PushMode::Plain),
        ..order
    }
}

pub fn xml(order: PushOrder) -> PushOrder {
    PushOrder {
        format: PushFormat::Xml,
        ..order
    }
}

/// Another WeChat on the app's clock, with other console settings.
pub fn other_wechat(app: &TestApp, change: impl Fn(&mut PushConfig)) -> Simulator {
    let clock = Clock::Manual(app.clock.clone());
    let now = move || {
        std::time::UNIX_EPOCH
            + std::time::Duration::from_millis(clock.now().as_millisecond().try_into().unwrap())
    };
    let mut configs = e2e::settings::push_configs();
    configs.iter_mut().for_each(change);
    let apps = configs
        .iter()
        .map(|config| (config.app_id.clone(), "secret".to_owned()));
    let wechat = Simulator::with_clock(apps, Arc::new(now), None);
    wechat.configure_push(configs.clone()).unwrap();
    wechat
}

/// An instance with a custom handler, and the number of its calls.
pub struct CustomHandler {
    pub api: Api,
    calls: Arc<AtomicUsize>,
}

impl CustomHandler {
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// An instance whose handler fails this many times and then answers with `reply`.
    pub async fn start(app: &TestApp, reply: Option<Value>, failures: usize) -> Self {
        Self::behind(
            app,
            reply,
            failures,
            Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        )
        .await
    }

    /// An instance whose handler waits for a permit on each call, and the permits.
    pub async fn waiting(app: &TestApp) -> (Self, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(0));
        (
            Self::behind(app, None, 0, Arc::clone(&permits)).await,
            permits,
        )
    }

    /// Waits for the handler's first call.
    pub async fn wait_for_call(&self) {
        let called = async {
            while self.calls() == 0 {
                tokio::task::yield_now().await;
            }
        };
        e2e::within_patience("a call of the handler", called).await;
    }

    async fn behind(
        app: &TestApp,
        reply: Option<Value>,
        failures: usize,
        permits: Arc<Semaphore>,
    ) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
        let handler = Counting {
            reply: reply.map(reply_from),
            failures,
            permits,
            calls: Arc::clone(&calls),
        };
        let router = instance
            .app(callback::routes_with(&instance, vec![Box::new(handler)]))
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, router).into_future());
        Self {
            api: Api::new(&url),
            calls,
        }
    }
}

fn reply_from(fields: Value) -> Reply {
    let Value::Object(fields) = fields else {
        panic!("no object: {fields}")
    };
    Reply(fields)
}

struct Counting {
    reply: Option<Reply>,
    failures: usize,
    permits: Arc<Semaphore>,
    calls: Arc<AtomicUsize>,
}

impl Handler for Counting {
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled> {
        async move {
            assert!([APP_ID, OTHER_APP_ID].contains(&push.app_id.as_str()));
            let before = self.calls.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            // Long enough for concurrent deliveries.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if before < self.failures {
                Err(ApiError::new(Reason::Unavailable))
            } else {
                Ok(self.reply.clone())
            }
        }
        .boxed()
    }
}

/// The order in every mode and format, with a description.
pub fn every_way(order: &PushOrder) -> Vec<(&'static str, PushOrder)> {
    let secure = order.clone();
    let compatible = PushOrder {
        mode: Some(PushMode::Compatible),
        ..order.clone()
    };
    vec![
        ("secure JSON", secure.clone()),
        ("secure XML", xml(secure)),
        ("compatible JSON", compatible.clone()),
        ("compatible XML", xml(compatible)),
        ("plain JSON", plain(order.clone())),
        ("plain XML", xml(plain(order.clone()))),
    ]
}

pub fn debug_demo() -> PushOrder {
    event("debug_demo", json!({"debug_str": "hello world"}))
}

/// A rightly signed request to the mini-program that has the plain mode, with any body.
pub fn plain_request(app: &TestApp, body: &str) -> PushRequest {
    let signed = app.wechat.push(&plain(debug_demo())).unwrap();
    PushRequest {
        body: body.to_owned(),
        ..signed
    }
}

/// A request to the mini-program that has the secure mode, with any message; `body` puts the
/// ciphertext into a body.
pub fn secure_request(app: &TestApp, message: &str, body: impl Fn(&str) -> String) -> PushRequest {
    secure_request_for(app, APP_ID, message, body)
}

/// The same, encrypted for this receiver.
pub fn secure_request_for(
    app: &TestApp,
    receiver: &str,
    message: &str,
    body: impl Fn(&str) -> String,
) -> PushRequest {
    let [config, _] = e2e::settings::push_configs();
    let key = config.encoding_aes_key.as_deref().and_then(push_key);
    let secrets = PushSecrets::new(config.token.into(), key);
    let timestamp = Clock::Manual(app.clock.clone()).now_seconds().to_string();
    let stamp = Stamp {
        timestamp: &timestamp,
        nonce: "7",
    };
    let sealed = secrets.seal(message, receiver, stamp, [7; 16]).unwrap();
    PushRequest {
        method: "POST",
        query: format!(
            "timestamp={timestamp}&nonce=7&encrypt_type=aes&msg_signature={}",
            sealed.signature
        ),
        content_type: "",
        body: body(&sealed.encrypt),
    }
}

/// A body in the secure mode.
pub fn only_encrypt(ciphertext: &str) -> String {
    json!({"ToUserName": "gh_1", "Encrypt": ciphertext}).to_string()
}
