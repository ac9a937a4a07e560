use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret;

use super::*;
use crate::config::{ConfigError, Env};

const GOOD_SECRET: &str = "k3f9s0d8f7a6h5j4k3l2m1n0b9v8c7x6";

fn rejected(env: &Env) -> Vec<&'static str> {
    env.validate()
        .err()
        .map(|errors| {
            errors
                .0
                .iter()
                .map(|ConfigError { name, .. }| *name)
                .collect()
        })
        .unwrap_or_default()
}

#[test]
fn all_config_errors_are_reported_at_once() {
    let env = Env::new([
        ("JWT_SECRETS", "short"),
        ("ACCESS_TOKEN_SECONDS", "soon"),
        ("REFRESH_GRACE_SECONDS", "9999"),
    ]);
    let _ = TokenSettings::read(&env);
    let _ = (WeChatSettings::read(&env), DataKeySettings::read(&env));
    assert_eq!(
        rejected(&env),
        [
            "JWT_SECRETS",
            "WECHAT_APPIDS",
            "ACCESS_TOKEN_SECONDS",
            "REFRESH_GRACE_SECONDS",
            "WECHAT_SECRETS",
            "DATA_KEYS"
        ]
    );
}

#[test]
fn a_config_error_never_shows_the_value() {
    let env = Env::new([
        ("JWT_SECRETS", "hunter2"),
        ("JWT_KEYS", "hunter2,hunter2:hunter2,k:aHVudGVyMg=="),
        ("WECHAT_SECRETS", "hunter2"),
        ("DATA_KEYS", "hunter2"),
        ("REDIS_URL", "hunter2"),
        // Mistaken for WECHAT_SECRETS.
        ("WECHAT_APPIDS", "wx1:hunter2"),
        ("CORS_ORIGINS", "hunter2"),
    ]);
    let _ = (
        TokenSettings::read(&env),
        WeChatSettings::read(&env),
        DataKeySettings::read(&env),
        RedisSettings::read(&env),
    );
    let _ = EdgeSettings::read(&env);
    let text = env.validate().unwrap_err().to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("JWT_KEYS: key 1 is not kid:key"), "{text}");
}

/// RFC 8410 §10.3, §10.1.
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
const PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

fn token_settings(keys: &str, secrets: &str) -> (TokenSettings, Vec<&'static str>) {
    let env = Env::new([
        ("JWT_KEYS", keys),
        ("JWT_SECRETS", secrets),
        ("WECHAT_APPIDS", "wx1"),
    ]);
    let settings = TokenSettings::read(&env);
    (settings, rejected(&env))
}

#[test]
fn a_key_may_have_a_name() {
    let (settings, errors) = token_settings(
        &format!("a:{PRIVATE}, b-1_Z:{PUBLIC}, {PUBLIC}"),
        GOOD_SECRET,
    );
    assert_eq!(errors, [""; 0]);
    let ids: Vec<_> = settings.keys.iter().map(|key| key.id.as_deref()).collect();
    assert_eq!(ids, [Some("a"), Some("b-1_Z"), None]);
    for id in ["", "a b", "a.b", "ä", &"x".repeat(65)] {
        assert_eq!(
            token_settings(&format!("{id}:{PRIVATE}"), GOOD_SECRET).1,
            ["JWT_KEYS"],
            "{id}"
        );
    }
}

#[test]
fn issuing_tokens_needs_a_secret_and_verifying_does_not() {
    assert_eq!(token_settings(PUBLIC, "").1, [""; 0]);
    assert_eq!(token_settings("", "").1, ["JWT_SECRETS"]);
    let env = Env::new([("JWT_KEYS", PRIVATE), ("WECHAT_APPIDS", "wx1")]);
    let _ = TokenSettings::read(&env);
    TokenSettings::require_to_issue(&env);
    assert_eq!(rejected(&env), ["JWT_SECRETS"]);
}

