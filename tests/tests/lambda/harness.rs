//! Everything that a function talks to: Redis, DynamoDB and WeChat, the last two behind proxies.

use aws_sdk_dynamodb::types::AttributeValue;
use axum::serve;
use e2e::{
    binaries,
    dynamodb::{DynamoDb, TABLE},
    events::{HttpApi, load},
    http::Answer,
    redis_server::RedisServer,
    runtime_api::FunctionUnderTest,
    settings::{APPS, OTHER_APP_ID, Settings, push_configs},
    test_app::{CODE2SESSION, Tokens},
    wire_proxy::WireProxy,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wechat_simulator::{DataKind, PushOrder, PushRequest, Simulator};

/// The deployed functions, by their packages.
pub fn functions() -> impl Iterator<Item = String> {
    local::FUNCTIONS
        .iter()
        .map(|(name, _)| name.replace('_', "-"))
}

/// Fresh Redis, DynamoDB and WeChat, and the settings that lead a function to them.
pub struct LambdaHarness {
    pub redis: RedisServer,
    pub table: DynamoDb,
    pub dynamodb_proxy: WireProxy,
    pub wechat: Simulator,
    pub wechat_proxy: WireProxy,
    pub settings: Settings,
}

impl LambdaHarness {
    pub async fn start() -> Self {
        let (redis, table) = (RedisServer::start().await, DynamoDb::start().await);
        let wechat = Simulator::new(APPS.map(|(id, secret)| (id.to_owned(), secret.to_owned())));
        wechat.configure_push(push_configs()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let wechat_port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, wechat.router()).into_future());
        let (dynamodb_proxy, wechat_proxy) = (
            WireProxy::http(table.port()).await,
            WireProxy::http(wechat_port).await,
        );
        let settings =
            Settings::new(&dynamodb_proxy.http_url(), &wechat_proxy.http_url()).redis(&redis.url());
        // A slow test machine must not count as degraded.
        let settings = settings.with("REDIS_TIMEOUT_MS", "2000");
        // For the sample events of `account`.
        let settings = settings.with("CONSENTS", "privacy:3,terms:2");
        // No sample event calls the store.
        let settings = settings
            .with("AVATAR_BUCKET", "pictures")
            .with("AVATAR_BASE_URL", "https://static.example.com");
        Self {
            redis,
            table,
            dynamodb_proxy,
            wechat,
            wechat_proxy,
            settings,
        }
    }

    /// One more instance of a function.
    pub fn function(&self, name: &str) -> FunctionUnderTest {
        FunctionUnderTest::spawn(binaries::path(name), self.settings.variables())
    }

    /// What `wx.login` gives this person.
    pub fn code(&self, person: &str) -> String {
        self.wechat.mint_code(person, None).unwrap()
    }

    /// A request as WeChat pushes it.
    pub fn push(&self, order: &PushOrder) -> PushRequest {
        self.wechat.push(order).unwrap()
    }

    /// What Redis remembers that has this text in it, and for longer than the five minutes that
    /// `docs/accounts.md` names.
    pub async fn remembered(&self, text: &str) -> Vec<String> {
        let mut connection = self.redis.connection().await;
        let all = redis::cmd("KEYS").arg("*").to_owned();
        let keys: Vec<String> = all.query_async(&mut connection).await.unwrap();
        let mut remembered = Vec::new();
        for key in keys {
            let mut both = redis::pipe();
            both.cmd("GET").arg(&key).cmd("TTL").arg(&key);
            let (value, ttl): (Vec<u8>, i64) = both.query_async(&mut connection).await.unwrap();
            let line = format!("{key} {}", String::from_utf8_lossy(&value));
            // -1: it does not expire; -2: it has meanwhile.
            let stays = ttl == -1 || ttl > 300;
            if stays && line.contains(text) {
                remembered.push(line);
            }
        }
        remembered
    }

    /// How often code2Session was called.
    pub fn code2session_calls(&self) -> u64 {
        self.wechat.calls(CODE2SESSION)
    }

    /// Logs this person in at an instance of login.
    pub async fn log_in(&self, login: &FunctionUnderTest, person: &str) -> Tokens {
        Tokens::of(&answer(login, &login_event(&self.code(person))).await)
    }

    /// Gives the user this role, directly in the table.
    pub async fn set_role(&self, user_id: &str, role: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.table.client().update_item().table_name(TABLE);
        let update = update
            .key("pk", text(&format!("USER#{user_id}")))
            .key("sk", text("PROFILE"))
            .update_expression("SET #role = :role")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#role", "role");
        let update = update.expression_attribute_values(":role", text(role));
        update.send().await.unwrap();
    }

    /// A sample event, its placeholders filled with a fresh code and the tokens of a fresh session. Those
    /// of `users` and `config`, and `url-link`, are an administrator's, about another user.
    pub async fn sample(
        &self,
        login: &FunctionUnderTest,
        function: &str,
        name: &str,
    ) -> (Value, Tokens) {
        let tokens = self.log_in(login, "alice").await;
        let (code, session_id) = (self.code("alice"), tokens.session_id());
        let is_administrators = ["users", "config"].contains(&function) || name == "url-link";
        let user_id = if is_administrators {
            self.set_role(&tokens.user_id(), "admin").await;
            self.log_in(login, "bob").await.user_id()
        } else {
            tokens.user_id()
        };
        let phone_code = self.wechat.phone_code("alice", None).unwrap();
        let data = self
            .wechat
            .encrypted_data("alice", DataKind::UserInfo, None)
            .unwrap();
        let message = self
            .wechat
            .encrypted_message("alice", r#"{"order":7}"#, None)
            .unwrap();
        let values = [
            ("phoneCode", phone_code.as_str()),
            ("encryptedData", &data.encrypted_data),
            ("iv", &data.iv),
            ("message", &message.encrypted_data),
            ("messageVersion", &message.version.to_string()),
            ("code", code.as_str()),
            ("accessToken", &tokens.access),
            ("refreshToken", &tokens.refresh),
            ("sessionId", &session_id),
            ("userId", &user_id),
        ];
        (load(function, name, &values), tokens)
    }
}

/// The sample event of a push, its placeholders filled from a message that WeChat signs now.
pub fn push_sample(harness: &LambdaHarness, name: &str) -> Value {
    let app_id = name.starts_with("plain").then(|| OTHER_APP_ID.to_owned());
    let push = harness.push(&PushOrder {
        app_id,
        ..debug_demo()
    });
    let body: Value = serde_json::from_str(&push.body).unwrap();
    let parameters = push
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| match name {
            "msg_signature" => ("msgSignature", value),
            name => (name, value),
        });
    let values: Vec<_> = parameters
        .chain([("encrypt", body["Encrypt"].as_str().unwrap_or_default())])
        .collect();
    load("callback", name, &values)
}

