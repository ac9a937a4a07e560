//! What a server's replies say about the server itself, as opposed to a single command.

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

/// The state of a server.
pub(super) enum Condition {
    /// It works. A single command may have failed nevertheless.
    Healthy,
    /// It accepts no writes, because it has become a replica: the primary is another server.
    Replica(RedisError),
    /// It can't serve any request at the moment.
    Unhealthy(RedisError),
}

/// Error codes without a [`ServerErrorKind`] of their own.
const UNHEALTHY: [&str; 3] = ["BUSY", "NOAUTH", "WRONGPASS"];

/// The condition that a pipeline's outcomes show.
pub(super) fn condition(outcomes: &[RedisResult<Value>]) -> Condition {
    let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    errors
        .map(of_one)
        .find(|condition| !matches!(condition, Condition::Healthy))
        .unwrap_or(Condition::Healthy)
}

fn of_one(error: &RedisError) -> Condition {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Condition::Replica(error.clone()),
        // Before Redis 7, a script's own error is wrapped in another one.
        ErrorKind::Server(ServerErrorKind::ResponseError)
            if error.detail().is_some_and(|it| it.contains("-READONLY")) =>
        {
            Condition::Replica(error.clone())
        }
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown,
        ) => Condition::Unhealthy(error.clone()),
        _ if error.code().is_some_and(|code| UNHEALTHY.contains(&code)) => {
            Condition::Unhealthy(error.clone())
        }
        _ => Condition::Healthy,
    }
}

/// Whether this is a replica's reply to ROLE.
pub(super) fn is_replica(role: &Value) -> bool {
    let Value::Array(parts) = role else {
        return false;
    };
    match parts.first() {
        Some(Value::BulkString(name)) => name == b"slave",
        Some(Value::SimpleString(name)) => name == "slave",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answer: &str) -> &'static str {
        let error = redis::parse_redis_value(answer.as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err();
        match condition(&[Ok(Value::Okay), Err(error)]) {
            Condition::Healthy => "healthy",
            Condition::Replica(_) => "replica",
            Condition::Unhealthy(_) => "unhealthy",
        }
    }

    #[test]
    fn a_failed_command_says_nothing_about_the_server() {
        assert_eq!(
            after("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
            "healthy"
        );
        assert_eq!(
            after("-ERR Error running script (call to f_0): @user_script:1: no number\r\n"),
            "healthy"
        );
        assert_eq!(
            after("-NOSCRIPT No matching script. Please use EVAL.\r\n"),
            "healthy"
        );
        assert_eq!(
            after("-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
            "healthy"
        );
        assert_eq!(
            after("-NOPERM this user has no permissions to run the 'get' command\r\n"),
            "healthy"
        );
    }

    #[test]
    fn a_rejected_write_reveals_a_replica() {
        assert_eq!(
            after("-READONLY You can't write against a read only replica.\r\n"),
            "replica"
        );
        let wrapped = "-ERR Error running script (call to f_0): @user_script:3: @user_script: 3: -READONLY You can't \
                       write against a read only replica.\r\n";
        assert_eq!(after(wrapped), "replica");
    }

    #[test]
    fn a_server_that_serves_no_request_is_unhealthy() {
        assert_eq!(
            after("-LOADING Redis is loading the dataset in memory\r\n"),
            "unhealthy"
        );
        assert_eq!(after("-CLUSTERDOWN The cluster is down\r\n"), "unhealthy");
        assert_eq!(
            after("-MASTERDOWN Link with MASTER is down\r\n"),
            "unhealthy"
        );
        assert_eq!(after("-NOAUTH Authentication required.\r\n"), "unhealthy");
        assert_eq!(
            after("-BUSY Redis is busy running a script.\r\n"),
            "unhealthy"
        );
    }

    #[test]
    fn a_replica_is_recognized_by_its_role() {
        let role = |name: &str| {
            Value::Array(vec![
                Value::BulkString(name.as_bytes().to_vec()),
                Value::Int(0),
            ])
        };
        assert!(is_replica(&role("slave")));
        assert!(!is_replica(&role("master")));
        assert!(!is_replica(&Value::Okay));
    }
}
