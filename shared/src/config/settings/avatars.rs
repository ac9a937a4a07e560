//! Uploaded avatars, and the bucket that they are in.

use std::time::Duration;

use url::Url;

use super::DynamoSettings;
use crate::{
    config::{AwsCredentials, Env, Number, Optional, Period, Setting, Text},
    settings,
};

settings! {
    /// The settings of avatars.
    pub DOCUMENTED in Avatars;

    pub AVATAR_BUCKET: Optional = Optional::new("a bucket's name, without dots"),
        "the bucket of uploaded avatars",
        "存放上传头像的存储桶",
        wanted_zh("存储桶名，不含点"), unset("not set: avatars can't be uploaded", "未设置：不能上传头像"), example("weapp-avatars"), has_local_value();
    pub AVATAR_BASE_URL: Optional = Optional::new("a URL without a query; needed with AVATAR_BUCKET"),
        "where clients see published avatars: a CDN in front of the bucket, or another way to read below `avatars/`",
        "客户端读取头像的地址：存储桶前的 CDN，或其他能读取 `avatars/` 的地址",
        wanted_zh("不含查询参数的 URL；设置 AVATAR_BUCKET 时必填"), example("https://static.example.com"), has_local_value();
    pub AVATAR_UPLOAD_URL: Optional = Optional::new("a URL without a query"),
        "where forms are posted to, if not to the bucket's own URL: a domain of yours in front of it, because `wx.uploadFile` calls only filed domains",
        "表单的提交地址，默认为存储桶自身的 URL；`wx.uploadFile` 只能访问已备案的域名，可在此填写存储桶前的自有域名",
        wanted_zh("不含查询参数的 URL"), unset("not set: the bucket's URL", "未设置：存储桶的 URL"), example("https://upload.example.com");
    pub AWS_ENDPOINT_URL_S3: Optional = Optional::new("a URL"),
        "another S3 than the region's, or what speaks its protocol; the bucket is then part of the path",
        "换用其他 S3 或兼容其协议的存储，存储桶名位于路径中",
        wanted_zh("URL"), unset("not set: the region's", "未设置：该区域的 S3"), example("http://127.0.0.1:9001"), has_local_value();
    AVATAR_MAX_BYTES: Number = Number::new(2_097_152, 1024..=10_485_760),
        "size of an uploaded avatar at most, in bytes; WeChat checks pictures of up to 10 MiB",
        "上传头像的大小上限（字节）；微信最多检测 10 MiB 的图片";
    AVATAR_UPLOAD_SECONDS: Period = Period::seconds(300, 30..=3600),
        "how long a form can be posted",
        "上传表单的有效时间";
    AVATAR_CHECK_TIMEOUT_SECONDS: Period = Period::seconds(1800, 60..=43_200),
        "how long WeChat's verdict on an avatar is waited for; after that the next confirmation asks again, or publishes with `CONTENT_CHECK_ON_FAILURE=allow`",
        "等待微信头像检测结果的时间；超时后下一次确认会重新送检，`CONTENT_CHECK_ON_FAILURE=allow` 时直接发布";
    AVATAR_HOSTS: Text = Text::new("thirdwx.qlogo.cn,wx.qlogo.cn", "hosts separated by commas, such as `img.example.com`, or `*.example.com` for all below one"),
        "hosts of the addresses that users may set as `avatarUrl` themselves",
        "用户可自行设为 `avatarUrl` 的地址所在主机",
        wanted_zh("以逗号分隔的主机名，如 `img.example.com`；`*.example.com` 表示其所有子域");
}

