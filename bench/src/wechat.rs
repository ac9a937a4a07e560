//! A simulated WeChat that responds at once and accepts every code. The part of a code before the
//! dot identifies the user; what follows an underscore in it is the union id, which others have none.

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::http1::{Message, response};
use serde_json::json;

/// Serves on an ephemeral loopback port for as long as the process lives.
#[must_use]
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A broken connection means that the client has exited.
            thread::spawn(move || stream.and_then(|stream| serve_connection(&stream)));
        }
    });
    address
}

fn serve_connection(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let mut output = stream;
    while let Some(request) = Message::read(&mut input)? {
        let (_, target) = request.route();
        let code = target
            .split_once("js_code=")
            .and_then(|(_, rest)| rest.split('&').next())
            .unwrap_or_default();
        let (user, number) = code.split_once('.').unwrap_or((code, ""));
        // A new session_key at each login: WeChat replaces it from time to time.
        let session_key = STANDARD.encode(format!("{number:>16.16}"));
        let (user, union) = match user.split_once('_') {
            Some((user, union)) => (user, Some(union)),
            None => (user, None),
        };
        let mut body = json!({ "openid": format!("bench-{user}"), "session_key": session_key });
        if let Some(union) = union {
            body["unionid"] = json!(union);
        }
        // WeChat sends JSON as text/plain.
        output.write_all(&response(
            "200 OK",
            &[("content-type", "text/plain")],
            body.to_string().as_bytes(),
        ))?;
    }
    Ok(())
}
