//! Uploads as `wx.uploadFile` makes them: a form with the fields, and the file at its end.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::{
    PATIENCE,
    http::{Request, install_tls},
};

/// A picture of one pixel.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82";

const BOUNDARY: &str = "wxmpFormBoundary7JqVxLmTnRb";

/// What a store answered.
#[derive(Debug, Clone)]
pub struct StoreAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl StoreAnswer {
    /// The code of an error in XML.
    pub fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let code = text
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map_or_else(|| panic!("no code: {self:?}"), |(code, _)| code.to_owned())
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The body of a form with these fields and this file, and its content type.
pub fn multipart(fields: &Value, file: &[u8]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in fields.as_object().unwrap() {
        let value = value.as_str().unwrap();
        let field = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(field.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"tmp_abc.png\"\r\nContent-Type: image/png\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// Posts the form of `POST /user/avatar` with this file.
pub async fn post_form(form: &Value, file: &[u8]) -> StoreAnswer {
    let (content_type, body) = multipart(&form["fields"], file);
    let request = client().post(form["url"].as_str().unwrap());
    send(request.header("content-type", content_type).body(body)).await
}

/// Reads a URL.
pub async fn fetch(url: &str) -> StoreAnswer {
    send(client().get(url)).await
}

/// Any request to a store.
pub async fn send(request: reqwest::RequestBuilder) -> StoreAnswer {
    let (status, headers, body) = Request::from(request).send_raw().await;
    StoreAnswer {
        status,
        headers,
        body,
    }
}

/// A client of stores.
pub fn client() -> reqwest::Client {
    install_tls();
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    client.build().unwrap()
}
