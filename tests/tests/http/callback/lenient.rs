//! Messages whose text is careless: WeChat sent them, so they are handled.

use e2e::{
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
};
use rstest::rstest;

use super::pushes::{
    CustomHandler, deliver, only_encrypt, plain_request, secure_request, secure_request_for,
};

/// Texts of one person, each with its own id.
const CARELESS: [&str; 11] = [
    "{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"a\u{1b}[0mb\",\"MsgId\":1}",
    "{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"a\nb\",\"MsgId\":2}",
    "{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"a\\ud83db\",\"MsgId\":3}",
    "{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"\\_(ツ)_/\",\"MsgId\":4}",
    "\u{feff}{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"a\",\"MsgId\":5}\0",
    "{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"a\",\"MsgId\":10000000000000000000000}",
    "{\"FromUserName\":\"o1\",\"MsgType\":\"text\",\"Content\":\"a\",\"MsgId\":10000000000000000000001}",
    "<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><Content>a\u{1b}b</Content><MsgId>8</MsgId></xml>",
    "\u{feff}<xml>\n<FromUserName>\n<![CDATA[o1]]>\n</FromUserName><MsgType> text </MsgType><Content>&#xD83D;</Content><MsgId>9</MsgId></xml>\0",
    "{\"FromUserName\":\"\u{200b}o1\u{2060}\",\"MsgType\":\"\u{200e}text\",\"Content\":\"a\u{200d}\",\"MsgId\":\"\u{ad}10\"}",
    "<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><Content>R&D&nbsp;& more</Content><MsgId>11</MsgId></xml>",
];

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_careless_text_is_handled(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    for message in CARELESS {
        let handler = CustomHandler::start(&app, None, 0).await;
        for push in [
            plain_request(&app, message),
            secure_request(&app, message, only_encrypt),
        ] {
            for _ in 0..2 {
                deliver(&handler.api, &push).await.assert_success();
            }
        }
        assert_eq!(handler.calls(), 2, "{message:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blanks_around_a_ciphertext_are_layout(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let bodies: [fn(&str) -> String; 5] = [
        |encrypt| {
            format!(
                "<xml>\n <ToUserName>\n  <![CDATA[gh_1]]>\n </ToUserName>\n <Encrypt>\n  <![CDATA[{encrypt}]]>\n </Encrypt>\n</xml>"
            )
        },
        |encrypt| format!("<xml><Encrypt> {encrypt}\n</Encrypt></xml>"),
        |encrypt| format!("{{\"Encrypt\":\" {encrypt} \"}}"),
        |encrypt| format!("{{\"Encrypt\":\"\u{200b}{encrypt}\u{2060}\"}}\u{200e}"),
        // The compatible mode, with careless text in the plain part.
        |encrypt| {
            format!("{{\"Content\":\"a\u{1d}b\",\"MsgType\":\"text\",\"Encrypt\":\"{encrypt}\"}}")
        },
    ];
    for (at, body) in bodies.into_iter().enumerate() {
        let handler = CustomHandler::start(&app, None, 0).await;
        let message = format!(
            r#"{{"FromUserName":"o2","MsgType":"text","Content":"a","MsgId":{}}}"#,
            at + 1
        );
        let push = secure_request(&app, &message, body);
        deliver(&handler.api, &push).await.assert_success();
        assert_eq!(handler.calls(), 1, "{}", push.body);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_surrounds_the_receiver_is_layout(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    let message = r#"{"FromUserName":"o2","MsgType":"text","Content":"a","MsgId":1}"#;
    for (before, after) in [(" ", "\n"), ("\u{feff}", "\0"), ("\u{200b}", "\u{2060}")] {
        let receiver = format!("{before}{APP_ID}{after}");
        let push = secure_request_for(&app, &receiver, message, only_encrypt);
        deliver(&handler.api, &push).await.assert_success();
    }
    assert_eq!(handler.calls(), 1);
}