/// What the console's debugging tool sends.
pub fn debug_demo() -> PushOrder {
    let fields = [("debug_str".to_owned(), "hello world".into())]
        .into_iter()
        .collect();
    PushOrder {
        user: "alice".into(),
        event: Some("debug_demo".into()),
        fields,
        ..PushOrder::default()
    }
}

/// Invokes the function and reads the answer as an envelope.
pub async fn answer(function: &FunctionUnderTest, event: &Value) -> Answer {
    Answer::from_lambda(&function.invoke(event).await)
}

pub fn login_event(code: &str) -> Value {
    HttpApi::new("POST", "/api/v1/user/login")
        .json(&json!({"code": code}))
        .event()
}

pub fn refresh_event(refresh_token: &str) -> Value {
    HttpApi::new("POST", "/api/v1/user/refresh")
        .json(&json!({"refreshToken": refresh_token}))
        .event()
}

pub fn logout_event(tokens: &Tokens) -> Value {
    HttpApi::new("POST", "/api/v1/user/logout")
        .bearer(&tokens.access)
        .event()
}

pub fn info_event(tokens: &Tokens) -> Value {
    HttpApi::new("GET", "/api/v1/user/info")
        .bearer(&tokens.access)
        .event()
}

/// The same event under another request id.
pub fn with_id(mut event: Value, request_id: &str) -> Value {
    event["requestContext"]["requestId"] = request_id.into();
    event
}

/// The log line of the request with this id, which may still be on its way.
pub async fn log_line(function: &FunctionUnderTest, request_id: &str) -> Value {
    let start = format!(r#""message":"request","request_id":"{request_id}""#);
    serde_json::from_str(&function.process().wait_for_line(&start).await).unwrap()
}
