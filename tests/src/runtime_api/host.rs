//! The host's side: hands out invocations, takes their answers.
//!
//! Blocking sockets and one thread per connection, because the bench measures through it: the only
//! work between the two time stamps of an [`Answer`] is the function's.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{oneshot, watch};

use crate::http1::{Message, response};

const PREFIX: &str = "/2018-06-01/runtime/";
/// The time that an invocation gets by default.
pub(super) const INVOCATION_DEADLINE: Duration = Duration::from_secs(30);

/// How a function replied to an invocation.
#[derive(Debug)]
pub enum Reply {
    /// Posted to `/response`.
    Response(Vec<u8>),
    /// Posted to `/error`.
    Error(Vec<u8>),
}

/// A reply with the moments when the function started and finished working on it.
#[derive(Debug)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// Just before the event was written to the function's socket.
    pub handed_over: Instant,
    /// When the reply had been read.
    pub answered: Instant,
}

/// What the function has shown so far.
#[derive(Debug, Default)]
pub(super) struct Milestones {
    /// When it first asked for an event.
    pub first_next: Option<Instant>,
    /// What it posted to `/init/error`.
    pub init_error: Option<String>,
}

/// A Runtime API for one function on a loopback port. Dropping it closes the port.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    milestones: watch::Sender<Milestones>,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Invocation>,
    running: HashMap<String, (oneshot::Sender<Answer>, Instant)>,
    count: u64,
    closed: bool,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    /// The whole answer to `/next`, made beforehand.
    bytes: Vec<u8>,
    reply_to: oneshot::Sender<Answer>,
}

impl RuntimeApi {
    /// Listens on an ephemeral loopback port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            desk: Mutex::default(),
            changed: Condvar::new(),
            milestones: watch::Sender::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// `host:port`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues an event; the receiver gets the answer. A dropped receiver loses only the answer.
    pub fn enqueue(&self, event: &[u8]) -> oneshot::Receiver<Answer> {
        self.enqueue_within(event, INVOCATION_DEADLINE)
    }

    /// The same with this much time until the invocation's deadline.
    pub fn enqueue_within(&self, event: &[u8], time: Duration) -> oneshot::Receiver<Answer> {
        let (reply_to, receiver) = oneshot::channel();
        let mut desk = self.shared.lock();
        desk.count += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", desk.count);
        let bytes = next_response(&id, event, time);
        desk.waiting.push_back(Invocation {
            id,
            bytes,
            reply_to,
        });
        drop(desk);
        self.shared.changed.notify_one();
        receiver
    }

    pub(super) fn milestones(&self) -> watch::Receiver<Milestones> {
        self.shared.milestones.subscribe()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// Blocks until there is an event; `None` when the host closes.
    fn next(&self) -> Option<Vec<u8>> {
        self.milestones.send_if_modified(|milestones| {
            let first = milestones.first_next.is_none();
            milestones.first_next.get_or_insert_with(Instant::now);
            first
        });
        let desk = self.lock();
        let mut desk = self
            .changed
            .wait_while(desk, |desk| desk.waiting.is_empty() && !desk.closed)
            .unwrap();
        let invocation = desk.waiting.pop_front()?;
        desk.running
            .insert(invocation.id, (invocation.reply_to, Instant::now()));
        Some(invocation.bytes)
    }

    /// Whether `id` was running.
    fn finish(&self, id: &str, reply: Reply, answered: Instant) -> bool {
        let Some((reply_to, handed_over)) = self.lock().running.remove(id) else {
            return false;
        };
        let _ = reply_to.send(Answer {
            reply,
            handed_over,
            answered,
        });
        true
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.lock().closed {
            return;
        }
        let shared = shared.clone();
        // A connection breaks when its function ended: not an error.
        std::thread::spawn(move || stream.and_then(|stream| serve(&stream, &shared)));
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let mut output = stream;
    while let Some(request) = Message::read(&mut input)? {
        let read_at = Instant::now();
        let Some(bytes) = dispatch(&request, read_at, shared) else {
            break;
        };
        output.write_all(&bytes)?;
    }
    Ok(())
}

/// The bytes to answer with; `None` when the host closes.
fn dispatch(request: &Message, read_at: Instant, shared: &Shared) -> Option<Vec<u8>> {
    let (method, path) = request.route();
    let route: Vec<&str> = path
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .split('/')
        .collect();
    let known = match (method, route.as_slice()) {
        ("GET", ["invocation", "next"]) => return shared.next(),
        ("POST", ["invocation", id, "response"]) => {
            shared.finish(id, Reply::Response(request.body.clone()), read_at)
        }
        ("POST", ["invocation", id, "error"]) => {
            shared.finish(id, Reply::Error(request.body.clone()), read_at)
        }
        ("POST", ["init", "error"]) => {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            shared
                .milestones
                .send_modify(|milestones| milestones.init_error = Some(text));
            true
        }
        _ => false,
    };
    let json = [("content-type", "application/json")];
    Some(if known {
        response("202 Accepted", &json, br#"{"status":"OK"}"#)
    } else {
        response(
            "404 Not Found",
            &json,
            br#"{"errorType":"NotFound","errorMessage":"no such route or invocation"}"#,
        )
    })
}

fn next_response(id: &str, event: &[u8], time: Duration) -> Vec<u8> {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    response(
        "200 OK",
        &[
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", id),
            (
                "lambda-runtime-deadline-ms",
                &deadline.as_millis().to_string(),
            ),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:123456789012:function:under-test",
            ),
            (
                "lambda-runtime-trace-id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
            ),
        ],
        event,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::within_patience;

    fn call(api: &RuntimeApi, method: &str, path: &str, body: &str) -> Message {
        let mut stream = TcpStream::connect(api.address()).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {PREFIX}{path} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        Message::read(&mut BufReader::new(stream)).unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_event_is_handed_out_and_its_answer_comes_back() {
        let api = RuntimeApi::start();
        let answer = api.enqueue(b"{}");
        let next = call(&api, "GET", "invocation/next", "");
        assert_eq!(next.body, b"{}");
        let id = next.header("lambda-runtime-aws-request-id").unwrap();
        for header in ["deadline-ms", "invoked-function-arn", "trace-id"] {
            assert!(
                next.header(&format!("lambda-runtime-{header}")).is_some(),
                "{header}"
            );
        }
        let accepted = call(&api, "POST", &format!("invocation/{id}/response"), "42");
        assert_eq!(accepted.start_line, "HTTP/1.1 202 Accepted");
        let answer = within_patience("the answer", answer).await.unwrap();
        assert!(matches!(answer.reply, Reply::Response(body) if body == b"42"));
        assert!(answer.handed_over < answer.answered);
    }

    #[test]
    fn an_answer_to_an_unknown_invocation_is_refused() {
        let refused = call(
            &RuntimeApi::start(),
            "POST",
            "invocation/none/response",
            "42",
        );
        assert_eq!(refused.start_line, "HTTP/1.1 404 Not Found");
    }

    #[test]
    fn an_init_error_and_the_first_next_are_recorded() {
        let api = RuntimeApi::start();
        call(&api, "POST", "init/error", "refused");
        assert_eq!(
            api.milestones().borrow().init_error.as_deref(),
            Some("refused")
        );
        assert!(api.milestones().borrow().first_next.is_none());
        drop(api.enqueue(b"{}"));
        call(&api, "GET", "invocation/next", "");
        assert!(api.milestones().borrow().first_next.is_some());
    }
}
