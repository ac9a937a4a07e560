//! `local phone release`: takes a phone number from the user who has it.

use shared::{
    clock::Clock,
    config::{Env, REDIS_URL},
    ids::UserId,
    instance::Instance,
    random::Random,
    values::Phone,
};

/// Releases the number in `input` (`13800138000`, or `+` with country code and number). The log gets
/// an audit line for each user who had it. Returns those users; nobody when the number was free.
///
/// The number comes from standard input because command lines can be read by everybody on the
/// machine, and are remembered by shells.
///
/// # Errors
/// A text for the user, without the number: it is not one, invalid settings, or a store is
/// unavailable.
pub async fn release_phone(env: Env, input: &str) -> Result<Vec<UserId>, String> {
    let phone = Phone::parse_international(input).ok_or(
        "standard input is not a phone number: 11 digits, or + with country code and number",
    )?;
    if REDIS_URL.get(&env).is_none() {
        eprintln!("REDIS_URL is not set: a cached profile keeps the number until it expires");
    }
    let instance = Instance::new(env, Clock::System, Random::System);
    let numbers = instance.phone_numbers();
    instance
        .env()
        .validate()
        .map_err(|errors| errors.to_string())?;
    instance.connect().await;
    numbers
        .release(&phone)
        .await
        .map_err(|error| error.to_string())
}
