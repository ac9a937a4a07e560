//! What `make run` prints.

use crate::{Gateway, gateway::reachable};

/// What runs where, and calls that work when pasted.
#[must_use]
pub fn banner(gateway: &Gateway) -> String {
    let base = format!("http://{}", reachable(gateway.address));
    let env = gateway.instance.env();
    let database = gateway.database().map_or_else(
        || {
            env.get("AWS_ENDPOINT_URL_DYNAMODB")
                .unwrap_or_default()
                .to_owned()
        },
        |endpoint| {
            format!(
                "embedded, {endpoint} (data in {})",
                env.get("DATA_DIR").unwrap_or(".data")
            )
        },
    );
    let state = if env.get("REDIS_URL").is_some() {
        "Redis (REDIS_URL)"
    } else {
        "in this process (set REDIS_URL for Redis)"
    };
    let simulated = gateway.simulator.is_some();
    let wechat = if simulated {
        format!("simulated, {base}/_wechat")
    } else {
        env.get("WECHAT_BASE_URL")
            .unwrap_or("https://api.weixin.qq.com")
            .to_owned()
    };
    let metrics = gateway.metrics().map_or_else(
        || "off (set METRICS_PORT)".to_owned(),
        |address| format!("http://{}/metrics", reachable(address)),
    );
    let mut text = format!(
        "\nweapp-serverless on {base}\n  DynamoDB      {database}\n  shared state  {state}\n  WeChat        {wechat}\n  metrics       {metrics}\n\nTry (Ctrl-C ends):\n  curl {base}/health; echo\n"
    );
    if simulated {
        text.push_str(&calls(&base));
    }
    text
}

/// From a simulated `wx.login` to the profile, to what only WeChat knows, and to a push of WeChat's
/// that clears a part of the profile.
fn calls(base: &str) -> String {
    format!(
        r#"  CODE=$(curl -s {base}/_wechat/_control/code -d '{{"user":"alice"}}' | sed 's/.*"code":"\([^"]*\)".*/\1/')
  LOGIN=$(curl -s {base}/api/v1/user/login -H 'Content-Type: application/json' -d "{{\"code\":\"$CODE\"}}"); echo "$LOGIN"
  TOKEN=$(echo "$LOGIN" | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -s {base}/api/v1/user/info -H "Authorization: Bearer $TOKEN"; echo
  curl -s -X PATCH {base}/api/v1/user/info -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"nickname":"小明"}}'; echo
  DATA=$(curl -s {base}/_wechat/_control/encrypted-data -d '{{"user":"alice","kind":"userinfo"}}')
  curl -s {base}/api/v1/user/decrypt -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "$DATA"; echo
  PHONE=$(curl -s {base}/_wechat/_control/phone-code -d '{{"user":"alice"}}')
  curl -s {base}/api/v1/user/phone -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "$PHONE"; echo
  curl -s {base}/_wechat/_control/push -d '{{"user":"alice","event":"user_authorization_revoke","fields":{{"RevokeInfo":"19"}}}}'; echo

"#
    )
}