#[test]
fn weak_and_embedded_secrets_are_refused_on_lambda() {
    for secret in [
        LOCAL_JWT_SECRET,
        "a-string-secret-at-least-256-bits-long",
        &"ab".repeat(20),
    ] {
        let env = Env::new([("JWT_SECRETS", secret), ("WECHAT_APPIDS", "wx1")]);
        let _ = TokenSettings::read(&env);
        assert_eq!(rejected(&env), ["JWT_SECRETS"], "{secret}");
    }
    let env =
        Env::new([("JWT_SECRETS", LOCAL_JWT_SECRET), ("WECHAT_APPIDS", "wx1")]).local_development();
    let _ = TokenSettings::read(&env);
    assert_eq!(env.validate(), Ok(()));
}

#[test]
fn the_embedded_data_key_is_for_local_use_only() {
    let vars = [("DATA_KEYS", LOCAL_DATA_KEYS)];
    let env = Env::new(vars);
    let _ = DataKeySettings::read(&env);
    assert_eq!(rejected(&env), ["DATA_KEYS"]);
    let env = Env::new(vars).local_development();
    assert_eq!(DataKeySettings::read(&env).keys.len(), 1);
    assert_eq!(env.validate(), Ok(()));
}

#[test]
fn several_mini_programs_and_secrets_keep_their_order() {
    let env = Env::new([
        ("JWT_SECRETS", &*format!("{GOOD_SECRET}, {GOOD_SECRET}2")),
        ("WECHAT_APPIDS", "wx1, wx2"),
        ("WECHAT_SECRETS", "wx2:b, wx1:a"),
    ]);
    let apps = WeChatSettings::read(&env).apps;
    assert_eq!(TokenSettings::read(&env).secrets.len(), 2);
    assert_eq!(env.validate(), Ok(()));
    let apps: Vec<_> = apps
        .iter()
        .map(|(id, secret)| (id.as_str(), secret.expose_secret()))
        .collect();
    assert_eq!(apps, [("wx1", "a"), ("wx2", "b")]);
}

#[test]
fn a_placeholder_key_is_refused() {
    let zeros = "00".repeat(32);
    let env = Env::new([("DATA_KEYS", &*format!("k:{zeros}"))]);
    let _ = DataKeySettings::read(&env);
    assert_eq!(rejected(&env), ["DATA_KEYS"]);
}

#[test]
fn two_keys_for_data_at_rest_have_two_ids() {
    let [one, other] = ["ab", "cd"].map(|byte| format!("{byte}00").repeat(16));
    let twice = format!("k1:{one},k1:{other}");
    let env = Env::new([("DATA_KEYS", &*twice)]);
    let _ = DataKeySettings::read(&env);
    assert_eq!(rejected(&env), ["DATA_KEYS"]);
}

#[test]
fn the_embedded_data_key_is_refused_under_any_name() {
    let (_, key) = LOCAL_DATA_KEYS.split_once(':').unwrap();
    let keys = format!("good:{},renamed:{key}", "0123456789abcdef".repeat(4));
    let env = Env::new([("DATA_KEYS", &*keys)]);
    let _ = DataKeySettings::read(&env);
    assert_eq!(rejected(&env), ["DATA_KEYS"]);
}

#[test]
fn lists_of_nothing_are_refused() {
    let names = [
        "JWT_SECRETS",
        "WECHAT_APPIDS",
        "WECHAT_SECRETS",
        "DATA_KEYS",
    ];
    let env = Env::new(names.map(|name| (name, " , ,")));
    let _ = (TokenSettings::read(&env), WeChatSettings::read(&env));
    let _ = DataKeySettings::read(&env);
    assert_eq!(rejected(&env), names);
}

#[test]
fn the_secret_does_not_travel_in_the_clear() {
    let base = |url: &str| {
        let env = Env::new([
            ("WECHAT_BASE_URL", url),
            ("WECHAT_APPIDS", "wx1"),
            ("WECHAT_SECRETS", "wx1:s"),
        ]);
        let _ = WeChatSettings::read(&env);
        env.validate().is_ok()
    };
    assert!(base("https://proxy.example/wechat"));
    assert!(base("http://127.0.0.1:9000/_wechat"));
    assert!(!base("http://proxy.example/wechat"));
    assert!(!base("ftp://proxy.example"));
}

