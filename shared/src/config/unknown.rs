//! Names in the environment that look like settings and are none: a misspelled one would be ignored
//! silently.

use super::{DOCUMENTED, Env};

/// What the names of settings start with. Names that start otherwise belong to other programs.
const PREFIXES: [&str; 11] = [
    "WECHAT",
    "MESSAGE_PUSH",
    "CONTENT_CHECK",
    "JWT_",
    "DATA_KEY",
    "TRANSPORT_KEY",
    "REDIS_",
    "RATE_LIMIT",
    "BREAKER_",
    "CORS_ORIGIN",
    "TRUSTED_PROX",
];

/// Those that only settings of this crate start with.
const OWN_PREFIXES: [&str; 5] = ["WECHAT_", "JWT_", "REDIS_", "RATE_LIMIT_", "BREAKER_"];

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

/// The names in `env` that start like settings and are not among `known`.
#[must_use]
pub fn unknown_names(env: &Env, known: &[&'static str]) -> Vec<UnknownName> {
    let looks_like_one = |name: &str| {
        let name = name.to_ascii_uppercase();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.starts_with("RATELIMIT")
    };
    let unknown = env.names().filter(|name| !known.contains(name));
    unknown
        .filter(|name| looks_like_one(name))
        .map(|name| UnknownName {
            name: name.to_owned(),
            meant: meant(name, known),
        })
        .collect()
}

/// Logs the names that a deployed function does not know: never a reason not to start, because any
/// tool may add variables to a function.
pub(crate) fn log_unknown_names(env: &Env) {
    for UnknownName { name, meant } in unknown_names(env, &NAMES) {
        if OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            tracing::warn!(name, meant, "no setting has this name");
        }
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
