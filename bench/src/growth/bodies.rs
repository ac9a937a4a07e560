//! Body sizes up to the limit of 64 KiB: a refresh whose JSON is padded with blanks.

use std::iter;

use e2e::{binaries, events::HttpApi, runtime_api::Reply};
use serde_json::{Value, json};

use super::{Latency, Scale, mib, panel, spawn};
use crate::{plot::Plot, requests::Requests, services::Services, stats::Samples};

/// In KiB, up to the limit; 0 is the request as it is.
const STEPS: [usize; 6] = [0, 1, 4, 16, 32, 64];

/// Refreshes with larger and larger bodies.
pub async fn measure(scale: Scale) -> Plot {
    let services = Services::start().await;
    let login = binaries::function("login");
    let requests = Requests::of("token", &login, &services.settings, 1).await;
    let Requests::Refresh(mut refresh_token) = requests else {
        panic!("no refresh token");
    };
    let token = spawn("token", &services.settings);
    let (mut latency, mut memory) = (Latency::default(), Vec::new());
    for kib in STEPS {
        let mut samples = Samples::default();
        for round in 0..scale.samples + 5 {
            let event = padded(&refresh_token, kib * 1024);
            let answer = token.measure(event.to_string().as_bytes()).await;
            if round >= 5 {
                samples.push(answer.answered - answer.handed_over);
            }
            refresh_token = next_token(&answer.reply);
        }
        latency.push(&samples);
        memory.push(mib(token.rss_bytes()));
    }
    Plot {
        along: "body, KiB",
        steps: STEPS.map(|kib| kib.to_string()).to_vec(),
        panels: vec![
            latency.panel("POST /api/v1/user/refresh, ms"),
            panel("memory of the function, MiB", memory),
        ],
    }
}

/// The event of a refresh with a body of at least this many bytes.
fn padded(refresh_token: &str, size: usize) -> Value {
    let body = json!({ "refreshToken": refresh_token });
    let mut event = HttpApi::new("POST", "/api/v1/user/refresh")
        .json(&body)
        .event();
    let mut text = body.to_string();
    let blanks = size.saturating_sub(text.len());
    text.extend(iter::repeat_n(' ', blanks));
    event["body"] = text.into();
    event
}

fn next_token(reply: &Reply) -> String {
    let Reply::Response(response) = reply else {
        panic!("a refresh failed: {reply:?}");
    };
    let response: Value = serde_json::from_slice(response).unwrap();
    let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
    let token = body["data"]["refreshToken"].as_str();
    token.unwrap_or_else(|| panic!("{response}")).to_owned()
}
