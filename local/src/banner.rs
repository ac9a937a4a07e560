//! What `make run` prints.

use shared::config::{REDIS_URL, WECHAT_BASE_URL};

use crate::{Gateway, gateway::reachable};

/// The addresses of all parts, and example calls that can be pasted into a shell.
#[must_use]
pub fn banner(gateway: &Gateway) -> String {
    let base = format!("http://{}", reachable(gateway.address));
    let examples = if gateway.simulator.is_some() {
        examples(&base)
    } else {
        String::new()
    };
    format!(
        "
weapp-serverless on {base}
  DynamoDB      {}
  shared state  {}
  WeChat        {}
  metrics       {}

Try (Ctrl-C ends):
  curl {base}/health; echo
{examples}",
        database(gateway),
        shared_state(gateway),
        wechat(gateway, &base),
        metrics(gateway),
    )
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

fn shared_state(gateway: &Gateway) -> &'static str {
    if REDIS_URL.get(gateway.instance.env()).is_some() {
        "Redis (REDIS_URL)"
    } else {
        "in this process (set REDIS_URL for Redis)"
    }
}

fn wechat(gateway: &Gateway, base: &str) -> String {
    if gateway.simulator.is_some() {
        return format!("simulated, {base}/_wechat");
    }
    WECHAT_BASE_URL.read(gateway.instance.env()).to_owned()
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
