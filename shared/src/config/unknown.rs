//! Names in the environment that look like settings and are none: a misspelled one would be ignored
//! silently.

use super::{DOCUMENTED, Env};

/// What the names of settings start with. Names that start otherwise belong to other programs, unless
/// they are a letter away from a setting.
const PREFIXES: [&str; 15] = [
    "WECHAT",
    "MESSAGE_PUSH",
    "USER_MESSAGE",
    "CONTENT_CHECK",
    "JWT_",
    "DATA_KEY",
    "TRANSPORT_KEY",
    "REDIS_",
    "RATE_LIMIT",
    "BREAKER_",
    "CORS_ORIGIN",
    "TRUSTED_PROX",
    "MAX_SESSION",
    "NICKNAME_",
    "AVATAR_",
];

/// Those that only settings of this crate start with.
const OWN_PREFIXES: [&str; 6] = [
    "WECHAT_",
    "JWT_",
    "REDIS_",
    "RATE_LIMIT_",
    "BREAKER_",
    "MAX_SESSION",
];

/// Shorter names of settings are a letter away from names of other programs.
const MIN_COMPARED: usize = 8;

/// Names that many other programs read, although they are a letter away from a setting.
const OF_OTHER_PROGRAMS: [&str; 1] = ["LOGLEVEL"];

/// Other words for parts of names.
const SYNONYMS: [(&str, &str); 6] = [
    ("APPSECRET", "SECRET"),
    ("APP_SECRET", "SECRET"),
    ("APP_ID", "APPID"),
    ("RATELIMIT", "RATE_LIMIT"),
    ("PROXY", "PROXIES"),
    ("URI", "URL"),
];

/// The number of this crate's settings.
const COUNT: usize = {
    let (mut count, mut list) = (0, 0);
    while list < DOCUMENTED.len() {
        count += DOCUMENTED[list].len();
        list += 1;
    }
    count
};

/// The names of this crate's settings, without their texts: a function's binary holds these only.
static NAMES: [&str; COUNT] = {
    let mut names = [""; COUNT];
    let (mut count, mut list) = (0, 0);
    while list < DOCUMENTED.len() {
        let mut setting = 0;
        while setting < DOCUMENTED[list].len() {
            names[count] = DOCUMENTED[list][setting].name;
            (count, setting) = (count + 1, setting + 1);
        }
        list += 1;
    }
    names
};

/// A name that looks like a setting and is none.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// The setting that is probably meant.
    pub meant: Option<&'static str>,
}

/// The names in `env` that start like settings, or are a letter away from one, and are not among
/// `known`.
#[must_use]
pub fn unknown_names(env: &Env, known: &[&'static str]) -> Vec<UnknownName> {
    let looks_like_one = |name: &str| {
        let name = name.to_ascii_uppercase();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.starts_with("RATELIMIT")
    };
    let unknown = env.names().filter(|name| !known.contains(name));
    unknown
        .filter(|name| looks_like_one(name) || near_miss(name, known).is_some())
        .map(|name| UnknownName {
            name: name.to_owned(),
            meant: near_miss(name, known).or_else(|| meant(name, known)),
        })
        .collect()
}

/// Logs the names that a deployed function does not know: never a reason not to start, because any
/// tool may add variables to a function.
pub(crate) fn log_unknown_names(env: &Env) {
    for UnknownName { name, meant } in unknown_names(env, &NAMES) {
        let is_own = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if is_own || near_miss(&name, &NAMES).is_some() {
            tracing::warn!(name, meant, "no setting has this name");
        }
    }
}

/// The setting whose name differs from `name` by a letter, by two letters that are swapped, or only
/// by lower-case letters.
fn near_miss(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    if OF_OTHER_PROGRAMS.contains(&name.as_str()) {
        return None;
    }
    let compared = known.iter().filter(|known| known.len() >= MIN_COMPARED);
    compared
        .copied()
        .find(|known| differ_by_a_letter(name.as_bytes(), known.as_bytes()))
}

/// Whether one letter has to be added, removed or replaced, or two neighbours swapped; or nothing.
fn differ_by_a_letter(one: &[u8], other: &[u8]) -> bool {
    let same_start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[same_start..], &other[same_start..]);
    let from_the_end = one.iter().rev().zip(other.iter().rev());
    let same_end = from_the_end.take_while(|(a, b)| a == b).count();
    match (
        &one[..one.len() - same_end],
        &other[..other.len() - same_end],
    ) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

/// The setting whose name differs from `name` by a letter or two, or by another word for the same.
fn meant(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let comparable = |name: &str| {
        let name = name.to_ascii_uppercase();
        let replaced = SYNONYMS
            .iter()
            .fold(name, |name, (other, word)| name.replace(other, word));
        replaced.replace('_', "")
    };
    let name = comparable(name);
    known
        .iter()
        .map(|known| (distance(&name, &comparable(known)), *known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, known)| known)
}

/// The Levenshtein distance: how many letters have to be added, removed or replaced.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("ab", "", 2),
            ("abc", "abx", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), wanted, "{one} {other}");
        }
    }

    #[test]
    fn a_letter_is_added_removed_replaced_or_swapped() {
        for (one, other, wanted) in [
            ("DATA_DIR", "DATA_DIR", true),
            ("DATADIR", "DATA_DIR", true),
            ("DATAA_DIR", "DATA_DIR", true),
            ("DATA_DIRS", "DATA_DIR", true),
            ("ATA_DIR", "DATA_DIR", true),
            ("DATE_DIR", "DATA_DIR", true),
            ("DATA_DRI", "DATA_DIR", true),
            ("ADTA_DIR", "DATA_DIR", true),
            ("DATADIRS", "DATA_DIR", false),
            ("DATE_DIT", "DATA_DIR", false),
            ("DA_DIR", "DATA_DIR", false),
            ("", "DATA_DIR", false),
        ] {
            let near = differ_by_a_letter(one.as_bytes(), other.as_bytes());
            assert_eq!(near, wanted, "{one} {other}");
            let near = differ_by_a_letter(other.as_bytes(), one.as_bytes());
            assert_eq!(near, wanted, "{other} {one}");
        }
    }

    #[test]
    fn variables_of_lambda_and_of_systems_are_no_near_misses() {
        for name in [
            "AWS_DEFAULT_REGION",
            "AWS_EXECUTION_ENV",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_LOG_FORMAT",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_LEVEL",
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_SECURITY_TOKEN",
            "AWS_XRAY_DAEMON_ADDRESS",
            "LAMBDA_RUNTIME_DIR",
            "LAMBDA_TASK_ROOT",
            "LD_LIBRARY_PATH",
            "LOGLEVEL",
            "LOGNAME",
            "OLDPWD",
            "RUST_LOG",
            "XDG_DATA_DIRS",
            "_HANDLER",
        ] {
            assert_eq!(near_miss(name, &NAMES), None, "{name}");
        }
        assert_eq!(near_miss("LOGL_EVEL", &NAMES), Some("LOG_LEVEL"));
    }

    #[test]
    fn the_own_prefixes_are_of_settings_of_this_crate() {
        for prefix in OWN_PREFIXES {
            assert!(
                NAMES.iter().any(|name| name.starts_with(prefix)),
                "{prefix}"
            );
        }
        let env = Env::new(NAMES.map(|name| (name, "x")));
        assert_eq!(unknown_names(&env, &NAMES), []);
    }
}
