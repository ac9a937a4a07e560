//! DynamoDB.

use crate::{
    config::{AwsCredentials, AwsKeys, Env, Optional, Required, Text},
    settings,
};

settings! {
    /// The settings of DynamoDB.
    pub DOCUMENTED in Database;

    TABLE_NAME: Text = Text::new("weapp", "a table's name"),
        "the DynamoDB table",
        "DynamoDB 表名",
        wanted_zh("表名");
    pub AWS_REGION: Required = Required::new("a region; Lambda sets it, elsewhere it is set by hand"),
        "region of the table",
        "表所在区域",
        wanted_zh("区域名；由 Lambda 设置，其他环境手动设置"), example("ap-southeast-1"), has_local_value();
    pub AWS_ACCESS_KEY_ID: Required = Required::new("an access key ID; Lambda sets it, elsewhere it is set by hand"),
        "credentials",
        "凭证",
        wanted_zh("访问密钥 ID；由 Lambda 设置，其他环境手动设置"), example("AKIAIOSFODNN7EXAMPLE"), has_local_value();
    pub AWS_SECRET_ACCESS_KEY: Required = Required::new("a secret access key; Lambda sets it, elsewhere it is set by hand"),
        "credentials",
        "凭证",
        wanted_zh("私有访问密钥；由 Lambda 设置，其他环境手动设置"), example("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), has_local_value();
    pub AWS_SESSION_TOKEN: Optional = Optional::new("a session token; Lambda sets it"),
        "temporary credentials; also proves to the secrets extension that the caller is this function",
        "临时凭证；也用于向密钥扩展证明调用者是本函数",
        wanted_zh("会话令牌；由 Lambda 设置");
    pub AWS_ENDPOINT_URL_DYNAMODB: Optional = Optional::new("a URL"),
        "another DynamoDB than the region's; its table must exist",
        "换用其他 DynamoDB，表须已建好",
        wanted_zh("URL"), unset("not set: the region's", "未设置：该区域的 DynamoDB"), example("http://127.0.0.1:8000"), has_local_value();
}

/// Where DynamoDB is. Region and credentials come from the variables that Lambda sets, or the
/// credentials from [`Env::with_credentials`].
pub struct DynamoSettings {
    /// `TABLE_NAME`.
    pub table: String,
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another DynamoDB than the region's, for local use and tests.
    pub endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub credentials: AwsCredentials,
}

impl DynamoSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            table: TABLE_NAME.read(env).to_owned(),
            region: AWS_REGION.read(env).to_owned(),
            endpoint: AWS_ENDPOINT_URL_DYNAMODB.get(env).map(str::to_owned),
            credentials: env.credentials().unwrap_or_else(|| of_variables(env)),
        }
    }
}

fn of_variables(env: &Env) -> AwsCredentials {
    AwsCredentials::new(AwsKeys {
        id: AWS_ACCESS_KEY_ID.read(env).to_owned(),
        secret: AWS_SECRET_ACCESS_KEY.read(env).into(),
        session: AWS_SESSION_TOKEN.get(env).map(Into::into),
    })
}
