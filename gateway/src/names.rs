//! Names in the environment that look like settings but are not.

use shared::config::{Env, UnknownName, unknown_names};

/// Records a misspelled name as a config error of the setting that is meant. Returns the other
/// names that start like settings, which may belong to another program. `known` are all settings.
#[must_use]
pub fn check_names(env: &Env, known: &[&'static str]) -> Vec<String> {
    let mut ignored = Vec::new();
    for unknown in unknown_names(env, known) {
        match misspelled(env, &unknown) {
            Some(meant) => {
                env.add_error(
                    meant,
                    format!(
                        "{} is set, which is no setting; {meant} is meant",
                        unknown.name
                    ),
                );
            }
            None => ignored.push(unknown.name),
        }
    }
    ignored
}

/// The names in `env` that look like settings and are ignored, for a start that is refused; empty if
/// there are none. Names that are config errors are not among them. `known` are all settings.
#[must_use]
pub fn ignored_names(env: &Env, known: &[&'static str]) -> Vec<String> {
    let unknown = unknown_names(env, known).into_iter();
    let ignored = unknown.filter(|unknown| misspelled(env, unknown).is_none());
    ignored.map(|unknown| unknown.name).collect()
}

/// The setting that the name is a misspelling of.
fn misspelled(env: &Env, unknown: &UnknownName) -> Option<&'static str> {
    // Where the right name is set as well, the other one is somebody else's.
    unknown.meant.filter(|meant| env.get(meant).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings_of_functions;

    fn known() -> Vec<&'static str> {
        settings_of_functions()
            .map(|setting| setting.name)
            .collect()
    }

    fn checked(names: &[&str]) -> (Vec<&'static str>, Vec<String>) {
        let env = Env::new(names.iter().map(|name| (*name, "hunter2")));
        let ignored = check_names(&env, &known());
        let errors = env.validate().err().map(|errors| errors.0);
        let errors = errors.unwrap_or_default();
        assert!(!format!("{errors:?}").contains("hunter2"));
        (errors.iter().map(|error| error.name).collect(), ignored)
    }

    #[test]
    fn a_misspelled_name_is_an_error_of_the_setting_that_is_meant() {
        for (name, meant) in [
            ("WECHAT_APPID", "WECHAT_APPIDS"),
            ("WECHAT_APP_ID", "WECHAT_APPIDS"),
            ("WECHAT_APP_IDS", "WECHAT_APPIDS"),
            ("WECHAT_SECRET", "WECHAT_SECRETS"),
            ("WECHAT_APP_SECRET", "WECHAT_SECRETS"),
            ("WECHAT_APPSECRETS", "WECHAT_SECRETS"),
            ("wechat_appids", "WECHAT_APPIDS"),
            ("REDIS_URI", "REDIS_URL"),
            ("REDIS_URLS", "REDIS_URL"),
            ("JWT_SECRET", "JWT_SECRETS"),
            ("JWT_KEY", "JWT_KEYS"),
            ("RATE_LIMIT_LOGINS", "RATE_LIMIT_LOGIN"),
            ("RATELIMIT_LOGIN", "RATE_LIMIT_LOGIN"),
            ("BREAKER_OPENMS", "BREAKER_OPEN_MS"),
            ("DATA_KEY", "DATA_KEYS"),
            ("CORS_ORIGIN", "CORS_ORIGINS"),
            ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
            ("MESSAGE_PUSHES", "MESSAGE_PUSH"),
            ("MAX_SESSION", "MAX_SESSIONS"),
            ("LOGL_EVEL", "LOG_LEVEL"),
            ("LOG_LEVELS", "LOG_LEVEL"),
            ("log_level", "LOG_LEVEL"),
            ("TABLE_NAMES", "TABLE_NAME"),
            ("METRICS_PROT", "METRICS_PORT"),
            ("NICKNAME_MIN_CHARACTER", "NICKNAME_MIN_CHARACTERS"),
        ] {
            assert_eq!(checked(&[name]), (vec![meant], vec![]), "{name}");
        }
    }

    #[test]
    fn other_names_that_start_like_settings_are_told() {
        for name in [
            "WECHAT_TOKEN_OF_ANOTHER_PROGRAM",
            "REDIS_PASSWORD",
            "JWT_EXPIRES_IN",
            "NICKNAME_MIN",
        ] {
            assert_eq!(checked(&[name]), (vec![], vec![name.to_owned()]));
        }
        let both = checked(&["JWT_SECRETS", "JWT_SECRET"]);
        assert_eq!(both, (vec![], vec!["JWT_SECRET".to_owned()]));
    }

    #[test]
    fn the_ignored_names_of_a_refused_start_are_those_that_are_no_errors() {
        let names = ["JWT_SECRET", "REDIS_PASSWORD", "METRICS_PROT", "PATH"];
        let env = Env::new(names.map(|name| (name, "hunter2")));
        assert_eq!(ignored_names(&env, &known()), ["REDIS_PASSWORD"]);
        assert_eq!(env.validate(), Ok(()));
    }

    #[test]
    fn names_of_other_programs_and_all_settings_are_left_alone() {
        let others = [
            "PATH",
            "HOSTNAME",
            "POSTS",
            "LOGLEVEL",
            "LANG",
            "AWS_PROFILE",
            "AWS_DEFAULT_REGION",
            "LOGNAME",
            "USERNAME",
            "XDG_DATA_DIRS",
        ];
        assert_eq!(checked(&others), (vec![], vec![]));
        let env = Env::new(known().iter().map(|name| (*name, "x")));
        assert!(check_names(&env, &known()).is_empty());
        assert_eq!(env.validate().err().map_or(0, |errors| errors.0.len()), 0);
    }
}
