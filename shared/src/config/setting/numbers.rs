//! Settings that are numbers.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    super::{Env, documented::Form},
    Setting,
};

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
    unit: Unit,
}

/// What a [`Period`] is a number of.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Milliseconds,
    Seconds,
    Days,
}

impl Unit {
    /// For the documents.
    const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Days => "d",
        }
    }
}

impl Period {
    /// A number of seconds.
    #[must_use]
    pub const fn seconds(default: u32, range: RangeInclusive<u32>) -> Self {
        Self {
            number: Whole::new(default, &range),
            unit: Unit::Seconds,
        }
    }

    /// A number of days.
    #[must_use]
    pub const fn days(default: u32, range: RangeInclusive<u32>) -> Self {
        Self {
            number: Whole::new(default, &range),
            unit: Unit::Days,
        }
    }

    /// A number of milliseconds.
    #[must_use]
    pub const fn milliseconds(default: u32, range: RangeInclusive<u32>) -> Self {
        Self {
            number: Whole::new(default, &range),
            unit: Unit::Milliseconds,
        }
    }

    /// For the documents.
    #[must_use]
    pub const fn describe(&self) -> Form {
        self.number.describe(Some(self.unit.name()))
    }
}

impl Setting<Period> {
    /// The length of time.
    #[must_use]
    pub fn read(&self, env: &Env) -> Duration {
        let number = self.whole_number(env, self.form.number);
        match self.form.unit {
            Unit::Milliseconds => Duration::from_millis(number.into()),
            Unit::Seconds => Duration::from_secs(number.into()),
            Unit::Days => Duration::from_hours(24) * number,
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

impl<F> Setting<F> {
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
