//! The queues, and a receiver of webhooks that behaves as a test says.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use local::{MessageQueue, StoreKeys};
use shared::clock::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{settings::AWS_ENVIRONMENT, test_app::listen, within_patience};

/// The names of the queues: of webhooks, and of messages to users.
const NAME: &str = "hooks";
const MESSAGES: &str = "messages";

/// An empty queue of webhooks for the credentials of the functions under test.
pub fn queue(clock: Clock) -> MessageQueue {
    queue_named(NAME, clock)
}

/// The same for messages to users.
pub fn message_queue(clock: Clock) -> MessageQueue {
    queue_named(MESSAGES, clock)
}

fn queue_named(name: &str, clock: Clock) -> MessageQueue {
    let variable = |wanted: &str| {
        let mut variables = AWS_ENVIRONMENT.into_iter();
        let found = variables.find(|(name, _)| *name == wanted);
        found.unwrap().1
    };
    let keys = StoreKeys {
        id: variable("AWS_ACCESS_KEY_ID").to_owned(),
        secret: variable("AWS_SECRET_ACCESS_KEY").into(),
        session: Some(variable("AWS_SESSION_TOKEN").into()),
        region: variable("AWS_REGION").to_owned(),
    };
    MessageQueue::new(name, keys, clock)
}

/// Serves the queue of webhooks. Returns its URL.
pub async fn serve(queue: &MessageQueue) -> String {
    serve_named(NAME, queue).await
}

/// The same for messages to users.
pub async fn serve_messages(queue: &MessageQueue) -> String {
    serve_named(MESSAGES, queue).await
}

async fn serve_named(name: &str, queue: &MessageQueue) -> String {
    let port = listen(Router::new().nest("/sqs", queue.router())).await;
    format!("http://127.0.0.1:{port}/sqs{}", MessageQueue::path(name))
}

/// How a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// With these bytes at once; then it closes the connection.
    Answer(String),
    /// With these bytes after a pause; then it closes the connection.
    Late(String, Duration),
    /// With these bytes, one every so often.
    Drip(String, Duration),
    /// Never.
    Hang,
    /// With success up to this many requests a second; others get 429 and `Retry-After: 1`.
    PerSecond(usize),
}

impl Behaviour {
    /// An empty answer with this status.
    pub fn status(status: u16) -> Self {
        Self::Answer(format!(
            "HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n"
        ))
    }
}

/// What a receiver was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The request's line and its headers, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
    /// When it came.
    at: Instant,
    /// Whether it was one too many for [`Behaviour::PerSecond`].
    pub is_refused: bool,
}

impl Hook {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let prefix = format!("{name}: ");
        let value = lines.find_map(|line| line.strip_prefix(prefix.as_str()));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    /// `webhook-id`.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server that remembers what it was sent.
pub struct Receiver {
    /// `127.0.0.1` and its port.
    pub address: String,
    behaviour: Arc<Mutex<Behaviour>>,
    connections: Arc<AtomicUsize>,
    hooks: watch::Receiver<Vec<Hook>>,
}

impl Receiver {
    /// One that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let behaviour = Arc::new(Mutex::new(Behaviour::status(204)));
        let (sender, hooks) = watch::channel(Vec::new());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let (sender, behaves) = (Arc::new(sender), Arc::clone(&behaviour));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (sender, behaviour) = (Arc::clone(&sender), Arc::clone(&behaves));
                tokio::spawn(async move { converse(socket, &sender, &behaviour).await });
            }
        });
        Self {
            address,
            behaviour,
            connections,
            hooks,
        }
    }

    /// From now on it behaves like this.
    pub fn set(&self, behaviour: Behaviour) {
        *lock(&self.behaviour) = behaviour;
    }

    /// How often somebody connected to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What it was sent so far.
    pub fn hooks(&self) -> Vec<Hook> {
        self.hooks.borrow().clone()
    }

    /// The ids of what it was sent so far.
    pub fn ids(&self) -> Vec<String> {
        let hooks = self.hooks();
        hooks.iter().map(|hook| hook.id().to_owned()).collect()
    }

    /// What it was sent, once there are this many.
    pub async fn wait_for(&self, count: usize) -> Vec<Hook> {
        let mut hooks = self.hooks.clone();
        let what = format!("{count} requests at the receiver");
        within_patience(&what, async move {
            let found = hooks.wait_for(|hooks| hooks.len() >= count).await;
            found.unwrap().clone()
        })
        .await
    }
}

fn lock(behaviour: &Mutex<Behaviour>) -> MutexGuard<'_, Behaviour> {
    behaviour.lock().unwrap()
}

/// One request and its answer. A caller that hangs up ends it.
async fn converse(
    mut socket: TcpStream,
    hooks: &watch::Sender<Vec<Hook>>,
    behaviour: &Mutex<Behaviour>,
) {
    let Some(mut hook) = read(&mut socket).await else {
        return;
    };
    let behaviour = lock(behaviour).clone();
    let mut is_refused = false;
    hooks.send_modify(|hooks| {
        if let Behaviour::PerSecond(limit) = behaviour {
            is_refused = taken_in_the_last_second(hooks, hook.at) >= limit;
        }
        hook.is_refused = is_refused;
        hooks.push(hook);
    });
    match behaviour {
        Behaviour::PerSecond(_) => {
            let head = if is_refused {
                "HTTP/1.1 429 Too Many\r\nretry-after: 1"
            } else {
                "HTTP/1.1 204 No Content"
            };
            let bytes = format!("{head}\r\ncontent-length: 0\r\n\r\n");
            if socket.write_all(bytes.as_bytes()).await.is_ok() {
                let _ = socket.shutdown().await;
            }
        }
        Behaviour::Late(bytes, pause) => {
            tokio::time::sleep(pause).await;
            if socket.write_all(bytes.as_bytes()).await.is_ok() {
                let _ = socket.shutdown().await;
            }
        }
        Behaviour::Answer(bytes) => {
            if socket.write_all(bytes.as_bytes()).await.is_ok() {
                let _ = socket.shutdown().await;
            }
        }
        Behaviour::Drip(bytes, pause) => {
            for byte in bytes.bytes() {
                if socket.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        }
        Behaviour::Hang => {
            // Until the caller hangs up.
            let _ = socket.read(&mut [0]).await;
        }
    }
}

fn taken_in_the_last_second(hooks: &[Hook], now: Instant) -> usize {
    let is_recent = |hook: &&Hook| now.duration_since(hook.at) < Duration::from_secs(1);
    let recent = hooks.iter().rev().take_while(is_recent);
    recent.filter(|hook| !hook.is_refused).count()
}

async fn read(socket: &mut TcpStream) -> Option<Hook> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = socket.read(&mut part).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8(bytes.clone()).ok()?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let hook = Hook {
            head: lower_names(head),
            body: body.to_owned(),
            at: Instant::now(),
            is_refused: false,
        };
        let length: usize = hook.header("content-length").parse().ok()?;
        if hook.body.len() == length {
            return Some(hook);
        }
    }
}

/// Names of headers in lower case; their values stay.
fn lower_names(head: &str) -> String {
    let lines = head.lines().map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
