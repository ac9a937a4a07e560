//! `docs/configuration.md` and its Chinese counterpart.

use std::{collections::BTreeMap, fmt::Write};

use shared::config::{Documented, Form, SECRET_SETTINGS, Section, Translated};

use super::prose;
use crate::functions;

/// The language of a page.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    English,
    Chinese,
}

impl Language {
    pub fn of(self, text: Translated) -> &'static str {
        match self {
            Self::English => text.en,
            Self::Chinese => text.zh,
        }
    }
}

/// A whole page. `readers` are the functions that read each setting.
pub fn page(
    language: Language,
    settings: &[Documented],
    readers: &BTreeMap<String, Vec<String>>,
) -> String {
    let mut text = language.of(prose::INTRODUCTION).to_owned();
    for section in Section::ALL {
        write!(text, "\n## {}\n\n", language.of(section.title())).unwrap();
        if let Some(note) = prose::note(section) {
            text = text + language.of(note) + "\n\n";
        }
        text += language.of(prose::TABLE);
        for setting in settings.iter().filter(|setting| setting.section == section) {
            let readers = readers.get(setting.name).map_or(&[][..], Vec::as_slice);
            text += &row(language, setting, readers);
        }
    }
    text + language.of(prose::FOOTNOTES)
}

fn row(language: Language, setting: &Documented, readers: &[String]) -> String {
    let mut name = format!("`{}`", setting.name);
    if setting.has_local_value {
        name += " ¹";
    }
    if SECRET_SETTINGS.contains(&setting.name) {
        name += " ²";
    }
    let cells = [
        name,
        default(language, setting),
        wanted(language, setting),
        language.of(setting.meaning).to_owned(),
        read_by(language, setting, readers),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn default(language: Language, setting: &Documented) -> String {
    if let Some(unset) = setting.unset {
        return language.of(unset).to_owned();
    }
    match setting.form {
        Form::Number { default, .. } => format!("`{default}`"),
        Form::Port { default } => format!("`{default}`"),
        Form::Words { default, .. } | Form::Text { default, .. } => format!("`{default}`"),
        Form::Required { .. } | Form::List { required: true, .. } => {
            language.of(prose::REQUIRED).to_owned()
        }
        Form::Optional { .. } | Form::List { .. } => language.of(prose::NOT_SET).to_owned(),
    }
}

/// The values that a setting takes.
pub fn wanted(language: Language, setting: &Documented) -> String {
    match setting.form {
        Form::Number { min, max, unit, .. } => {
            let range = format!("{min}{}{max}", language.of(prose::TO));
            unit.map_or(range.clone(), |unit| format!("{range} {unit}"))
        }
        Form::Port { .. } => language.of(prose::PORT).to_owned(),
        Form::Words { words, .. } => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(language.of(prose::OR))
        }
        Form::Text { wanted, .. }
        | Form::Optional { wanted }
        | Form::Required { wanted }
        | Form::List { wanted, .. } => match language {
            Language::English => wanted.to_owned(),
            Language::Chinese => setting
                .wanted_zh
                .unwrap_or_else(|| panic!("{} has no wanted_zh(…)", setting.name))
                .to_owned(),
        },
    }
}

fn read_by(language: Language, setting: &Documented, readers: &[String]) -> String {
    let is_of_both = || {
        let mut of_both = gateway::DOCUMENTED.iter();
        of_both.any(|known| known.name == setting.name)
    };
    match readers.len() {
        0 if setting.section == Section::Local => "`make run`".to_owned(),
        0 if is_of_both() => "`make run`, `server`".to_owned(),
        0 => "`server`".to_owned(),
        count if count == functions::all().len() => language.of(prose::ALL).to_owned(),
        _ => readers.join(language.of(prose::AND)),
    }
}
