//! The requests to each function.

pub mod accounts;

use std::path::Path;

use e2e::{events::HttpApi, runtime_api::FunctionUnderTest, settings::Settings};
use serde_json::{Value, json};

use crate::traffic::Codes;

/// A source of valid requests for one function.
#[derive(Debug)]
pub enum Requests {
    /// `GET /health`, of a function with a constant response.
    HelloWorld,
    /// `GET /health`.
    Health,
    /// `GET /api/v1/user/info` with this access token.
    UserInfo(String),
    /// `POST /api/v1/user/login` with fresh codes.
    Login(Codes),
    /// `POST /api/v1/user/refresh` with this refresh token, then with the one of the last response.
    Refresh(String),
    /// `GET /api/v1/config/{key}`.
    Config,
    /// `GET /api/v1/users` of many users, with the token of an administrator.
    UserList(String),
    /// `PUT /api/v1/users/{id}`, each for the version that the last one left.
    UserChange(accounts::Change),
    /// `DELETE /api/v1/user` with each of these access tokens of different users, once.
    Deletion(Vec<String>),
    /// `POST /api/v1/user/login` with each of these codes, once: each merges two accounts.
    Merge(Vec<String>),
}

impl Requests {
    /// The requests to `function`, after a login through the binary `login` if they need a token;
    /// logins are those of this many users in turn.
    pub async fn of(function: &str, login: &Path, settings: &Settings, users: u64) -> Self {
        match function {
            "user-info" => Self::UserInfo(text(&log_in(login, settings, "reader").await, "token")),
            "token" => Self::Refresh(text(
                &log_in(login, settings, "reader").await,
                "refreshToken",
            )),
            "login" => Self::Login(Codes::of(users)),
            "health" => Self::Health,
            _ => Self::HelloWorld,
        }
    }

    /// A description, for the table.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::HelloWorld => "a bare `lambda_http` function",
            Self::Health => "`GET /health`",
            Self::UserInfo(_) => "`GET /api/v1/user/info`, cached",
            Self::Login(_) => "`POST /api/v1/user/login`, known user, fresh code",
            Self::Refresh(_) => "`POST /api/v1/user/refresh`",
            Self::Config => "`GET /api/v1/config/{key}`, cached",
            Self::UserList(_) => "`GET /api/v1/users?limit=100`, of 10,000 users",
            Self::UserChange(_) => "`PUT /api/v1/users/{id}`",
            Self::Merge(_) => {
                "`POST /api/v1/user/login` that merges two accounts, with one session and one identity each"
            }
            Self::Deletion(_) => "`DELETE /api/v1/user`, with one session and one identity",
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
            Self::Config => HttpApi::new("GET", accounts::CONFIG),
            Self::UserList(token) => HttpApi::new("GET", accounts::USER_LIST).bearer(token),
            Self::UserChange(change) => change.request(),
            Self::Merge(codes) => {
                let code = codes.pop().expect("accounts that were not merged yet");
                HttpApi::new("POST", "/api/v1/user/login").json(&json!({"code": code}))
            }
            Self::Deletion(tokens) => {
                let token = tokens.pop().expect("a user who was not deleted yet");
                HttpApi::new("DELETE", "/api/v1/user").bearer(&token)
            }
        };
        request.event().to_string().into_bytes()
    }

    /// Reads the response to the last event, which must be a success.
    ///
    /// # Panics
    /// If it is none.
    pub fn read_response(&mut self, response: &Value) {
        let data = data(response);
        match self {
            Self::Refresh(token) => *token = text(&data, "refreshToken"),
            Self::UserChange(change) => change.read(&data),
            Self::UserList(_) => assert_eq!(data["users"].as_array().map(Vec::len), Some(100)),
            Self::Deletion(_) => assert_eq!(data["status"], "deleted"),
            Self::Merge(_) => assert_eq!(data["isNewUser"], false),
            Self::HelloWorld | Self::Health | Self::UserInfo(_) | Self::Login(_) | Self::Config => {
            }
        }
    }
}

async fn log_in(login: &Path, settings: &Settings, person: &str) -> Value {
    let function = FunctionUnderTest::spawn(login, settings.variables());
    let event = HttpApi::new("POST", "/api/v1/user/login")
        .json(&json!({"code": format!("{person}.1")}))
        .event();
    // This login may create the user.
    data(&function.invoke(&event).await)
}

fn data(response: &Value) -> Value {
    assert_eq!(
        response["statusCode"], 200,
        "a request of the bench failed: {response}"
    );
    let envelope: Value =
        serde_json::from_str(response["body"].as_str().expect("a body")).expect("JSON");
    envelope["data"].clone()
}

fn text(data: &Value, member: &str) -> String {
    data[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {data}"))
        .to_owned()
}
