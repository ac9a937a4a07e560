//! When which request arrives.

use std::time::Duration;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `POST /api/v1/user/login` with a fresh code.
    Login,
    /// `GET /api/v1/user/info` of somebody who is logged in.
    Read,
    /// `POST /api/v1/user/refresh`.
    Refresh,
    /// `DELETE /api/v1/user` of somebody who does nothing else.
    Deletion,
}

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Login, Self::Read, Self::Refresh, Self::Deletion];

    /// A word for the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Read => "read",
            Self::Refresh => "refresh",
            Self::Deletion => "deletion",
        }
    }
}

/// A request's kind and time, from the start of the load.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// What arrives.
    pub kind: Kind,
    /// When.
    pub at: Duration,
}

/// How many of each kind arrive, in requests a second, along the time.
#[derive(Debug, Clone)]
pub struct Mix {
    /// How long requests arrive.
    pub duration: Duration,
    /// Logins a second all the time, and at the top of the storm, which begins at a quarter of the
    /// time (the hour) and fades with an eighth of the time.
    logins: [f64; 2],
    /// Reads a second all the time.
    reads: f64,
    /// Refreshes a second all the time, and at the top of the wave around three quarters of the
    /// time, when the access tokens of the storm expire.
    refreshes: [f64; 2],
    /// Deletions a second.
    deletions: f64,
}

impl Mix {
    /// Two minutes.
    pub const FULL: Self = Self {
        duration: Duration::from_mins(2),
        logins: [10.0, 150.0],
        reads: 400.0,
        refreshes: [10.0, 120.0],
        deletions: 2.0,
    };
    /// To see whether it works, with debug builds.
    pub const SHORT: Self = Self {
        duration: Duration::from_secs(4),
        logins: [2.0, 8.0],
        reads: 15.0,
        refreshes: [2.0, 6.0],
        deletions: 1.0,
    };

    /// Requests of a kind a second, at this share of the time.
    fn rate(&self, kind: Kind, share: f64) -> f64 {
        match kind {
            Kind::Login => {
                let since = share - 0.25;
                let storm = if since < 0.0 {
                    0.0
                } else {
                    (-8.0 * since).exp()
                };
                self.logins[0] + self.logins[1] * storm
            }
            Kind::Read => self.reads,
            Kind::Refresh => {
                // A bell with a width of a sixteenth of the time.
                let off = (share - 0.75) * 16.0;
                self.refreshes[0] + self.refreshes[1] * (-off * off / 2.0).exp()
            }
            Kind::Deletion => self.deletions,
        }
    }

    /// An upper bound of [`Self::rate`].
    fn highest(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Login => self.logins.iter().sum(),
            Kind::Read => self.reads,
            Kind::Refresh => self.refreshes.iter().sum(),
            Kind::Deletion => self.deletions,
        }
    }

    /// All arrivals in the order of time: of each kind a Poisson process, the same on every run.
    pub fn arrivals(&self) -> Vec<Arrival> {
        let mut chance = Chance(0x6c6f_6164);
        let mut arrivals = Vec::new();
        for kind in Kind::ALL {
            let (highest, end) = (self.highest(kind), self.duration.as_secs_f64());
            let mut at = chance.gap(highest);
            while at < end {
                // Candidates come at the highest rate; as many are kept as the rate says.
                if chance.draw() * highest < self.rate(kind, at / end) {
                    let at = Duration::from_secs_f64(at);
                    arrivals.push(Arrival { kind, at });
                }
                at += chance.gap(highest);
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        arrivals
    }

    /// What the mix is, for the report.
    pub fn describe(&self) -> String {
        let Self {
            logins,
            reads,
            refreshes,
            deletions,
            duration,
        } = self;
        format!(
            "{} s: {} logins a second and a storm of {} more at a quarter of the time, {reads} reads, {} refreshes and \
             a wave of {} more at three quarters, {deletions} deletions",
            duration.as_secs(),
            logins[0],
            logins[1],
            refreshes[0],
            refreshes[1],
        )
    }
}

/// Pseudo-random numbers (SplitMix64): which ones they are is part of the mix.
struct Chance(u64);

impl Chance {
    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Seconds to the next arrival at this rate.
    fn gap(&mut self, rate: f64) -> f64 {
        -(1.0 - self.draw()).ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn count(mix: &Mix, kind: Kind, from: f64, to: f64) -> usize {
        let end = mix.duration.as_secs_f64();
        let arrivals = mix.arrivals();
        let of_kind = arrivals.iter().filter(|arrival| arrival.kind == kind);
        of_kind
            .filter(|arrival| (from..to).contains(&(arrival.at.as_secs_f64() / end)))
            .count()
    }

    #[test]
    fn as_many_arrive_as_the_rates_say() {
        let mix = Mix::FULL;
        let end = mix.duration.as_secs_f64();
        let fade = 1.0 - (-8.0_f64 * 0.75).exp();
        let bell = (2.0 * PI).sqrt() / 16.0;
        for (kind, wanted) in [
            (Kind::Login, end * (10.0 + 150.0 * fade / 8.0)),
            (Kind::Read, end * 400.0),
            (Kind::Refresh, end * (10.0 + 120.0 * bell)),
            (Kind::Deletion, end * 2.0),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "thousands")]
            let found = count(&mix, kind, 0.0, 1.0) as f64;
            // Five standard deviations of a Poisson process.
            assert!(
                (found - wanted).abs() < 5.0 * wanted.sqrt(),
                "{kind:?}: {found}, {wanted}"
            );
        }
    }

    #[test]
    fn the_storm_begins_at_a_quarter_and_the_wave_is_at_three_quarters() {
        let mix = Mix::FULL;
        let logins = |from, to| count(&mix, Kind::Login, from, to);
        assert!(logins(0.25, 0.35) > 5 * logins(0.15, 0.25));
        let refreshes = |from, to| count(&mix, Kind::Refresh, from, to);
        assert!(refreshes(0.7, 0.8) > 5 * refreshes(0.3, 0.4));
    }

    #[test]
    fn arrivals_are_in_order_and_the_same_on_every_run() {
        let times = || {
            Mix::SHORT
                .arrivals()
                .iter()
                .map(|arrival| arrival.at)
                .collect::<Vec<_>>()
        };
        assert!(times().is_sorted());
        assert_eq!(times(), times());
    }
}
