//! As much of HTTP/1.1 as a host on loopback needs, on blocking sockets: one read loop, one write
//! per message. A framework here would be part of every figure that the bench measures.

use std::io::{self, BufRead, Read};

/// One message, a request or a response, read whole.
#[derive(Debug)]
pub struct Message {
    /// The first line: `POST /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub start_line: String,
    /// Header lines as they came.
    pub headers: Vec<String>,
    /// The body, de-chunked.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads the next message of a connection; `None` when the peer has closed it.
    ///
    /// # Errors
    /// When the connection breaks, or what came is not HTTP.
    pub fn read(input: &mut impl BufRead) -> io::Result<Option<Self>> {
        let start_line = line(input)?;
        if start_line.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let header = line(input)?;
            if header.is_empty() {
                break;
            }
            headers.push(header);
        }
        let mut message = Self {
            start_line,
            headers,
            body: Vec::new(),
        };
        message.body = message.read_body(input)?;
        Ok(Some(message))
    }

    /// A header's value; names compare without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Method and path of a request.
    pub fn route(&self) -> (&str, &str) {
        let mut words = self.start_line.split(' ');
        (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        )
    }

    fn read_body(&self, input: &mut impl BufRead) -> io::Result<Vec<u8>> {
        if self
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            return chunks(input);
        }
        let mut body = vec![0; content_length(&self.headers)?];
        input.read_exact(&mut body)?;
        Ok(body)
    }
}

/// A response as the bytes that go out in one write.
pub fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        out.extend([name, ": ", value, "\r\n"]);
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// The value of a header among raw header lines.
pub(crate) fn header<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn content_length(headers: &[String]) -> io::Result<usize> {
    header(headers, "content-length").map_or(Ok(0), |value| {
        value.parse().map_err(|_| malformed("content-length"))
    })
}

fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    input.read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}

fn chunks(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let head = line(input)?;
        let size = head.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| malformed("chunk size"))?;
        if size == 0 {
            // Trailers, then the empty line.
            while !line(input)?.is_empty() {}
            return Ok(body);
        }
        input.take(size).read_to_end(&mut body)?;
        line(input)?;
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Message {
        Message::read(&mut &bytes[..]).unwrap().unwrap()
    }

    #[test]
    fn a_body_is_as_long_as_its_content_length() {
        let message = read(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcdef");
        assert_eq!(message.route(), ("POST", "/a"));
        assert_eq!(message.body, b"abc");
    }

    #[test]
    fn a_chunked_body_is_joined() {
        let message = read(b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!(message.body, b"abcde");
    }

    #[test]
    fn a_closed_connection_yields_no_message() {
        assert!(Message::read(&mut &b""[..]).unwrap().is_none());
    }
}
