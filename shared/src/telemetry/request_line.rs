//! Reports a request: its log line, and the metrics that count it.

use tracing::Level;

use super::{
    Emf,
    answered_request::{AnsweredRequest, LoggedRequest, TARGET, milliseconds},
    metrics,
};
use crate::{ids::AppId, request::Notes};

impl AnsweredRequest<'_> {
    /// Counts the request and writes its log line. Where metrics are lines of the log too, it is one
    /// line with what was recorded since the last one.
    pub fn report(&self) {
        self.count();
        match Emf::installed() {
            Some(emf) => self.write_with(emf),
            None => self.log(),
        }
    }

    fn count(&self) {
        metrics::request(self.route, self.method, self.status, self.latency);
        if self.is_cold_start {
            metrics::cold_start(self.route);
        }
        if self.notes.degraded {
            metrics::degraded_request(self.route);
        }
    }

    fn write_with(&self, emf: &Emf) {
        let is_logged = match self.level() {
            Level::ERROR => tracing::event_enabled!(target: TARGET, Level::ERROR),
            _ => tracing::event_enabled!(target: TARGET, Level::INFO),
        };
        let line = is_logged.then(|| LoggedRequest::new(self, emf.detail()));
        if let Err(error) = emf.write(line.as_ref(), &mut std::io::stdout()) {
            tracing::warn!(%error, "metrics can't be written");
        }
    }

    fn log(&self) {
        let Notes {
            user_id,
            app_id,
            reason,
            cause,
            degraded,
            redis,
            ..
        } = self.notes;
        let (request_id, method, route) = (self.id, self.method.as_str(), self.route);
        let (status, cold_start) = (self.status.as_u16(), self.is_cold_start);
        let app_id = app_id.as_ref().map(AppId::as_str);
        let user_id = user_id.map(tracing::field::display);
        let [latency_ms, redis_ms] = [self.latency, redis.total()].map(milliseconds);
        // A level is part of tracing's static metadata, so each level needs its own call.
        macro_rules! log_at {
            ($level:ident) => {
                tracing::$level!(
                    target: TARGET, request_id, method, route, status, latency_ms, cold_start,
                    app_id, user_id, reason, cause, degraded, redis_ms, "request"
                )
            };
        }
        if self.level() == Level::ERROR {
            log_at!(error);
        } else {
            log_at!(info);
        }
    }
}
