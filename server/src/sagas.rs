//! `server sagas`: what the server does by itself once a minute, now and with its outcome.

use shared::{
    clock::Clock,
    config::{AWS_ENDPOINT_URL_DYNAMODB, Env},
    instance::Instance,
    random::Random,
};

use crate::{credentials::Renewal, settings::EMBEDDED_DATA};

/// Continues the deletions and merges of accounts that have not ended; a line about each.
///
/// # Errors
/// A text for the user: invalid settings, no credentials, or a store is unavailable.
pub async fn resume_sagas(env: Env) -> Result<Vec<String>, String> {
    if EMBEDDED_DATA.get(&env).is_some() && AWS_ENDPOINT_URL_DYNAMODB.get(&env).is_none() {
        return Err("with EMBEDDED_DATA the running server does it, once a minute".to_owned());
    }
    let source = Renewal::source(&env, true);
    env.validate().map_err(|errors| errors.to_string())?;
    let started = Renewal::start(env, source).await;
    let (env, _) = started.map_err(|error| error.to_string())?;
    let instance = Instance::new(env, Clock::System, Random::System);
    let _ = (instance.sagas(), instance.account_sagas());
    let checked = instance.env().validate();
    checked.map_err(|errors| errors.to_string())?;
    instance.connect().await;
    gateway::resume_sagas(&instance).await
}
