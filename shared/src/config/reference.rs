//! A value that names the place where a secret is kept: `ssm:/name` or `secretsmanager:name`.

/// The settings that may name a place instead of a value; in a comma list, each part may.
pub const SECRET_SETTINGS: [&str; 8] = [
    "JWT_SECRETS",
    "JWT_KEYS",
    "DATA_KEYS",
    "TRANSPORT_KEYS",
    "WECHAT_SECRETS",
    "MESSAGE_PUSH",
    "REDIS_URL",
    "WEBHOOKS",
];

/// Where a value is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    /// A parameter of SSM Parameter Store, decrypted.
    Parameter(&'a str),
    /// A secret of Secrets Manager, by name or ARN.
    Secret(&'a str),
}

impl<'a> Reference<'a> {
    pub(super) fn parse(part: &'a str) -> Option<Self> {
        let name = |prefix| part.strip_prefix(prefix).filter(|name| !name.is_empty());
        name("ssm:")
            .map(Self::Parameter)
            .or_else(|| name("secretsmanager:").map(Self::Secret))
    }
}

/// The parts of a comma list.
pub(super) fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

/// Whether `value`, or a part of it, is a reference.
pub(super) fn contains_reference(value: &str) -> bool {
    parts(value).any(|part| Reference::parse(part).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_known_by_its_prefix() {
        assert_eq!(
            Reference::parse("ssm:/weapp/jwt"),
            Some(Reference::Parameter("/weapp/jwt"))
        );
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:weapp-AbCdEf";
        assert_eq!(
            Reference::parse(&format!("secretsmanager:{arn}")),
            Some(Reference::Secret(arn))
        );
        for value in [
            "",
            "ssm:",
            "secretsmanager:",
            "SSM:/x",
            "wx1:ssm:/x",
            "redis://:p@h/0",
        ] {
            assert_eq!(Reference::parse(value), None, "{value}");
        }
    }
}
