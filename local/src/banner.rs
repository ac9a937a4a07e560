//! What `make run` prints.

use shared::{
    config::{AVATAR_BUCKET, MESSAGE_QUEUE_URL, WECHAT_APPIDS, WECHAT_BASE_URL},
    kv::{Kv, KvError},
};

use crate::{
    Gateway, MessageQueue,
    gateway::reachable,
    settings::{MESSAGES_NAME, QueuePlace},
};

/// The addresses of all parts, and example calls that can be pasted into a shell.
#[must_use]
pub async fn banner(gateway: &Gateway) -> String {
    let base = format!("http://{}", reachable(gateway.address));
    let examples = if gateway.simulator.is_some() {
        examples(&base)
    } else {
        String::new()
    };
    format!(
        "
weapp-serverless on {base}
  playground    {}
  API           {base}/docs
  DynamoDB      {}
  shared state  {}
  WeChat        {}
  avatars       {}
  messages      {}
  metrics       {}{}

Try (Ctrl-C ends):
  curl {base}/health; echo
{examples}",
        playground(gateway, &base),
        database(gateway),
        shared_state(gateway).await,
        wechat(gateway, &base),
        avatars(gateway, &base),
        messages(gateway, &base),
        metrics(gateway),
        ignored(gateway),
    )
}

/// It answers only to names of this machine.
fn playground(gateway: &Gateway, base: &str) -> String {
    if reachable(gateway.address).ip().is_loopback() {
        format!("{base}/")
    } else {
        "off (needs HOST=127.0.0.1 or HOST=0.0.0.0)".to_owned()
    }
}

fn database(gateway: &Gateway) -> String {
    match gateway.database() {
        Some(endpoint) => format!(
            "embedded, {endpoint} (data in {})",
            gateway.settings.data_dir.display()
        ),
        None => gateway
            .settings
            .dynamodb_endpoint
            .clone()
            .unwrap_or_default(),
    }
}

async fn shared_state(gateway: &Gateway) -> String {
    let redis = match gateway.instance.kv() {
        Kv::Memory(_) => return "in this process (set REDIS_URL for Redis)".to_owned(),
        redis @ Kv::Redis(_) => redis,
    };
    // Waits longer for a connection than a request does.
    gateway.instance.connect().await;
    match redis.probe().await {
        Ok(()) => "Redis (REDIS_URL)".to_owned(),
        Err(error @ KvError::Unavailable(_)) => {
            format!("Redis (REDIS_URL), NOT REACHED: {error}; requests go on without it")
        }
        Err(error @ KvError::Refused(_)) => {
            format!("Redis (REDIS_URL), NOT USABLE: {error}; what needs it goes on without it")
        }
    }
}

fn wechat(gateway: &Gateway, base: &str) -> String {
    if gateway.simulator.is_some() {
        let simulated = format!("simulated, {base}/_wechat");
        if !gateway.settings.has_app_ids {
            return simulated;
        }
        let env = gateway.instance.env();
        let apps: Vec<_> = WECHAT_APPIDS.entries(env).collect();
        return format!(
            "{simulated}: WECHAT_SECRETS is not set, so codes of the real wx.login do NOT work for {}",
            apps.join(", ")
        );
    }
    WECHAT_BASE_URL.read(gateway.instance.env()).to_owned()
}

fn avatars(gateway: &Gateway, base: &str) -> String {
    if gateway.settings.store_objects {
        return format!("built-in store, {base}/_objects");
    }
    let bucket = AVATAR_BUCKET.get(gateway.instance.env());
    bucket.map_or_else(
        || "off (set AVATAR_BUCKET)".to_owned(),
        |bucket| format!("bucket {bucket}"),
    )
}

/// Where functions of one's own put messages to users.
fn messages(gateway: &Gateway, base: &str) -> String {
    if gateway.settings.messages == QueuePlace::BuiltIn {
        let path = MessageQueue::path(MESSAGES_NAME);
        return format!("built-in queue, {base}/_queue{path}");
    }
    let queue = MESSAGE_QUEUE_URL.get(gateway.instance.env());
    queue.map_or_else(
        || "no queue (USER_MESSAGES)".to_owned(),
        |queue| format!("queue {queue}"),
    )
}

fn ignored(gateway: &Gateway) -> String {
    match gateway.settings.ignored_names.as_slice() {
        [] => String::new(),
        names => format!(
            "\n  ignored       {} (no settings have these names)",
            names.join(", ")
        ),
    }
}

fn metrics(gateway: &Gateway) -> String {
    gateway.metrics().map_or_else(
        || "off (set METRICS_PORT)".to_owned(),
        |address| format!("http://{}/metrics", reachable(address)),
    )
}

/// Logs in, reads and changes the profile, decrypts the steps of `wx.getWeRunData`, exchanges a
/// phone code, and pushes an event that clears the nickname.
fn examples(base: &str) -> String {
    format!(
        r#"  CODE=$(curl -s {base}/_wechat/_control/code -d '{{"user":"alice"}}' | sed 's/.*"code":"\([^"]*\)".*/\1/')
  LOGIN=$(curl -s {base}/api/v1/user/login -H 'Content-Type: application/json' -d "{{\"code\":\"$CODE\"}}"); echo "$LOGIN"
  TOKEN=$(echo "$LOGIN" | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -s {base}/api/v1/user/info -H "Authorization: Bearer $TOKEN"; echo
  curl -s -X PATCH {base}/api/v1/user/info -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"nickname":"小明"}}'; echo
  DATA=$(curl -s {base}/_wechat/_control/encrypted-data -d '{{"user":"alice","kind":"werun"}}')
  curl -s {base}/api/v1/user/decrypt -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "$DATA"; echo
  PHONE=$(curl -s {base}/_wechat/_control/phone-code -d '{{"user":"alice"}}')
  curl -s {base}/api/v1/user/phone -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "$PHONE"; echo
  curl -s {base}/_wechat/_control/push -d '{{"user":"alice","event":"user_authorization_revoke","fields":{{"RevokeInfo":"19"}}}}'; echo

"#
    )
}
