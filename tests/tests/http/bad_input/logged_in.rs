//! An app with a logged-in user, and the check that bad input left it unharmed.

use std::collections::BTreeMap;

use e2e::{
    dynamodb::Item,
    http::{Answer, Request},
    test_app::{SharedState, TestApp, Tokens},
};

/// A route that reads a body.
#[derive(Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// One of its fields,
    pub field: &'static str,
    /// and a value that has the right type for it.
    pub value: &'static str,
    authenticated: bool,
}

/// All routes that read a body of which one field is enough to be looked at.
pub const ROUTES: [Route; 8] = [
    Route {
        method: "POST",
        path: "/api/v1/user/login",
        field: "code",
        value: r#""ab""#,
        authenticated: false,
    },
    Route {
        method: "POST",
        path: "/api/v1/user/refresh",
        field: "refreshToken",
        value: r#""ab""#,
        authenticated: false,
    },
    Route {
        method: "POST",
        path: "/api/v1/user/logout",
        field: "all",
        value: "false",
        authenticated: true,
    },
    Route {
        method: "PATCH",
        path: "/api/v1/user/info",
        field: "nickname",
        value: r#""ab""#,
        authenticated: true,
    },
    Route {
        method: "POST",
        path: "/api/v1/user/phone",
        field: "code",
        value: r#""ab""#,
        authenticated: true,
    },
    Route {
        method: "POST",
        path: "/api/v1/wxacode",
        field: "scene",
        value: r#""a""#,
        authenticated: true,
    },
    Route {
        method: "PUT",
        path: "/api/v1/user/avatar",
        field: "key",
        value: r#""ab""#,
        authenticated: true,
    },
    Route {
        method: "PUT",
        path: "/api/v1/user/consents/privacy",
        field: "version",
        value: "1",
        authenticated: true,
    },
];

/// All routes that require an access token.
pub const AUTHENTICATED: [(&str, &str); 34] = [
    ("PUT", "/api/v1/config/home.banner"),
    ("DELETE", "/api/v1/config/home.banner"),
    ("GET", "/api/v1/user/info"),
    ("PATCH", "/api/v1/user/info"),
    ("PUT", "/api/v1/user/info"),
    ("POST", "/api/v1/user/logout"),
    ("POST", "/api/v1/user/decrypt"),
    ("POST", "/api/v1/user/phone"),
    ("POST", "/api/v1/user/phone/resolve"),
    ("POST", "/api/v1/user/message"),
    ("POST", "/api/v1/user/session-key/reset"),
    ("POST", "/api/v1/wxacode"),
    ("POST", "/api/v1/url-links"),
    ("POST", "/api/v1/user/avatar"),
    ("PUT", "/api/v1/user/avatar"),
    ("GET", "/api/v1/user/sessions"),
    ("GET", "/api/v1/user/consents"),
    ("PUT", "/api/v1/user/consents/privacy"),
    ("DELETE", "/api/v1/user/consents/privacy"),
    ("GET", "/api/v1/user/subscriptions"),
    ("PUT", "/api/v1/user/subscriptions"),
    ("GET", "/api/v1/user/activity"),
    ("GET", "/api/v1/user/export"),
    (
        "DELETE",
        "/api/v1/user/sessions/0193c0de-0000-7000-8000-00000000abcd",
    ),
    ("GET", "/api/v1/users"),
    ("POST", "/api/v1/users"),
    ("POST", "/api/v1/users/search"),
    ("GET", "/api/v1/users/0193c0de-0000-7000-8000-00000000abcd"),
    ("PUT", "/api/v1/users/0193c0de-0000-7000-8000-00000000abcd"),
    (
        "GET",
        "/api/v1/users/0193c0de-0000-7000-8000-00000000abcd/activity",
    ),
    (
        "DELETE",
        "/api/v1/users/0193c0de-0000-7000-8000-00000000abcd/sessions",
    ),
    (
        "GET",
        "/api/v1/users/0193c0de-0000-7000-8000-00000000abcd/messages",
    ),
    (
        "GET",
        "/api/v1/users/0193c0de-0000-7000-8000-00000000abcd/messages/0",
    ),
    ("POST", "/api/v1/messages"),
];

pub struct LoggedInApp {
    pub app: TestApp,
    pub tokens: Tokens,
    rows: BTreeMap<(String, String), Item>,
}

impl LoggedInApp {
    pub async fn start(state: SharedState) -> Self {
        let app = TestApp::builder(state).avatars().start().await;
        let tokens = app.log_in("alice").await;
        let rows = app.rows().await;
        Self { app, tokens, rows }
    }

    /// A request to a route, with an access token where required.
    pub fn request(&self, route: &Route) -> Request {
        let request = self.app.api.request(route.method, route.path);
        if route.authenticated {
            request.bearer(&self.tokens.access)
        } else {
            request
        }
    }

    /// Sends a body as JSON.
    pub async fn send(&self, route: &Route, body: &[u8]) -> Answer {
        self.request(route)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
    }

    /// Asserts that nothing was written, WeChat was not called, and requests are still served.
    pub async fn assert_unharmed(&self) {
        assert!(self.app.rows().await == self.rows, "rows were written");
        assert_eq!(self.app.code2session_calls(), 1, "WeChat was asked");
        self.app.api.request("GET", "/health").send().await.ok(200);
        self.app.api.info(&self.tokens.access).await.ok(200);
        self.app.log_in("bob").await;
    }
}
