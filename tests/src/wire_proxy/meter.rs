//! Counting what a client says on one connection.

use super::Traffic;
use crate::http1;

/// What is spoken on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Wire {
    /// Redis.
    Resp,
    /// HTTP/1.1 with a `Content-Length` on every body.
    Http,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Meter {
    wire: Wire,
    /// Bytes of an incomplete command.
    pending: Vec<u8>,
    /// Whether the server has not answered what the client sent last.
    waits: bool,
}

impl Meter {
    /// A connection without any traffic yet.
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            pending: Vec::new(),
            waits: false,
        }
    }

    /// Counts what the client sent. `waiting` is the number of connections on which an answer is
    /// awaited.
    pub fn client_sent(&mut self, bytes: &[u8], traffic: &mut Traffic, waiting: &mut usize) {
        if !std::mem::replace(&mut self.waits, true) {
            if *waiting == 0 {
                traffic.round_trips += 1;
            }
            *waiting += 1;
        }
        self.pending.extend_from_slice(bytes);
        while let Some((name, length)) = self.command() {
            traffic.commands.push(name);
            self.pending.drain(..length);
        }
    }

    /// Notes that the server answered, or never will.
    pub fn server_sent(&mut self, waiting: &mut usize) {
        if std::mem::replace(&mut self.waits, false) {
            *waiting -= 1;
        }
    }

    /// The name and the length of the first whole command in what is pending.
    fn command(&self) -> Option<(String, usize)> {
        match self.wire {
            Wire::Resp => resp(&self.pending),
            Wire::Http => http(&self.pending),
        }
    }
}

/// An array of bulk strings; the first is the name.
fn resp(bytes: &[u8]) -> Option<(String, usize)> {
    let mut at = 0;
    let count = number(bytes, &mut at, b'*')?;
    let mut name = String::new();
    for index in 0..count {
        let length = number(bytes, &mut at, b'$')?;
        let text = bytes.get(at..at + length)?;
        if index == 0 {
            name = String::from_utf8_lossy(text).to_ascii_uppercase();
        }
        at += length + b"\r\n".len();
    }
    (at <= bytes.len()).then_some((name, at))
}

fn number(bytes: &[u8], at: &mut usize, mark: u8) -> Option<usize> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(
        rest[0],
        mark,
        "this is not how a Redis client speaks: {}",
        String::from_utf8_lossy(rest)
    );
    *at += end + b"\r\n".len();
    Some(std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap())
}

fn http(bytes: &[u8]) -> Option<(String, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..head]);
    let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    let body: usize =
        http1::header(&lines, "content-length").map_or(0, |length| length.parse().unwrap());
    let operation =
        http1::header(&lines, "x-amz-target").and_then(|target| target.split('.').next_back());
    let name = match operation {
        Some(operation) => operation.to_owned(),
        None => lines[0].trim_end_matches(" HTTP/1.1").to_owned(),
    };
    let length = head + 4 + body;
    (length <= bytes.len()).then_some((name, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(wire: Wire, pieces: &[&[u8]]) -> Vec<String> {
        let (mut meter, mut traffic) = (Meter::new(wire), Traffic::default());
        for piece in pieces {
            meter.client_sent(piece, &mut traffic, &mut 0);
        }
        traffic.commands
    }

    #[test]
    fn a_command_in_pieces_counts_once_it_is_whole() {
        let whole: &[u8] = b"*2\r\n$3\r\nget\r\n$1\r\na\r\n";
        for cut in 1..whole.len() {
            assert_eq!(commands(Wire::Resp, &[&whole[..cut]]), [""; 0]);
            assert_eq!(
                commands(Wire::Resp, &[&whole[..cut], &whole[cut..]]),
                ["GET"]
            );
        }
    }

    #[test]
    fn requests_on_their_way_at_the_same_time_are_one_round_trip() {
        let request: &[u8] = b"GET /a HTTP/1.1\r\n\r\n";
        let (mut traffic, mut waiting) = (Traffic::default(), 0);
        let [mut one, mut other] = [Wire::Http; 2].map(Meter::new);
        one.client_sent(request, &mut traffic, &mut waiting);
        other.client_sent(request, &mut traffic, &mut waiting);
        one.server_sent(&mut waiting);
        other.server_sent(&mut waiting);
        assert_eq!((traffic.round_trips, waiting), (1, 0));
        one.client_sent(request, &mut traffic, &mut waiting);
        one.server_sent(&mut waiting);
        other.client_sent(request, &mut traffic, &mut waiting);
        assert_eq!((traffic.round_trips, traffic.commands.len()), (3, 4));
    }

    #[test]
    fn a_request_is_known_by_its_operation_or_its_line() {
        let target = b"POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(commands(Wire::Http, &[target]), ["GetItem"]);
        assert_eq!(
            commands(Wire::Http, &[b"GET /a?b=c HTTP/1.1\r\n\r\n"]),
            ["GET /a?b=c"]
        );
    }
}
