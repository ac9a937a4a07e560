//! The routes for WeChat.

use shared::{
    api::Reason,
    openapi::{Operation, Tag, Value, json},
};

const PATH: &str = "/api/v1/wechat/callback";

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![verify(), receive()]
}

fn operation(method: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, PATH, id, Tag::WeChat, summary)
        .query_part::<String>("timestamp", "Seconds since the epoch.")
        .query_part::<String>("nonce", "Random.")
        .query_part::<String>(
            "signature",
            "SHA-1 over token, timestamp and nonce, sorted.",
        )
        .fails(&[Reason::InvalidRequest, Reason::DecryptFailed])
}

fn verify() -> Operation {
    operation("GET", "verifyCallback", "Verify the URL of message push")
        .required_query_part::<String>("echostr", "What is to be answered.")
        .plain::<String>("text/plain; charset=utf-8", "`echostr`.", json!("5927…"))
}

fn receive() -> Operation {
    operation("POST", "receivePush", "Take a message or an event")
        .details("The body is JSON or XML, encrypted or not, as the console of the mini-program says. WeChat sends it again after a failure.")
        .query_part::<String>("msg_signature", "The same with the ciphertext.")
        .query_part::<String>("encrypt_type", "`aes` when the message is encrypted.")
        .plain::<String>("text/plain; charset=utf-8", "Taken.", json!("success"))
        .plain::<Value>("application/json", "A reply in the format of the message.", json!({"ToUserName": "oAbC", "MsgType": "text"}))
        .plain::<String>("text/xml", "A reply in the format of the message.", json!("<xml>…</xml>"))
        .fails(&[
            Reason::RequestTimeout,
            Reason::BodyTooLarge,
            Reason::RateLimited,
            Reason::Conflict,
        ])
}
