//! DynamoDB.

use secrecy::SecretString;

use crate::config::Env;

/// Where DynamoDB is. Region and credentials come from the variables that Lambda sets.
pub struct DynamoSettings {
    /// `TABLE_NAME`: default `weapp`.
    pub table: String,
    /// `AWS_REGION`: set by Lambda.
    pub region: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another DynamoDB than the region's, for local use and tests.
    pub endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`: set by Lambda.
    pub credentials: (String, SecretString, Option<SecretString>),
}

impl DynamoSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let wanted = "set by Lambda, by hand elsewhere";
        let secret = |text: &str| SecretString::from(text);
        Self {
            table: env.get("TABLE_NAME").unwrap_or("weapp").to_owned(),
            region: env.required("AWS_REGION", wanted).to_owned(),
            endpoint: env.get("AWS_ENDPOINT_URL_DYNAMODB").map(str::to_owned),
            credentials: (
                env.required("AWS_ACCESS_KEY_ID", wanted).to_owned(),
                secret(env.required("AWS_SECRET_ACCESS_KEY", wanted)),
                env.get("AWS_SESSION_TOKEN").map(secret),
            ),
        }
    }
}