/// The bucket of avatars, and who calls it.
pub struct ObjectSettings {
    /// `AVATAR_BUCKET`.
    pub bucket: String,
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ENDPOINT_URL_S3`.
    pub endpoint: Option<String>,
    /// `AVATAR_UPLOAD_URL`.
    pub upload_url: Option<String>,
    /// Those of DynamoDB.
    pub credentials: AwsCredentials,
}

/// Uploaded avatars.
pub struct AvatarSettings {
    /// Where they are.
    pub objects: ObjectSettings,
    /// `AVATAR_BASE_URL`, without a slash at its end.
    pub base_url: String,
    /// `AVATAR_MAX_BYTES`.
    pub max_bytes: u32,
    /// `AVATAR_UPLOAD_SECONDS`.
    pub upload_lifetime: Duration,
    /// `AVATAR_CHECK_TIMEOUT_SECONDS`.
    pub check_timeout: Duration,
}

impl AvatarSettings {
    /// Reads the settings; config errors are recorded in `env`. `None` where there is no bucket.
    #[must_use]
    pub fn read(env: &Env) -> Option<Self> {
        let bucket = AVATAR_BUCKET.get(env)?.trim().to_owned();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_name) {
            AVATAR_BUCKET.add_error(env, "can't be read; wanted: a bucket's name, without dots");
        }
        let base_url = address(&AVATAR_BASE_URL, env);
        if AVATAR_BASE_URL.get(env).is_none() {
            AVATAR_BASE_URL.add_error(env, "is not set; it is needed with AVATAR_BUCKET");
        }
        let dynamo = DynamoSettings::read(env);
        Some(Self {
            objects: ObjectSettings {
                bucket,
                region: dynamo.region,
                endpoint: address(&AWS_ENDPOINT_URL_S3, env),
                upload_url: address(&AVATAR_UPLOAD_URL, env),
                credentials: dynamo.credentials,
            },
            base_url: base_url.unwrap_or_default(),
            max_bytes: AVATAR_MAX_BYTES.read(env),
            upload_lifetime: AVATAR_UPLOAD_SECONDS.read(env),
            check_timeout: AVATAR_CHECK_TIMEOUT_SECONDS.read(env),
        })
    }
}

/// The URL, without a slash at its end.
fn address(setting: &Setting<Optional>, env: &Env) -> Option<String> {
    let text = setting.get(env)?.trim();
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.password().is_none()
    });
    if url.is_none() {
        setting.add_error(
            env,
            "can't be read; wanted: an http or https URL without a query",
        );
    }
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
}

/// `AVATAR_HOSTS`: the hosts whose addresses users may set as their avatar's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarHosts(Vec<String>);

impl AvatarHosts {
    /// Reads the setting; an entry that is no host is a config error.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let hosts = AVATAR_HOSTS.parse(env, |text| {
            let entries = text.split(',').map(str::trim);
            let entries = entries.filter(|entry| !entry.is_empty());
            entries.map(host).collect::<Option<Vec<_>>>()
        });
        Self(hosts.unwrap_or_default())
    }

    /// Whether addresses of this host may be set, at the default port.
    #[must_use]
    pub fn allow(&self, host: &str) -> bool {
        self.0.iter().any(|entry| match entry.strip_prefix('*') {
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == entry,
        })
    }
}

/// The entry in lower case, if it is a host, or `*.` and a domain.
fn host(entry: &str) -> Option<String> {
    let bare = entry.strip_prefix("*.").unwrap_or(entry);
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (bare.contains('.') && bare.split('.').all(is_label)).then(|| entry.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_exact_or_all_below_a_domain() {
        let hosts = AvatarHosts::read(&Env::new([("AVATAR_HOSTS", "a.cn, *.B.cn")]));
        for (host, allowed) in [
            ("a.cn", true),
            ("x.a.cn", false),
            ("xa.cn", false),
            ("x.b.cn", true),
            ("y.x.b.cn", true),
            ("b.cn", false),
            ("xb.cn", false),
            ("", false),
        ] {
            assert_eq!(hosts.allow(host), allowed, "{host}");
        }
        let wechats = AvatarHosts::read(&Env::new::<&str, &str>([]));
        assert!(wechats.allow("thirdwx.qlogo.cn") && !wechats.allow("a.cn"));
    }

    #[test]
    fn a_text_that_names_no_host_is_a_config_error() {
        for wrong in [
            "https://a.cn",
            "a.cn/x",
            "*",
            "*.",
            "cn",
            "a..cn",
            "a.cn:8080",
        ] {
            let env = Env::new([("AVATAR_HOSTS", wrong)]);
            let _ = AvatarHosts::read(&env);
            assert_eq!(env.validate().unwrap_err().0.len(), 1, "{wrong}");
        }
    }

    const AWS: [(&str, &str); 3] = [
        ("AWS_REGION", "local"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];

    #[test]
    fn a_bucket_needs_an_address_for_its_pictures() {
        let read = |settings: &[(&'static str, &'static str)]| {
            let env = Env::new(AWS.iter().chain(settings).copied());
            let settings = AvatarSettings::read(&env);
            (settings, env.validate().map_err(|errors| errors.0.len()))
        };
        assert!(read(&[]).0.is_none());
        let (settings, valid) = read(&[
            ("AVATAR_BUCKET", "pictures"),
            ("AVATAR_BASE_URL", "https://a.cn/x/"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(
            (&*settings.base_url, settings.max_bytes),
            ("https://a.cn/x", 2_097_152)
        );
        assert_eq!(valid, Ok(()));
        assert_eq!(read(&[("AVATAR_BUCKET", "pictures")]).1, Err(1));
        assert_eq!(
            read(&[
                ("AVATAR_BUCKET", "a.b"),
                ("AVATAR_BASE_URL", "a.cn"),
                ("AVATAR_UPLOAD_URL", "https://a.cn/?x"),
                ("AWS_ENDPOINT_URL_S3", "ftp://a.cn"),
                ("AVATAR_MAX_BYTES", "1"),
            ])
            .1,
            Err(5)
        );
    }
}
