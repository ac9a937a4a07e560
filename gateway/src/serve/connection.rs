//! One connection, from its first byte to its close.

use std::{
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{Arc, PoisonError},
    task::Poll,
};

use axum::http::StatusCode;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use shared::edge::Malformed;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Server, ServerLimits,
    connections::Slot,
    phase::Phase,
    refusal, request,
    stream::{KeptBack, WatchedStream},
};

/// The most that is kept of a head, in bytes; above API Gateway's 10 KiB.
const MAX_HEAD: usize = 64 * 1024;
/// How much a client may still send to a connection that is being closed, in bytes.
const MAX_DISCARDED: usize = 4 * 1024 * 1024;

/// How serving a connection ended.
enum End {
    /// hyper is done with it.
    Done(hyper::Result<()>),
    /// The client took too long.
    TimedOut(Phase),
    /// Another connection needs its place.
    Evicted,
}

/// Serves requests until the connection ends, and closes it.
pub(super) async fn serve(server: &Arc<Server>, stream: TcpStream, peer: IpAddr, slot: &Slot) {
    let kept_back = KeptBack::default();
    let io = WatchedStream::new(stream, slot.phase.clone(), Arc::clone(&kept_back));
    let service = service_fn(|request| {
        let answer = request::answer(Arc::clone(server), request, peer, slot.phase.clone());
        Box::pin(answer)
    });
    let mut connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD)
        // More are answered 431.
        .max_headers(100)
        // The connection keeps its own time.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    let end = run(&mut connection, server, slot).await;
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().stream;
    let kept_back = kept_back
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let (answer, limits) = (last_answer(&end, kept_back, &parts.read_buf), server.limits);
    match (end, answer) {
        (_, Some(malformed)) => {
            let bytes = refusal::written(server.app.clone(), malformed, peer).await;
            close(stream, &bytes, &limits).await;
        }
        (End::Done(_), None) => close(stream, &[], &limits).await,
        (End::TimedOut(_) | End::Evicted, None) => {}
    }
}

/// What to tell the client about bytes that were no request.
fn last_answer(end: &End, kept_back: Option<StatusCode>, unparsed: &[u8]) -> Option<Malformed> {
    match end {
        End::Done(result) => {
            // Of some errors hyper only tells us.
            let unanswered = result.as_ref().is_err_and(hyper::Error::is_parse);
            let status = kept_back.or(unanswered.then_some(StatusCode::BAD_REQUEST))?;
            Some(refusal::of_parser(status, unparsed))
        }
        End::TimedOut(Phase::Head(_)) if !unparsed.is_empty() => Some(refusal::HEAD_TIMED_OUT),
        _ => None,
    }
}

type Connection<S> = http1::Connection<TokioIo<WatchedStream>, S>;

/// Drives hyper, and looks after each change of phase whether the client has taken too long.
async fn run<S>(connection: &mut Connection<S>, server: &Server, slot: &Slot) -> End
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = axum::body::Body> + Unpin,
    S::Error: Into<axum::BoxError>,
    S::Future: Unpin,
{
    let mut stopping = server.stopping.subscribe();
    let mut stopped = pin!(async move { stopping.wait_for(|stopping| *stopping).await.is_ok() });
    let mut stopped_at = None;
    let mut evicted = pin!(slot.evicted.notified());
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        if stopped_at.is_none() && stopped.as_mut().poll(context).is_ready() {
            stopped_at = Some(Instant::now());
            // Otherwise the answer to the next request closes the connection.
            if server.limits.drain.is_zero() {
                Pin::new(&mut *connection).graceful_shutdown();
            }
        }
        if let Poll::Ready(result) = Pin::new(&mut *connection).poll(context) {
            return Poll::Ready(End::Done(result));
        }
        while evicted.as_mut().poll(context).is_ready() {
            if slot.phase.get().waiting_since().is_some() {
                return Poll::Ready(End::Evicted);
            }
            evicted.set(slot.evicted.notified());
        }
        let phase = slot.phase.get();
        let Some(end) = phase.end(&server.limits, stopped_at) else {
            return Poll::Pending;
        };
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        timer.as_mut().poll(context).map(|()| End::TimedOut(phase))
    })
    .await
}

/// Writes the last bytes and closes the connection so that the client can read them: a connection
/// that is closed with unread bytes is reset, and the reset overtakes the answer (RFC 9112 §9.6).
async fn close(mut stream: TcpStream, last: &[u8], limits: &ServerLimits) {
    let closing = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        let (mut left, mut buffer) = (MAX_DISCARDED, [0; 4096]);
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Whether the client is still there does not matter.
    let _ = timeout(limits.linger, closing).await;
}
