//! `server create-table`: the table in a DynamoDB of one's own. On AWS, `template.yaml` makes it.

use gateway::{StartError, database_client_with};
use shared::config::{AWS_ENDPOINT_URL_DYNAMODB, DynamoSettings, Env};

/// Creates the table that the settings name, unless it exists.
///
/// # Errors
/// A text for the user.
pub async fn create_table(env: Env) -> Result<(), String> {
    let Some(endpoint) = AWS_ENDPOINT_URL_DYNAMODB.get(&env) else {
        return Err(
            "AWS_ENDPOINT_URL_DYNAMODB is not set; on AWS, template.yaml makes the table"
                .to_owned(),
        );
    };
    let settings = DynamoSettings::read(&env);
    if !endpoint.starts_with("http://") {
        AWS_ENDPOINT_URL_DYNAMODB
            .add_error(&env, "is not http, which is all that this command speaks");
    }
    env.validate().map_err(|errors| errors.to_string())?;
    let client = database_client_with(endpoint, &settings);
    gateway::create_table(&client, &settings.table)
        .await
        .map_err(|error| match error {
            StartError::Database(why) => format!("the table can't be made: {why}"),
            error => error.to_string(),
        })
}
