//! The simulator over HTTP: WeChat's paths, and the control side.

mod control_call;
mod control_routes;
mod fault_injection;
mod message_routes;
mod wechat_routes;

use axum::Router;

use crate::simulator::Simulator;

impl Simulator {
    /// WeChat's paths and `/_control/*`. Can be nested below any prefix.
    pub fn router(&self) -> Router {
        wechat_routes::router(self).nest("/_control", control_routes::router(self))
    }
}
