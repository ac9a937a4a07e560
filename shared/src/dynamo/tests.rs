use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::TryStreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use super::*;
use crate::{config::Env, request::deadline};

const MIB: usize = 1024 * 1024;

/// What a server does with one request.
#[derive(Clone)]
struct Reply {
    after: Duration,
    bytes: Vec<u8>,
    /// Closes the connection then, which the answer does not announce.
    closes: bool,
}

fn reply(status: u16, body: &str) -> Reply {
    let bytes = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Reply {
        after: Duration::ZERO,
        bytes: bytes.into_bytes(),
        closes: false,
    }
}

/// A row with this sort key.
fn row(sk: &str) -> String {
    format!(r#"{{"pk":{{"S":"PK"}},"sk":{{"S":"{sk}"}}}}"#)
}

fn found() -> Reply {
    reply(200, &format!(r#"{{"Item":{}}}"#, row("SK")))
}

/// A server with replies to the requests that come; the last one is repeated.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    /// How many of the connections, the oldest ones, get no more replies.
    forgotten: Arc<AtomicUsize>,
}

impl Server {
    async fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            connections: Arc::default(),
            forgotten: Arc::default(),
        };
        let replies: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
        let (requests, connections) = (server.requests.clone(), server.connections.clone());
        let forgotten = server.forgotten.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection {
                    stream,
                    number: connections.fetch_add(1, SeqCst),
                    forgotten: forgotten.clone(),
                };
                tokio::spawn(serve(connection, replies.clone(), requests.clone()));
            }
        });
        server
    }

    /// Replies to nothing more that comes over the connections of before, as if a gateway on the way
    /// had forgotten them.
    fn forget_connections(&self) {
        self.forgotten.store(self.connections(), SeqCst);
    }

    /// The table behind it.
    fn table(&self) -> Dynamo {
        table(&format!("http://127.0.0.1:{}", self.port))
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

struct Connection {
    stream: TcpStream,
    /// How many came before it.
    number: usize,
    forgotten: Arc<AtomicUsize>,
}

async fn serve(
    mut connection: Connection,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let stream = &mut connection.stream;
    while let Some(request) = read_request(stream).await {
        requests.lock().unwrap().push(request);
        if connection.number < connection.forgotten.load(SeqCst) {
            continue;
        }
        let reply = {
            let mut replies = replies.lock().unwrap();
            match replies.len() {
                0 => return,
                1 => replies[0].clone(),
                _ => replies.pop_front().unwrap(),
            }
        };
        sleep(reply.after).await;
        if stream.write_all(&reply.bytes).await.is_err() || reply.closes {
            return;
        }
    }
}

/// A request, with its headers in lower case.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1)?.lines().next()?;
            if body.len() >= length.parse().ok()? {
                return Some(text);
            }
        }
        let read = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..read]).ok()?);
    }
}

fn table(endpoint: &str) -> Dynamo {
    let env = Env::new([
        ("AWS_REGION", "local"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
    ]);
    Dynamo::new(DynamoSettings::read(&env), Random::seeded(1))
}

/// The value of a header in a request's text.
fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_once(": ").unwrap().1
}

