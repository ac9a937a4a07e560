//! A backend with a signed-in user, and the promise that nothing has harmed it.

use std::collections::BTreeMap;

use e2e::{
    dynamodb::Item,
    http::{Answer, Request},
    world::{SharedState, Tokens, World},
};

/// A route that reads a body.
#[derive(Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// One of the fields that it knows,
    pub field: &'static str,
    /// and a value that has the right type for it.
    pub value: &'static str,
    signed_in: bool,
}

/// All routes that read a body.
pub const ROUTES: [Route; 5] = [
    Route {
        method: "POST",
        path: "/api/v1/user/login",
        field: "code",
        value: r#""ab""#,
        signed_in: false,
    },
    Route {
        method: "POST",
        path: "/api/v1/user/refresh",
        field: "refreshToken",
        value: r#""ab""#,
        signed_in: false,
    },
    Route {
        method: "POST",
        path: "/api/v1/user/logout",
        field: "all",
        value: "false",
        signed_in: true,
    },
    Route {
        method: "PATCH",
        path: "/api/v1/user/info",
        field: "nickname",
        value: r#""ab""#,
        signed_in: true,
    },
    Route {
        method: "POST",
        path: "/api/v1/user/phone",
        field: "code",
        value: r#""ab""#,
        signed_in: true,
    },
];

/// All routes that want an access token.
pub const SIGNED_IN: [(&str, &str); 10] = [
    ("GET", "/api/v1/user/info"),
    ("PATCH", "/api/v1/user/info"),
    ("PUT", "/api/v1/user/info"),
    ("POST", "/api/v1/user/logout"),
    ("POST", "/api/v1/user/decrypt"),
    ("POST", "/api/v1/user/phone"),
    ("POST", "/api/v1/user/message"),
    ("POST", "/api/v1/user/session-key/reset"),
    ("GET", "/api/v1/user/sessions"),
    (
        "DELETE",
        "/api/v1/user/sessions/0193c0de-0000-7000-8000-00000000abcd",
    ),
];

pub struct Scene {
    pub world: World,
    pub tokens: Tokens,
    rows: BTreeMap<(String, String), Item>,
}

impl Scene {
    pub async fn start(state: SharedState) -> Self {
        let world = World::start(state).await;
        let tokens = world.log_in("alice").await;
        let rows = world.rows().await;
        Self {
            world,
            tokens,
            rows,
        }
    }

    /// A request to a route, with an access token where it wants one.
    pub fn request(&self, route: &Route) -> Request {
        let request = self.world.api.request(route.method, route.path);
        if route.signed_in {
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

    /// Nothing was written, WeChat was not asked, and everybody is still served.
    pub async fn is_unharmed(&self) {
        assert!(self.world.rows().await == self.rows, "rows were written");
        assert_eq!(self.world.code_calls(), 1, "WeChat was asked");
        self.world
            .api
            .request("GET", "/health")
            .send()
            .await
            .ok(200);
        self.world.api.info(&self.tokens.access).await.ok(200);
        self.world.log_in("bob").await;
    }
}
