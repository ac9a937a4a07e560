//! The documents of settings are what the settings' data give. `make generate` writes them.

mod dotenv;
mod markdown;
mod prose;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use e2e::binaries::workspace;
use shared::config::{Documented, Env, SECRET_SETTINGS, Section};

use crate::functions;
use markdown::Language;

/// Every setting: of `shared`, and of each crate that has some of its own.
pub fn all() -> Vec<Documented> {
    sorted(local::all_settings().chain(server::own_settings()))
}

/// Those of `make run`.
fn of_local() -> Vec<Documented> {
    sorted(local::all_settings())
}

fn sorted(settings: impl Iterator<Item = &'static Documented>) -> Vec<Documented> {
    let mut settings: Vec<_> = settings.copied().collect();
    settings.sort_by_key(|setting| setting.section);
    settings
}

/// The functions that read each setting, by its name.
fn readers() -> BTreeMap<String, Vec<String>> {
    let mut readers = BTreeMap::<_, Vec<_>>::new();
    for (function, routes) in functions::all() {
        for name in functions::reads(routes) {
            readers.entry(name).or_default().push(function.clone());
        }
    }
    readers
}

/// The files, with what they should say.
fn documents() -> [(&'static str, String); 3] {
    let (settings, readers) = (all(), readers());
    let page = |language| markdown::page(language, &settings, &readers);
    [
        ("docs/configuration.md", page(Language::English)),
        ("docs/zh/configuration.md", page(Language::Chinese)),
        (".env.example", dotenv::sample(&of_local())),
    ]
}

#[test]
fn the_documents_of_settings_are_up_to_date() {
    assert_up_to_date(&documents());
}

/// That these files say this; with `UPDATE` set, they are written.
pub fn assert_up_to_date(documents: &[(&'static str, String)]) {
    #[expect(clippy::disallowed_methods, reason = "a switch of these tests")]
    let update = std::env::var_os("UPDATE").is_some();
    let mut outdated = Vec::new();
    for (file, wanted) in documents {
        let path = workspace().join(file);
        let found = fs::read_to_string(&path).unwrap_or_default();
        if found != *wanted && update {
            write(&path, wanted);
        } else if found != *wanted {
            outdated.push(format!("{file}:\n{}", difference(&found, wanted)));
        }
    }
    assert!(
        outdated.is_empty(),
        "`make generate` updates these files:\n{}",
        outdated.join("\n")
    );
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The lines of one text that are not in the other.
fn difference(found: &str, wanted: &str) -> String {
    let only = |one: &str, other: &str, mark: char| {
        let other: BTreeSet<_> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines
            .map(|line| format!("{mark} {line}"))
            .collect::<Vec<_>>()
    };
    let lines = [only(found, wanted, '-'), only(wanted, found, '+')].concat();
    if lines.is_empty() {
        return "  the same lines in another order".to_owned();
    }
    lines.join("\n")
}

#[test]
fn every_variable_that_is_read_is_documented() {
    let documented: BTreeSet<_> = all().iter().map(|setting| setting.name).collect();
    let undocumented: Vec<_> = readers()
        .into_iter()
        .filter(|(name, _)| !documented.contains(name.as_str()))
        .map(|(name, functions)| format!("{name}, read by {}", functions.join(", ")))
        .collect();
    assert!(
        undocumented.is_empty(),
        "in no `settings!` list that tests/tests/project/settings.rs knows: {undocumented:?}"
    );
}

#[test]
fn every_setting_is_documented_once_and_read() {
    let (readers, mut names) = (readers(), BTreeSet::new());
    for setting in all() {
        let name = setting.name;
        assert!(names.insert(name), "{name} is declared twice");
        assert!(
            [Section::Server, Section::Local].contains(&setting.section)
                || readers.contains_key(name),
            "no function reads {name}"
        );
    }
    for secret in SECRET_SETTINGS {
        assert!(names.contains(secret), "{secret} is not a setting");
    }
}

/// The variables of `.env.example`, all uncommented.
fn sample() -> Vec<(String, String)> {
    let text = fs::read_to_string(workspace().join(".env.example")).unwrap();
    let lines = text.lines().map(dotenv::uncommented);
    lines
        .filter(|line| !line.is_empty())
        .flat_map(|line| {
            let setting = local::dotenv::parse(line.as_bytes());
            setting.unwrap_or_else(|errors| panic!(".env.example, {line}: {errors:?}"))
        })
        .collect()
}

#[test]
fn every_line_of_the_sample_can_be_uncommented() {
    let names: Vec<_> = sample().into_iter().map(|(name, _)| name).collect();
    let wanted: Vec<_> = of_local()
        .iter()
        .map(|setting| setting.name.to_owned())
        .collect();
    assert_eq!(names, wanted);
}

#[tokio::test]
async fn the_values_of_the_sample_are_valid() {
    // The example of one names a file, and users that IAM authenticates need an address with TLS, which
    // that of REDIS_URL is not.
    let left_out = ["REDIS_CA_CERT", "REDIS_IAM_USER", "REDIS_IAM_CACHE"];
    let sample = sample()
        .into_iter()
        .filter(|(name, _)| !left_out.contains(&&**name));
    let env = Env::new(sample)
        .or("JWT_SECRETS", shared::config::LOCAL_JWT_SECRET)
        .or("DATA_KEYS", shared::config::LOCAL_DATA_KEYS)
        .local_development();
    local::Settings::read(&env).unwrap_or_else(|errors| panic!("{errors}"));
    let instance = shared::instance::Instance::new(
        env,
        shared::clock::Clock::System,
        shared::random::Random::System,
    );
    let app = instance.app(local::routes(&instance));
    assert!(app.is_ok(), "{:?}", app.err());
}

#[tokio::test]
async fn the_settings_marked_so_have_a_value_in_make_run() {
    let data = tempfile::tempdir().unwrap();
    let env = Env::new([("PORT", "0"), ("DATA_DIR", data.path().to_str().unwrap())]);
    let gateway = local::Gateway::start(env, local::LogTail::default())
        .await
        .unwrap();
    let marked = all().into_iter().filter(|setting| setting.has_local_value);
    let marked: BTreeSet<_> = marked.map(|setting| setting.name).collect();
    // Local runs make a transport key instead of setting one.
    let set = all().into_iter().filter(|setting| {
        let is_given = ["PORT", "DATA_DIR"].contains(&setting.name);
        !is_given && gateway.instance.env().get(setting.name).is_some()
            || setting.name == "TRANSPORT_KEYS"
    });
    assert_eq!(marked, set.map(|setting| setting.name).collect());
}
