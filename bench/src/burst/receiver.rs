//! A receiver of webhooks that takes a limited number of requests a second.

use std::{
    collections::HashSet,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

/// A secret of nothing else.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The first one of its event that was taken.
    Delivered,
    /// One more of an event that was taken before.
    Repeated,
    /// Answered 429.
    Refused,
}

/// Listens until the program ends.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug)]
struct Book {
    per_second: u32,
    start: Instant,
    /// The second that is counted, and how many were taken in it.
    second: (u64, u32),
    known: HashSet<String>,
    calls: Vec<(Duration, Outcome)>,
}

impl Receiver {
    /// On a thread of its own, so that it is asked and not waited for.
    pub fn start(per_second: u32) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new(Mutex::new(Book {
            per_second,
            start: Instant::now(),
            second: (0, 0),
            known: HashSet::new(),
            calls: Vec::new(),
        }));
        let router = Router::new()
            .route("/", post(take))
            .with_state(book.clone());
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await
            })
        });
        Self { address, book }
    }

    /// `WEBHOOKS` with this receiver alone.
    pub fn webhooks(&self) -> String {
        let url = format!("http://{}/", self.address);
        json!([{"id": "bench", "url": url, "secrets": [SECRET], "events": ["wechat.*"]}])
            .to_string()
    }

    /// Times count from here.
    pub fn count_from(&self, start: Instant) {
        self.lock().start = start;
    }

    /// How many events were delivered.
    pub fn delivered(&self) -> usize {
        self.lock().known.len()
    }

    /// All requests so far.
    pub fn calls(&self) -> Vec<(Duration, Outcome)> {
        self.lock().calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

impl Book {
    fn note(&mut self, id: &str, at: Duration) -> Outcome {
        let second = at.as_secs();
        if self.second.0 != second {
            self.second = (second, 0);
        }
        let outcome = if self.second.1 >= self.per_second {
            Outcome::Refused
        } else {
            self.second.1 += 1;
            if self.known.insert(id.to_owned()) {
                Outcome::Delivered
            } else {
                Outcome::Repeated
            }
        };
        self.calls.push((at, outcome));
        outcome
    }
}

async fn take(State(book): State<Arc<Mutex<Book>>>, headers: HeaderMap) -> Response {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let Some(id) = id else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut book = book.lock().unwrap();
    let at = book.start.elapsed();
    match book.note(id, at) {
        Outcome::Delivered | Outcome::Repeated => StatusCode::NO_CONTENT.into_response(),
        Outcome::Refused => {
            let header = [("retry-after", "1")];
            (StatusCode::TOO_MANY_REQUESTS, header).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_so_many_and_the_next_one_for_as_many_again() {
        let receiver = Receiver::start(2);
        let note = |id, ms| receiver.lock().note(id, Duration::from_millis(ms));
        assert_eq!(note("a", 0), Outcome::Delivered);
        assert_eq!(note("a", 10), Outcome::Repeated);
        assert_eq!(note("b", 999), Outcome::Refused);
        assert_eq!(note("b", 1000), Outcome::Delivered);
        assert_eq!(receiver.delivered(), 2);
    }
}
