//! `local breaker …`: shows the circuit breaker that all instances share, or forces it open or
//! closed.

use std::time::Duration;

use shared::{
    clock::Clock,
    config::{Env, REDIS_URL},
    instance::Instance,
    random::Random,
    resilience::breaker::{BreakerReport, Force},
    wechat::WECHAT,
};

/// The default duration of a forced state.
const DEFAULT_MINUTES: u64 = 10;

/// Carries out `show`, `open [MINUTES]`, `close [MINUTES]` or `reset`, and returns the breaker's state
/// afterwards.
///
/// # Errors
/// A text for the user: invalid arguments, invalid settings, or Redis is unavailable.
pub async fn breaker(env: Env, arguments: &[&str]) -> Result<BreakerReport, String> {
    if REDIS_URL.get(&env).is_none() {
        return Err("REDIS_URL is not set: breakers are shared there".to_owned());
    }
    let force = match *arguments {
        ["show"] => None,
        ["open"] => Some(Force::Open(minutes(None)?)),
        ["open", number] => Some(Force::Open(minutes(Some(number))?)),
        ["close"] => Some(Force::Closed(minutes(None)?)),
        ["close", number] => Some(Force::Closed(minutes(Some(number))?)),
        ["reset"] => Some(Force::Reset),
        _ => {
            return Err(
                "usage: local breaker show | open [MINUTES] | close [MINUTES] | reset".to_owned(),
            );
        }
    };
    let instance = Instance::new(env, Clock::System, Random::System);
    let observer = instance.observer(WECHAT);
    instance
        .env()
        .validate()
        .map_err(|errors| errors.to_string())?;
    instance.connect().await;
    if let Some(force) = force {
        observer
            .force(force)
            .await
            .map_err(|error| error.to_string())?;
    }
    observer.inspect().await.map_err(|error| error.to_string())
}

fn minutes(text: Option<&str>) -> Result<Duration, String> {
    let number = text.map_or(Ok(DEFAULT_MINUTES), str::parse);
    let number = number
        .ok()
        .filter(|number| (1..=7 * 24 * 60).contains(number));
    number
        .map(Duration::from_mins)
        .ok_or_else(|| "MINUTES is a number from 1 to 10080 (a week)".to_owned())
}
