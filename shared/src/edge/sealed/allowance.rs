//! How many RSA operations a client may have.

use crate::{api::ApiError, edge::ClientIp};

/// Asked before each private RSA operation, which is what a sealed body costs.
pub(super) struct Allowance(());

impl Allowance {
    pub(super) fn unlimited() -> Self {
        Self(())
    }

    /// Takes one operation from what `client` may have.
    #[allow(clippy::unused_async, reason = "the limit is shared state")]
    pub(super) async fn take(&self, _client: Option<ClientIp>) -> Result<(), ApiError> {
        let Self(()) = self;
        Ok(())
    }
}
