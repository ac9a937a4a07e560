//! What WeChat pushes, and what it is told.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::serve;
use callback::{Handled, Handler, Reply, push::Push};
use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    world::{Api, SharedState, World},
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

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Told {
    /// Asserts that WeChat will not come again, and has nothing to tell anybody.
    #[track_caller]
    pub fn is_success(&self) {
        assert_eq!(
            (self.status, self.body.as_str()),
            (200, "success"),
            "{self:?}"
        );
        assert_eq!(self.content_type, "text/plain; charset=utf-8");
    }
}

/// A world whose shared state no other one sees: people have the same openids in each, at the same
/// time of day.
pub async fn world(state: SharedState) -> World {
    World::with(state).own_redis().start().await
}

/// Delivers a request, for an answer that is not the envelope.
pub async fn deliver(api: &Api, push: &PushRequest) -> Told {
    let (status, headers, body) = request(api, push).send_raw().await;
    let content_type = headers
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    Told {
        status,
        content_type,
        body: String::from_utf8(body).unwrap(),
    }
}

/// Delivers a request, for a failure.
pub async fn refusal(api: &Api, push: &PushRequest) -> Answer {
    request(api, push).send().await
}

fn request(api: &Api, push: &PushRequest) -> e2e::http::Request {
    let request = api.request(push.method, &format!("{PATH}?{}", push.query));
    // As proxies and API Gateway see it; the callback does not care.
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

/// Somebody else's WeChat, on the world's clock, whose consoles hold something else.
pub fn other_wechat(world: &World, change: impl Fn(&mut PushConfig)) -> Simulator {
    let clock = Clock::Manual(world.clock.clone());
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

/// A function of this project's user: what it does, and how often.
pub struct Own {
    pub api: Api,
    calls: Arc<AtomicUsize>,
}

impl Own {
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// An instance with a handler that answers with `reply` after it has failed so many times.
    pub async fn start(world: &World, reply: Option<Value>, failures: usize) -> Self {
        Self::behind(
            world,
            reply,
            failures,
            Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        )
        .await
    }

    /// An instance whose handler waits for a permit each time, and the permits.
    pub async fn waiting(world: &World) -> (Self, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(0));
        (
            Self::behind(world, None, 0, Arc::clone(&permits)).await,
            permits,
        )
    }

    /// Waits until the handler is at it for the first time.
    pub async fn is_called(&self) {
        let called = async {
            while self.calls() == 0 {
                tokio::task::yield_now().await;
            }
        };
        e2e::within_patience("a call of the handler", called).await;
    }

    async fn behind(
        world: &World,
        reply: Option<Value>,
        failures: usize,
        permits: Arc<Semaphore>,
    ) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let instance = Instance::new(
            world.env(),
            Clock::Manual(world.clock.clone()),
            Random::System,
        );
        let handler = Counting {
            reply: reply.map(own_reply),
            failures,
            permits,
            calls: Arc::clone(&calls),
        };
        let app = instance
            .app(callback::routes_with(&instance, vec![Box::new(handler)]))
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, app).into_future());
        Self {
            api: Api::new(&url),
            calls,
        }
    }
}

fn own_reply(fields: Value) -> Reply {
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
            // Long enough for others to come meanwhile.
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

/// The order in every mode and form that there is, with the mini-program's name.
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
