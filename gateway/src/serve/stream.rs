//! The connection's stream between TCP and hyper.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::phase::{Phase, SharedPhase};

/// The statuses that hyper answers with by itself, to what it can't parse.
const BARE: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::URI_TOO_LONG,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// Tells when bytes arrive, and keeps back hyper's own answers, which have no body: the connection
/// writes one with an envelope instead.
pub(super) struct WatchedStream {
    pub(super) stream: TcpStream,
    phase: SharedPhase,
    kept_back: KeptBack,
}

/// The status of the answer that was kept back.
pub(super) type KeptBack = Arc<Mutex<Option<StatusCode>>>;

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, phase: SharedPhase, kept_back: KeptBack) -> Self {
        Self {
            stream,
            phase,
            kept_back,
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.phase.received();
        }
        poll
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some((start, status)) = bare_answer(bytes) else {
            let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
            if poll.is_ready() || matches!(self.phase.get(), Phase::Idle(_)) {
                self.phase.written();
            }
            return poll;
        };
        if start > 0 {
            // The end of another answer.
            return Pin::new(&mut self.stream).poll_write(context, &bytes[..start]);
        }
        let mut kept_back = self
            .kept_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *kept_back = Some(status);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        if poll.is_ready() {
            self.phase.flushed();
        }
        poll
    }

    /// The connection shuts the stream down itself, after its last answer.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// hyper's answer at the end of `bytes`: where it begins, and its status. It is known by what it does
/// not have, a request id, which every answer of the app has.
fn bare_answer(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    let head = bytes.strip_suffix(b"\r\n\r\n")?;
    let start = head.windows(7).rposition(|window| window == b"HTTP/1.")?;
    let mut lines = str::from_utf8(&head[start..]).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let status = BARE.into_iter().find(|bare| bare.as_str() == status)?;
    let is_bare = lines.all(|line| {
        let name = line.split(':').next().unwrap_or_default();
        ["connection", "content-length", "date"].contains(&name)
    });
    is_bare.then_some((start, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE_400: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 23 Nov 2026 08:00:00 GMT\r\n\r\n";

    #[test]
    fn an_answer_of_hypers_own_is_recognised_alone_and_behind_another_one() {
        let found = Some((0, StatusCode::BAD_REQUEST));
        assert_eq!(bare_answer(BARE_400), found);
        let answer = b"HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 2\r\n\r\n{}";
        let both = [answer, BARE_400].concat();
        let found = Some((answer.len(), StatusCode::BAD_REQUEST));
        assert_eq!(bare_answer(&both), found);
    }

    #[test]
    fn an_answer_of_the_app_passes() {
        for answer in [
            "HTTP/1.1 400 Bad Request\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(bare_answer(answer.as_bytes()), None, "{answer}");
        }
    }
}
