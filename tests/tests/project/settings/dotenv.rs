//! `.env.example`.

use std::fmt::Write;

use shared::config::{Documented, Form, Section};

use super::{markdown, markdown::Language};

const INTRODUCTION: &str = "\
# Settings of `make run`: copy this file to .env and uncomment what you change; nothing is needed.
# A line shows the default, or an example where it says so. The environment wins over .env.
# A value goes to the end of its line and is taken as it is: nothing in it is replaced. Quotes around
# it are removed; without them, a # behind a blank starts a comment.
# Made from the settings' declarations by `make generate`; docs/configuration.md has it as tables.
";

/// Longer lines of comments are wrapped.
const WIDTH: usize = 100;

/// The whole file.
pub fn sample(settings: &[Documented]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in Section::ALL {
        write!(text, "\n# --- {} ---\n", section.title().en).unwrap();
        for setting in settings.iter().filter(|setting| setting.section == section) {
            let value = value(setting);
            write!(text, "\n{}# {}={value}\n", comment(setting), setting.name).unwrap();
        }
    }
    text
}

/// A line without its comment sign, if a variable is commented out in it.
pub fn uncommented(line: &str) -> String {
    let is_variable = |(name, _): (&str, &str)| {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !name.is_empty() && name.bytes().all(plain)
    };
    let assignment = line
        .strip_prefix("# ")
        .filter(|rest| rest.split_once('=').is_some_and(is_variable));
    assignment.map_or_else(String::new, |assignment| format!("{assignment}\n"))
}

/// The default, or else an example.
fn value(setting: &Documented) -> String {
    let default = match setting.form {
        Form::Number { default, .. } => default.to_string(),
        Form::Port { default } => default.to_string(),
        Form::Words { default, .. } | Form::Text { default, .. } => default.to_owned(),
        Form::Optional { .. } | Form::Required { .. } | Form::List { .. } => String::new(),
    };
    setting.example.map_or(default, str::to_owned)
}

fn comment(setting: &Documented) -> String {
    let mut text = sentence(&without_links(setting.meaning.en));
    let wanted = markdown::wanted(Language::English, setting).replace('`', "");
    write!(text, "Values: {wanted}. ").unwrap();
    if let Some(unset) = setting.unset {
        text += &sentence(unset.en);
    }
    if setting.example.is_some() {
        text += "Example:";
    }
    wrapped(text.trim())
}

/// Starts with a capital and ends with a full stop and a blank.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}. ", first.unwrap_or_default(), rest.as_str())
}

/// `[text](target)` as `text`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let (name, after) = link.split_once("](").unwrap();
        plain = plain + before + name;
        rest = after.split_once(')').unwrap().1;
    }
    plain + rest
}

fn wrapped(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        if lines.last().unwrap().len() + 1 + word.len() > WIDTH {
            lines.push("#".to_owned());
        }
        let line = lines.last_mut().unwrap();
        line.push(' ');
        line.push_str(word);
    }
    lines.join("\n") + "\n"
}
