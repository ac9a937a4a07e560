//! Settings that are words, texts, or lists of them.

use super::{
    super::{Env, documented::Form},
    Setting,
};

/// One of a few words, each of which means a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Words<T: 'static> {
    names: &'static [&'static str],
    values: &'static [T],
    default: usize,
}

impl<T: Copy> Words<T> {
    /// The words with the values that they mean, and the index of the default.
    ///
    /// # Panics
    /// When compiled: without a value for each word, or a default among them.
    #[must_use]
    pub const fn new(names: &'static [&'static str], values: &'static [T], default: usize) -> Self {
        assert!(names.len() == values.len(), "a value for each word");
        assert!(default < names.len(), "a default among the words");
        Self {
            names,
            values,
            default,
        }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        Form::Words {
            default: self.names[self.default],
            words: self.names,
        }
    }
}

impl<T: Copy> Setting<Words<T>> {
    /// What the word means.
    #[must_use]
    pub fn read(&self, env: &Env) -> T {
        let Words { names, values, .. } = self.form;
        let wanted = || names.join(" or ");
        let index = |text: &str| names.iter().position(|name| *name == text);
        values[self.parse_or(env, self.form.default, wanted, index)]
    }
}

/// A text with a default.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    default: &'static str,
    wanted: &'static str,
}

impl Text {
    /// `default` where it is not set; `wanted` names what is right.
    #[must_use]
    pub const fn new(default: &'static str, wanted: &'static str) -> Self {
        Self { default, wanted }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        Form::Text {
            default: self.default,
            wanted: self.wanted,
        }
    }
}

impl Setting<Text> {
    /// The text.
    #[must_use]
    pub fn read<'e>(&self, env: &'e Env) -> &'e str {
        self.get(env).unwrap_or(self.form.default)
    }

    /// The default.
    #[must_use]
    pub const fn default(&self) -> &'static str {
        self.form.default
    }

    /// What `parse` makes of the text. `None` when it rejects it, which is a config error.
    pub fn parse<T>(&self, env: &Env, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let parsed = parse(self.read(env).trim());
        if parsed.is_none() {
            self.add_error(env, format!("can't be read; wanted: {}", self.form.wanted));
        }
        parsed
    }
}

/// A text that may be missing: [`Setting::get`] reads it.
#[derive(Clone, Copy, Debug)]
pub struct Optional {
    wanted: &'static str,
}

impl Optional {
    /// `wanted` names what is right.
    #[must_use]
    pub const fn new(wanted: &'static str) -> Self {
        Self { wanted }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        Form::Optional {
            wanted: self.wanted,
        }
    }
}

/// A text that has to be set.
#[derive(Clone, Copy, Debug)]
pub struct Required {
    wanted: &'static str,
}

impl Required {
    /// `wanted` names what is right.
    #[must_use]
    pub const fn new(wanted: &'static str) -> Self {
        Self { wanted }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        Form::Required {
            wanted: self.wanted,
        }
    }
}

impl Setting<Required> {
    /// The text; that it is not set is a config error.
    #[must_use]
    pub fn read<'e>(&self, env: &'e Env) -> &'e str {
        self.get(env).unwrap_or_else(|| {
            self.add_error(env, format!("is not set; wanted: {}", self.form.wanted));
            ""
        })
    }
}

/// Entries separated by commas.
#[derive(Clone, Copy, Debug)]
pub struct List {
    wanted: &'static str,
    required: bool,
}

impl List {
    /// At least one entry is needed; `wanted` names what is right.
    #[must_use]
    pub const fn required(wanted: &'static str) -> Self {
        Self {
            wanted,
            required: true,
        }
    }

    /// There may be none; `wanted` names what is right.
    #[must_use]
    pub const fn optional(wanted: &'static str) -> Self {
        Self {
            wanted,
            required: false,
        }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        Form::List {
            required: self.required,
            wanted: self.wanted,
        }
    }
}

impl Setting<List> {
    /// The entries, without the blanks around them; none where one is needed is a config error.
    #[must_use]
    pub fn read<'e>(&self, env: &'e Env) -> Vec<&'e str> {
        let entries: Vec<_> = self.entries(env).collect();
        if entries.is_empty() && self.form.required {
            self.add_error(env, format!("is not set; wanted: {}", self.form.wanted));
        }
        entries
    }

    /// The entries, however many there are.
    pub fn entries<'e>(&self, env: &'e Env) -> impl Iterator<Item = &'e str> + use<'e> {
        let text = self.get(env).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
    }

    /// Records that the entry at `index`, counted from 0, can't be used. `what` must not hold it.
    pub fn add_entry_error(&self, env: &Env, index: usize, what: impl std::fmt::Display) {
        self.add_error(env, format!("entry {} {what}", index + 1));
    }
}
