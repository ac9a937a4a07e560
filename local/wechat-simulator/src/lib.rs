//! A simulator of `api.weixin.qq.com`, for local runs and tests. It is never deployed.
//!
//! It responds as WeChat does, errors included, and is strict enough that a WeChat SDK works with it
//! once its base URL is changed. It shares no code with the project's own WeChat client: each
//! implements WeChat's documentation independently, so that tests of one against the other find
//! mistakes in either.
//!
//! ```no_run
//! use wechat_simulator::Simulator;
//!
//! let simulator = Simulator::new([("wx0123456789abcdef".to_owned(), "a secret".to_owned())]);
//! // Replaces https://api.weixin.qq.com, here below a prefix:
//! let app: axum::Router = axum::Router::new().nest("/_wechat", simulator.router());
//! ```
//!
//! # WeChat's APIs
//!
//! | path | purpose |
//! |---|---|
//! | `GET /sns/jscode2session` | code2Session; responds with `text/plain`, as WeChat does |
//! | `POST /cgi-bin/stable_token` · `GET /cgi-bin/token` | access tokens, two separate families |
//! | `POST /wxa/business/getuserphonenumber` | exchanges a phone code for the phone number |
//! | `GET /wxa/checksession` · `GET /wxa/resetusersessionkey` | checks and replaces a `session_key` |
//! | `GET /wxa/business/getuserencryptkey` | the user's encryption keys (`POST` too, as in WeChat's own sample) |
//! | `POST /wxa/msg_sec_check` | text moderation, version 2 |
//! | `POST /wxa/media_check_async` | picture moderation, version 2: the verdict is pushed (`wxa_media_check`) where there is a [`MediaReader`] |
//! | `POST /cgi-bin/message/subscribe/send` | a subscribe message, to a user who agreed to it |
//! | `POST /cgi-bin/message/custom/send` | a reply of customer service |
//! | `POST /wxa/getwxacodeunlimit` | a mini-program code: a PNG picture |
//! | `POST /wxa/generate_urllink` | a link that opens the mini-program |
//!
//! Every response is HTTP 200 with `errcode` in its body, except for injected faults.
//!
//! # The control side: what `wx.*` does on the phone
//!
//! Request and response bodies are JSON. The content type of a request is ignored, so that `curl -d`
//! works. An invalid request gets a 400 with `{"error": "..."}`. `appId` is optional everywhere; the
//! default is the first app.
//!
//! | call | purpose |
//! |---|---|
//! | `POST /_control/code` `{user, appId?}` | `wx.login`: returns `{code}` |
//! | `POST /_control/phone-code` `{user, appId?}` | the phone number button: returns `{code}` |
//! | `POST /_control/encrypted-data` `{user, kind, appId?}` | `kind` is `userinfo`, `phone` or `werun`: returns `{encryptedData, iv, rawData?, signature?}`; 409 before the user's first login |
//! | `POST /_control/encrypted-message` `{user, text, appId?}` | encrypts as a mini-program does with `wx.getUserCryptoManager()`: returns `{encryptedData, version}`; 409 before the user's first login |
//! | `PUT /_control/users` [`UserChange`] and `user` | changes a user's attributes |
//! | `POST /_control/session-key` `{user, action, appId?}` | `action` is `rotate` or `expire` |
//! | `POST /_control/push` [`PushOrder`] | builds the request that WeChat would send to the callback URL, and delivers it with the transport of [`Simulator::set_transport`]: returns `{request, status?, answer?}` |
//! | `POST /_control/subscriptions` `{user, answers, appId?}` | `wx.requestSubscribeMessage`: `answers` has `accept`, `reject`, `ban` or `filter` for each of 1 to 5 templates; returns what the page gets |
//! | `DELETE /_control/subscriptions` `{user, appId?}` | the user takes all permissions for messages back |
//! | `POST /_control/customer-service` `{user, text?, appId?}` | the user writes to customer service, or without `text` only opens it; pushed as by `POST /_control/push`, where message push is configured |
//! | `GET /_control/messages?user=…&appId=…` | the messages that were delivered to the user: `{messages}`, oldest first |
//! | `PUT /_control/quotas` `{quotas, appId?}` | sets [`Quota`]s, such as `{"subscribeMessages":100}` |
//! | `PUT /_control/pages` `{pages, appId?}` | sets the pages of the published version |
//! | `GET` · `PUT` · `DELETE /_control/faults` | one [`Fault`] or a list of them; a `PUT` replaces all previous ones |
//! | `GET /_control/calls` | the number of calls to each of WeChat's paths |
//!
//! # What WeChat does not specify
//!
//! - WeChat may keep a `session_key` over several `wx.login`. Here **each code2Session creates a new
//!   one**, which is harder for a server. [`UserChange::keep_session_key`] gives the other behaviour.
//! - A `session_key` is valid for 3 days. More than 10 resets a minute for one user get 45011.
//! - The windows of rate limits start with their first call, not with the minute or day of the clock.
//! - Openids and unionids are derived from the app and the user's name: they are the same in every
//!   run.
//! - `msg_sec_check` flags [`RISKY_KEYWORD`] as risky and [`REVIEW_KEYWORD`] for review, and passes
//!   everything else. So does `media_check_async` with pictures that contain them anywhere in their
//!   bytes. A picture that can't be read gets the errcode -1008.
//! - A template's id has 43 letters, digits, `_` and `-`. The simulator has no list of templates: any id is one, and
//!   the names of fields (`thing1`) say what their values may be.
//! - An app has every page, until its pages are set.
//! - A mini-program code is a PNG picture with an arbitrary pattern, without a check of `is_hyaline`. What it would say
//!   is JSON in the file, in the text `mini-program-code`.
//! - All state is in memory and bounded: above 100,000 codes, users or sessions, the least recently
//!   used ones are evicted.
//!
//! # Layers
//!
//! Bottom to top. A module imports only from layers listed before its own, and from modules of
//! its own layer without a circle.
//!
//! - `time`: units of time
//! - `control_error`: why a control call is refused
//! - `protocol`: WeChat's wire formats, without any state: the call and its outcome, error codes, ids,
//!   ciphers, message push
//! - `state`: everything that the simulated WeChat remembers
//! - `api`: the handlers of WeChat's APIs
//! - `control`: what happens on the phone or inside WeChat
//! - `simulator`: the state behind its lock, and the control side as methods
//! - `router`: HTTP for both sides; only this layer knows all handlers

mod api;
mod control;
mod control_error;
mod protocol;
mod router;
mod simulator;
mod state;
mod time;

pub use control::encrypted_data::{DataKind, EncryptedData, EncryptedMessage};
pub use control::push::PushOrder;
pub use control::session_key::SessionKeyAction;
pub use control::subscription::SubscriptionAnswer;
pub use control_error::ControlError;
pub use protocol::keywords::{REVIEW_KEYWORD, RISKY_KEYWORD};
pub use protocol::push::{
    MediaReader, PushConfig, PushMode, PushRequest, PushResponse, PushTransport,
};
pub use protocol::push_format::PushFormat;
pub use simulator::{Clock, Simulator};
pub use state::fault::{Fault, Garbage};
pub use state::inboxes::{DeliveredMessage, MessageContent};
pub use state::media_checks::MediaCheck;
pub use state::quotas::Quota;
pub use state::users::{UnionId, UserChange};
