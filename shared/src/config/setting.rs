//! One setting: the name of its variable, its form and its default, each stated once.
//!
//! A form knows how a value is read and how an error says what would be right. What a setting is
//! for stands beside it in [`settings!`](crate::settings), for the documents.

use std::{ops::RangeInclusive, time::Duration};

use super::{Env, documented::Form};

/// A setting of the form `F`: [`Number`], [`Period`], [`Port`], [`Words`], [`Text`], [`Optional`],
/// [`Required`] or [`List`].
#[derive(Clone, Copy, Debug)]
pub struct Setting<F> {
    name: &'static str,
    form: F,
}

impl<F> Setting<F> {
    /// The setting of the variable `name`.
    #[must_use]
    pub const fn new(name: &'static str, form: F) -> Self {
        Self { name, form }
    }

    /// The name of its variable.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its form.
    #[must_use]
    pub const fn form(&self) -> &F {
        &self.form
    }

    /// Its value as it stands in the environment, if it is set.
    #[must_use]
    pub fn get<'e>(&self, env: &'e Env) -> Option<&'e str> {
        env.get(self.name)
    }

    /// Records that it can't be used. `what` must not hold the value.
    pub fn add_error(&self, env: &Env, what: impl Into<String>) {
        env.add_error(self.name, what);
    }

    /// What `parse` makes of the value, or `default` where it is not set. A value that it rejects
    /// is a config error.
    fn parse_or<'e, T>(
        &self,
        env: &'e Env,
        default: T,
        wanted: impl FnOnce() -> String,
        parse: impl FnOnce(&'e str) -> Option<T>,
    ) -> T {
        let Some(text) = self.get(env) else {
            return default;
        };
        parse(text.trim()).unwrap_or_else(|| {
            self.add_error(env, format!("can't be read; wanted: {}", wanted()));
            default
        })
    }

    fn whole_number(&self, env: &Env, Whole { default, min, max }: Whole) -> u32 {
        let wanted = || format!("a whole number from {min} to {max}");
        let number = self.parse_or(env, default, wanted, |text| text.parse().ok());
        if (min..=max).contains(&number) {
            return number;
        }
        self.add_error(env, format!("is out of range; wanted: {}", wanted()));
        default
    }
}

/// The default and the range of a whole number.
#[derive(Clone, Copy, Debug)]
struct Whole {
    default: u32,
    min: u32,
    max: u32,
}

impl Whole {
    const fn new(default: u32, range: &RangeInclusive<u32>) -> Self {
        let (min, max) = (*range.start(), *range.end());
        assert!(
            min <= default && default <= max,
            "a default within its range"
        );
        Self { default, min, max }
    }

    const fn describe(self, unit: Option<&'static str>) -> Form {
        let Self { default, min, max } = self;
        Form::Number {
            default,
            min,
            max,
            unit,
        }
    }
}

/// A whole number within a range.
#[derive(Clone, Copy, Debug)]
pub struct Number(Whole);

impl Number {
    /// `default` where it is not set.
    #[must_use]
    pub const fn new(default: u32, range: RangeInclusive<u32>) -> Self {
        Self(Whole::new(default, &range))
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        self.0.describe(None)
    }
}

impl Setting<Number> {
    /// The number.
    #[must_use]
    pub fn read(&self, env: &Env) -> u32 {
        self.whole_number(env, self.form.0)
    }
}

/// A length of time, as a whole number of seconds or milliseconds within a range.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    number: Whole,
    milliseconds: bool,
}

impl Period {
    /// A number of seconds.
    #[must_use]
    pub const fn seconds(default: u32, range: RangeInclusive<u32>) -> Self {
        Self {
            number: Whole::new(default, &range),
            milliseconds: false,
        }
    }

    /// A number of milliseconds.
    #[must_use]
    pub const fn milliseconds(default: u32, range: RangeInclusive<u32>) -> Self {
        Self {
            number: Whole::new(default, &range),
            milliseconds: true,
        }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        let unit = if self.milliseconds { "ms" } else { "s" };
        self.number.describe(Some(unit))
    }
}

impl Setting<Period> {
    /// The length of time.
    #[must_use]
    pub fn read(&self, env: &Env) -> Duration {
        let number = self.whole_number(env, self.form.number).into();
        if self.form.milliseconds {
            Duration::from_millis(number)
        } else {
            Duration::from_secs(number)
        }
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug)]
pub struct Port(u16);

impl Port {
    /// `default` where it is not set.
    #[must_use]
    pub const fn new(default: u16) -> Self {
        Self(default)
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        Form::Port { default: self.0 }
    }
}

impl Setting<Port> {
    /// The port.
    #[must_use]
    pub fn read(&self, env: &Env) -> u16 {
        let wanted = || "a port number".to_owned();
        self.parse_or(env, self.form.0, wanted, |text| text.parse().ok())
    }
}

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
