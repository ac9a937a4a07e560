//! Calls to DynamoDB under the deadline of the request that makes them.

use std::time::Duration;

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, interceptors::BeforeSerializationInterceptorContextRef,
        timeout::TimeoutConfig,
    },
    error::BoxError,
};

use crate::request::deadline;

/// Gives each operation, retries and their pauses included, `limit` or what is left of its request.
///
/// In this hook, the SDK's first, because what it stores is then merged into the client's
/// time-outs, over its `operation_timeout`, before the orchestrator reads them
/// (`apply_configuration` in aws-smithy-runtime).
#[derive(Debug)]
pub(super) struct InheritDeadline {
    pub(super) limit: Duration,
}

impl Intercept for InheritDeadline {
    fn name(&self) -> &'static str {
        "InheritDeadline"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let timeout = TimeoutConfig::builder()
            .operation_timeout(deadline::cap(self.limit))
            .build();
        cfg.interceptor_state().store_put(timeout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};

    use super::*;
    use crate::{
        config::{DynamoSettings, Env},
        dynamo::{Dynamo, DynamoError},
        random::Random,
    };

    /// A table behind a port that takes connections and never answers.
    async fn silent_table() -> (Dynamo, TcpListener) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let env = Env::new([
            ("AWS_REGION", "local"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoint),
        ]);
        (
            Dynamo::new(DynamoSettings::read(&env), Random::seeded(1)),
            listener,
        )
    }

    #[tokio::test]
    async fn an_operation_ends_with_its_request() {
        let (table, _listener) = silent_table().await;
        let start = Instant::now();
        let left = Duration::from_millis(150);
        let outcome = deadline::scope(Some(start + left), table.get("PK", "SK")).await;
        assert!(
            matches!(outcome, Err(DynamoError::Unavailable(_))),
            "{outcome:?}"
        );
        // Far from the 1.5 s of an attempt, however busy the machine.
        assert!(
            start.elapsed() >= left && start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
    }
}
