//! Sends every request when it is due.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

use super::{
    arrivals::{Arrival, Kind, Mix},
    calls::{Call, Reply, Target},
    codes::{Codes, Who},
    people::{Numbers, People},
    record::{Run, Sample},
};

/// Between the logins of the people and the load, so that it meets a server at rest.
const REST: Duration = Duration::from_millis(500);

/// Drives a target with the mix.
pub async fn drive<T: Target>(name: &str, target: T, codes: Codes, mix: &Mix) -> Run {
    let arrivals = mix.arrivals();
    let people = People::log_in(&target, &codes, numbers(&arrivals)).await;
    let mut login_codes = Vec::new();
    for _ in arrivals
        .iter()
        .filter(|arrival| arrival.kind == Kind::Login)
    {
        login_codes.push(codes.draw(Who::Anybody).await);
    }
    tokio::time::sleep(REST).await;
    let (target, people) = (Arc::new(target), Arc::new(people));
    let start = Instant::now();
    let mut due = schedule(arrivals, start);
    let mut requests = JoinSet::new();
    while let Some(arrival) = due.recv().await {
        let call = call_of(arrival.kind, &people, &mut login_codes);
        let load = (target.clone(), people.clone());
        requests.spawn(send(load, arrival, call, start));
    }
    let samples = requests.join_all().await;
    Run {
        name: name.to_owned(),
        samples,
        instances: target.instances(),
        memory: Vec::new(),
    }
}

/// Enough people that a refresh rarely finds all sessions busy.
fn numbers(arrivals: &[Arrival]) -> Numbers {
    let count = |kind| {
        arrivals
            .iter()
            .filter(|arrival| arrival.kind == kind)
            .count()
    };
    Numbers {
        readers: (count(Kind::Read) / 100).clamp(8, 200),
        refreshers: (count(Kind::Refresh) / 4).clamp(16, 300),
        leavers: count(Kind::Deletion),
    }
}

/// Hands out each arrival when it is due. A thread of its own, because the timers of the runtime
/// count whole milliseconds.
fn schedule(arrivals: Vec<Arrival>, start: Instant) -> UnboundedReceiver<Arrival> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        // Nothing is ever sent here: waiting for it is a wait that ends on time.
        let (_open, never) = mpsc::channel::<()>();
        for arrival in arrivals {
            let wait = (start + arrival.at).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                let _ = never.recv_timeout(wait);
            }
            if sender.send(arrival).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The request of an arrival; `None` when nobody is left who could send it.
fn call_of(kind: Kind, people: &People, codes: &mut Vec<String>) -> Option<Call> {
    match kind {
        Kind::Login => codes.pop().map(|code| Call::login(&code)),
        Kind::Read => Some(Call::read(people.reader())),
        Kind::Refresh => people.take_refresher().map(|token| Call::refresh(&token)),
        Kind::Deletion => people.take_leaver().map(Call::deletion),
    }
}

async fn send<T: Target>(
    (target, people): (Arc<T>, Arc<People>),
    arrival: Arrival,
    call: Option<Call>,
    start: Instant,
) -> Sample {
    let late = start.elapsed().saturating_sub(arrival.at);
    let Some(call) = call else {
        return Sample::of(
            arrival,
            late,
            late,
            &Reply::none("all sessions are being refreshed"),
        );
    };
    let token = call
        .body
        .as_ref()
        .and_then(|body| body["refreshToken"].as_str());
    let token = token.map(str::to_owned);
    // A task of its own: a function that ends takes only its request with it.
    let sending = tokio::spawn(async move { target.send(call).await });
    let reply = sending
        .await
        .unwrap_or_else(|_| Reply::none("the function ended"));
    let latency = start.elapsed().saturating_sub(arrival.at);
    if let Some(old) = token {
        let new = reply
            .result
            .as_ref()
            .ok()
            .and_then(|data| data["refreshToken"].as_str());
        people.add_refresher(new.map_or(old, str::to_owned));
    }
    Sample::of(arrival, late, latency, &reply)
}
