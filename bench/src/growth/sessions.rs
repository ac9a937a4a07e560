//! Sessions of one user: the login that adds one, and their list.

use e2e::{events::HttpApi, runtime_api::Reply};
use serde_json::Value;

use super::{Latency, Scale, latencies, mib, spawn};
use crate::{
    functions::invoke,
    plot::{Panel, Plot},
    requests::Requests,
    services::Services,
    stats::Samples,
    traffic::Codes,
};

/// The sessions that each user has after a login that is measured.
const STEPS: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];

/// From the first session to the largest cap.
pub async fn measure(scale: Scale) -> Plot {
    let services = Services::start().await;
    let settings = services.settings.clone().with("MAX_SESSIONS", "100");
    let (login, token) = (spawn("login", &settings), spawn("token", &settings));
    let users = u64::try_from(scale.samples / 10).unwrap();
    let mut requests = Requests::Login(Codes::of(users));
    // The first request of a process is slower; this is another user's.
    latencies(&login, &mut Requests::Login(Codes::of(1)), 1).await;
    let (mut logins, mut lists, mut memory) = (Latency::default(), Latency::default(), Vec::new());
    for sessions in 1..=STEPS[STEPS.len() - 1] {
        let (mut samples, mut last) = (Samples::default(), Value::Null);
        for _ in 0..users {
            let answer = invoke(&login, &mut requests).await;
            samples.push(answer.answered - answer.handed_over);
            if let Reply::Response(body) = answer.reply {
                last = serde_json::from_slice(&body).expect("JSON");
            }
        }
        if STEPS.contains(&sessions) {
            logins.push(&samples);
            lists.push(&list(&token, &last, scale.samples).await);
            memory.push((mib(login.rss_bytes()), mib(token.rss_bytes())));
        }
    }
    let (of_login, of_token) = memory.into_iter().unzip();
    Plot {
        along: "sessions of the user",
        steps: STEPS.map(|sessions| sessions.to_string()).to_vec(),
        panels: vec![
            logins.panel("login, ms"),
            lists.panel("list of the sessions, ms"),
            Panel {
                title: "memory of the function, MiB",
                series: vec![("login", of_login), ("token", of_token)],
            },
        ],
    }
}

/// The latencies of `GET /api/v1/user/sessions` of the user who got this response to a login.
async fn list(token: &e2e::runtime_api::FunctionUnderTest, login: &Value, count: usize) -> Samples {
    let body: Value = serde_json::from_str(login["body"].as_str().unwrap()).unwrap();
    let bearer = body["data"]["token"].as_str().unwrap();
    let event = HttpApi::new("GET", "/api/v1/user/sessions").bearer(bearer);
    let event = event.event().to_string();
    let mut samples = Samples::default();
    // The first ones fill the caches.
    for round in 0..count + 5 {
        let answer = token.measure(event.as_bytes()).await;
        let Reply::Response(body) = answer.reply else {
            panic!("the list failed");
        };
        assert!(String::from_utf8_lossy(&body).contains(r#""statusCode":200"#));
        if round >= 5 {
            samples.push(answer.answered - answer.handed_over);
        }
    }
    samples
}