fn refused(outcome: Result<Option<Item>, DynamoError>) -> String {
    match outcome {
        Err(DynamoError::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn unavailable(outcome: Result<Option<Item>, DynamoError>) -> String {
    match outcome {
        Err(DynamoError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn calls_share_a_connection() {
    let server = Server::with([found()]).await;
    let table = server.table();
    for _ in 0..3 {
        assert_eq!(table.get("PK", "SK").await.unwrap(), Some(key("PK", "SK")));
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_failing_server_is_asked_three_times_over_other_connections() {
    let failing = reply(
        500,
        r#"{"__type":"x#InternalServerError","message":"later"}"#,
    );
    let server = Server::with([failing]).await;
    let text = unavailable(server.table().get("PK", "SK").await);
    assert_eq!(text, "InternalServerError");
    assert_eq!((server.requests().len(), server.connections()), (3, 3));
}

#[tokio::test]
async fn each_attempt_is_signed_when_it_is_sent() {
    let late = Reply {
        after: Duration::from_millis(1100),
        ..reply(503, "{}")
    };
    let server = Server::with([late, found()]).await;
    assert!(server.table().get("PK", "SK").await.unwrap().is_some());
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for name in ["x-amz-date", "authorization"] {
        assert_ne!(header(&requests[0], name), header(&requests[1], name));
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_is_explained_in_dynamodbs_words() {
    let refusal = reply(
        400,
        r#"{"__type":"x#ValidationException","message":"no such index"}"#,
    );
    let server = Server::with([refusal]).await;
    let text = refused(server.table().get("PK", "SK").await);
    assert!(
        text.contains("ValidationException") && text.contains("no such index"),
        "{text}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let last = Reply {
        closes: true,
        ..found()
    };
    let server = Server::with([last]).await;
    let table = server.table();
    for number in 1..=5 {
        assert!(table.get("PK", "SK").await.unwrap().is_some());
        assert_eq!(server.connections(), number);
    }
}

/// As many as there were calls at the same time, and more than a call has attempts.
#[tokio::test]
async fn connections_that_died_unnoticed_cost_a_call_one_attempt() {
    let slow = Reply {
        after: Duration::from_millis(100),
        ..found()
    };
    let server = Server::with([slow]).await;
    let table = server.table();
    for got in futures_util::future::join_all((0..5).map(|_| table.get("PK", "SK"))).await {
        got.unwrap();
    }
    assert_eq!(server.connections(), 5);
    server.forget_connections();
    assert!(table.get("PK", "SK").await.unwrap().is_some());
    assert_eq!((server.requests().len(), server.connections()), (7, 6));
    // Nor does a later call use one of the others.
    assert!(table.get("PK", "SK").await.unwrap().is_some());
    assert_eq!((server.requests().len(), server.connections()), (8, 6));
}

#[tokio::test]
async fn an_answer_that_is_cut_is_asked_for_again() {
    let mut cut = found();
    cut.bytes.truncate(cut.bytes.len() - 10);
    cut.closes = true;
    let server = Server::with([cut, found()]).await;
    assert!(server.table().get("PK", "SK").await.unwrap().is_some());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let server = Server::with([reply(200, &"x".repeat(17 * MIB))]).await;
    let text = refused(server.table().get("PK", "SK").await);
    assert_eq!(text, "unreadable answer with status 200: it is too large");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_dynamodbs_is_refused_and_not_quoted() {
    let server = Server::with([reply(200, "hunter2")]).await;
    let text = refused(server.table().get("PK", "SK").await);
    assert!(
        text.contains("unreadable") && !text.contains("hunter2"),
        "{text}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_gateways_error_page_is_passing_trouble_and_not_quoted() {
    let server = Server::with([reply(502, "<html>hunter2</html>")]).await;
    let text = unavailable(server.table().get("PK", "SK").await);
    assert!(text.contains("502") && !text.contains("hunter2"), "{text}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_unreachable_table_is_unavailable() {
    let port = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let table = table(&format!("http://127.0.0.1:{port}"));
    assert!(unavailable(table.get("PK", "SK").await).contains("refused"));
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_refuses_each_call() {
    refused(table("nonsense").get("PK", "SK").await);
}

/// No answer.
fn silence() -> Reply {
    Reply {
        after: Duration::from_hours(1),
        ..found()
    }
}

#[tokio::test]
async fn an_operation_ends_with_its_request() {
    let server = Server::with([silence()]).await;
    let start = Instant::now();
    let left = Duration::from_millis(150);
    let outcome = deadline::scope(Some(start + left), server.table().get("PK", "SK")).await;
    unavailable(outcome);
    // Far from the 1.5 s of an attempt, however busy the machine.
    assert!(
        start.elapsed() >= left && start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_operation_takes_at_most_four_seconds() {
    let server = Server::with([silence()]).await;
    let start = Instant::now();
    unavailable(server.table().get("PK", "SK").await);
    // Two whole attempts, two pauses, and what is then left for a third attempt.
    let (least, most) = (Duration::from_secs(3), Duration::from_millis(4010));
    assert!(
        start.elapsed() >= least && start.elapsed() <= most,
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn rows_are_read_page_by_page() {
    let page = |rows: &[&str], more: &str| {
        let rows: Vec<_> = rows.iter().map(|sk| row(sk)).collect();
        reply(200, &format!(r#"{{"Items":[{}]{more}}}"#, rows.join(",")))
    };
    let more = format!(r#","LastEvaluatedKey":{}"#, row("1"));
    let server = Server::with([
        page(&["0", "1"], &more),
        // A filter left nothing of it.
        page(&[], &more.replace("\"1\"", "\"5\"")),
        page(&["6"], ""),
    ])
    .await;
    let table = server.table();
    let query = table.query().key_condition_expression("pk = :pk");
    let rows: Vec<_> = table.rows(query).try_collect().await.unwrap();
    assert_eq!(rows, ["0", "1", "6"].map(|sk| key("PK", sk)));
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (request, start) in requests.iter().zip([None, Some("1"), Some("5")]) {
        let key = request.split("ExclusiveStartKey").nth(1);
        assert_eq!(key.is_some(), start.is_some(), "{request}");
        let sk = start.map(|sk| format!(r#""sk":{{"S":"{sk}"}}"#));
        assert!(sk.is_none_or(|sk| request.contains(&sk)), "{request}");
    }
}

fn in_progress() -> Reply {
    reply(
        400,
        r#"{"__type":"x#TransactionInProgressException","Message":"The transaction with the given request token is already in progress."}"#,
    )
}

async fn transact(server: &Server) -> Result<TransactionOutcome, DynamoError> {
    let put = Write::Put(key("PK", "SK"), Condition::absent());
    server.table().transact(vec![put]).await
}

/// With another token it would be another transaction, whose condition fails because of the first.
#[tokio::test]
async fn a_transaction_that_is_still_carried_out_is_asked_for_by_its_token() {
    let mut lost = reply(200, "{}");
    lost.bytes.clear();
    lost.closes = true;
    // More often than one call has attempts.
    let running = std::iter::repeat_n(in_progress(), 5);
    let replies = std::iter::once(lost).chain(running);
    let server = Server::with(replies.chain([reply(200, "{}")])).await;
    let outcome = transact(&server).await.unwrap();
    assert_eq!(outcome, TransactionOutcome::Written);
    let requests = server.requests();
    assert_eq!(requests.len(), 7);
    let token = |request: &String| {
        let rest = request.split(r#""ClientRequestToken":""#).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert!(!token(&requests[0]).is_empty());
    for request in &requests {
        assert_eq!(token(request), token(&requests[0]));
    }
}

/// Not as a conflict, after which it would be tried as another transaction.
#[tokio::test]
async fn a_transaction_without_an_outcome_in_time_is_reported_as_unavailable() {
    let server = Server::with([in_progress()]).await;
    let end = Instant::now() + Duration::from_millis(600);
    match deadline::scope(Some(end), transact(&server)).await {
        Err(DynamoError::Unavailable(_)) => {}
        other => panic!("{other:?}"),
    }
    assert!(server.requests().len() > 1);
}
