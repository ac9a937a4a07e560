//! What each function is asked.

use e2e::{binaries::beside_this_program, events::HttpApi, runtime_api::FunctionUnderTest};
use serde_json::{Value, json};

use crate::{traffic::Codes, world::World};

/// A source of valid requests for one function.
#[derive(Debug)]
pub enum Requests {
    /// `GET /health`, of a function that answers everything the same.
    HelloWorld,
    /// `GET /health`.
    Health,
    /// `GET /api/v1/user/info` with this access token.
    UserInfo(String),
    /// `POST /api/v1/user/login` with fresh codes.
    Login(Codes),
    /// `POST /api/v1/user/refresh` with this refresh token, then with the one that came back.
    Refresh(String),
}

impl Requests {
    /// The requests of `function`; for a token, a user logs in first.
    pub async fn of(function: &str, world: &World) -> Self {
        match function {
            "user-info" => Self::UserInfo(text(&log_in(world).await, "token")),
            "token" => Self::Refresh(text(&log_in(world).await, "refreshToken")),
            "login" => Self::Login(Codes::default()),
            "health" => Self::Health,
            _ => Self::HelloWorld,
        }
    }

    /// What is measured, in words.
    pub fn title(&self) -> &'static str {
        match self {
            Self::HelloWorld => "a bare `lambda_http` function",
            Self::Health => "`GET /health`",
            Self::UserInfo(_) => "`GET /api/v1/user/info`, cached",
            Self::Login(_) => "`POST /api/v1/user/login`, known user, fresh code",
            Self::Refresh(_) => "`POST /api/v1/user/refresh`",
        }
    }

    /// The next event.
    pub fn event(&mut self) -> Vec<u8> {
        let request = match self {
            Self::HelloWorld | Self::Health => HttpApi::new("GET", "/health"),
            Self::UserInfo(token) => HttpApi::new("GET", "/api/v1/user/info").bearer(token),
            Self::Login(codes) => HttpApi::new("POST", "/api/v1/user/login").json(&codes.login()),
            Self::Refresh(token) => {
                HttpApi::new("POST", "/api/v1/user/refresh").json(&json!({"refreshToken": token}))
            }
        };
        request.event().to_string().into_bytes()
    }

    /// Takes the answer to the last event, which must be a success.
    pub fn answered(&mut self, answer: &Value) {
        let data = data(answer);
        if let Self::Refresh(token) = self {
            *token = text(&data, "refreshToken");
        }
    }
}

async fn log_in(world: &World) -> Value {
    let function =
        FunctionUnderTest::spawn(&beside_this_program("login"), world.settings.variables());
    let event = HttpApi::new("POST", "/api/v1/user/login")
        .json(&json!({"code": "reader.1"}))
        .event();
    // The next one to log in is known already; this one's user may be new.
    data(&function.invoke(&event).await)
}

fn data(answer: &Value) -> Value {
    assert_eq!(
        answer["statusCode"], 200,
        "a request of the bench fails: {answer}"
    );
    let envelope: Value =
        serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    envelope["data"].clone()
}

fn text(data: &Value, member: &str) -> String {
    data[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {data}"))
        .to_owned()
}