#[test]
fn a_redis_can_be_one_server_or_a_cluster() {
    let read = |url: &str, mode: &str| {
        let env = Env::new([("REDIS_URL", url), ("REDIS_MODE", mode)]);
        let settings = RedisSettings::read(&env).unwrap();
        env.validate()
            .map(|()| settings.mode)
            .map_err(|errors| errors.0[0].name)
    };
    assert_eq!(read("rediss://u:p@a:1/3", ""), Ok(RedisMode::Standalone));
    assert_eq!(
        read("rediss://u:p@a:1, rediss://b:2/0", "cluster"),
        Ok(RedisMode::Cluster)
    );
    assert_eq!(
        read("redis://a:1,redis://b:2", "standalone"),
        Err("REDIS_URL")
    );
    assert_eq!(read("redis://a:1,", "cluster"), Err("REDIS_URL"));
    assert_eq!(
        read("redis://a:1/3", "cluster"),
        Err("REDIS_URL"),
        "a cluster has one database"
    );
    assert_eq!(read("unix:///tmp/redis.sock", "cluster"), Err("REDIS_URL"));
    assert_eq!(read("redis://a:1", "sentinel"), Err("REDIS_MODE"));
}

#[test]
fn a_user_that_iam_authenticates_needs_a_cache_and_a_url_without_a_password() {
    const URL: &str = "rediss://cache.example:6379";
    let read = |url: &'static str, user: &'static str, cache: &'static str| {
        let env = Env::new([
            ("REDIS_URL", url),
            ("REDIS_IAM_USER", user),
            ("REDIS_IAM_CACHE", cache),
            ("AWS_REGION", "cn-north-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ]);
        let iam = RedisSettings::read(&env).unwrap().iam;
        let iam = iam.map(|iam| (iam.user, iam.cache, iam.region));
        (iam, rejected(&env))
    };
    let owned = |user: &str, cache: &str| {
        let region = "cn-north-1".to_owned();
        Some((user.to_owned(), cache.to_owned(), region))
    };
    assert_eq!(read(URL, "", ""), (None, vec![]));
    assert_eq!(read(URL, "weapp", "c-1"), (owned("weapp", "c-1"), vec![]));
    let default = "default.iam-user";
    assert_eq!(read(URL, default, "c"), (owned(default, "c"), vec![]));
    assert_eq!(read(URL, "weapp", ""), (None, vec!["REDIS_IAM_CACHE"]));
    assert_eq!(read(URL, "", "cache"), (None, vec!["REDIS_IAM_USER"]));
    assert_eq!(read(URL, "we app", "c").1, ["REDIS_IAM_USER"]);
    // Caches are stored in lower case, and so is what is signed.
    assert_eq!(read(URL, "weapp", "Cache").1, ["REDIS_IAM_CACHE"]);
    for wrong in [
        "redis://cache.example:6379",
        "rediss://weapp@cache.example:6379",
        "rediss://:p@cache.example:6379",
    ] {
        assert_eq!(read(wrong, "weapp", "cache").1, ["REDIS_URL"], "{wrong}");
    }
}

#[test]
fn a_certificate_authority_is_pem_or_a_file_with_it() {
    let pem = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].to_vec();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64_STANDARD.encode(pem)
    );
    let read = |value: &str| {
        let env = Env::new([("REDIS_URL", "rediss://a"), ("REDIS_CA_CERT", value)]);
        (RedisSettings::read(&env).unwrap().ca, rejected(&env))
    };
    assert_eq!(read(&pem), (Some(pem.clone().into_bytes()), vec![]));
    assert_eq!(
        read("-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----"),
        (None, vec!["REDIS_CA_CERT"])
    );
    assert_eq!(read("/no/such/file"), (None, vec!["REDIS_CA_CERT"]));
    assert_eq!(
        read(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
        (None, vec!["REDIS_CA_CERT"])
    );
}
