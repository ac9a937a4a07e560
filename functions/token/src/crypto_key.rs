//! `GET /api/v1/crypto/key`: the public key that clients seal bodies with.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse, routing::get};
use serde::Serialize;
use shared::{
    api::{ApiError, Reason, Success},
    crypto::{RsaJwk, TransportKey, TransportKeys, jwe::Enc},
    edge::Routes,
};

/// A new key opens bodies before it is offered, and an old one for longer than this afterwards.
const CACHE_CONTROL: &str = "public, max-age=600";

/// The JWK, and what it may be used with.
#[derive(Clone, Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "TransportKey")
)]
pub struct OfferedKey {
    #[serde(flatten)]
    key: RsaJwk,
    /// The accepted values of a JWE's `enc`.
    enc: [Enc; 2],
}

/// The route of the first of `keys`; no route where there is no key.
pub fn routes(keys: Option<Arc<TransportKeys>>) -> Routes {
    match keys {
        Some(keys) => Routes::new()
            .route("/api/v1/crypto/key", get(first_key))
            .with_state(keys),
        None => Routes::new(),
    }
}

async fn first_key(State(keys): State<Arc<TransportKeys>>) -> Result<impl IntoResponse, ApiError> {
    let offer = |key: &TransportKey| OfferedKey {
        key: key.public().jwk(key.kid()),
        enc: Enc::ALL,
    };
    let offered = keys.first().map(offer).ok_or(Reason::NotFound)?;
    Ok(([("Cache-Control", CACHE_CONTROL)], Success(offered)))
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::{HeaderMap, Request},
    };
    use serde_json::{Value, json};
    use shared::{clock::Clock, config::Env, instance::Instance, random::Random};
    use tower::ServiceExt;

    use super::*;

    async fn answer(env: Env) -> (u16, HeaderMap, Value) {
        let instance = Instance::new(env, Clock::System, Random::System);
        let app = instance.app(routes(instance.sealed_bodies())).unwrap();
        let request = Request::get("/api/v1/crypto/key").body(Body::empty());
        let (parts, body) = app.oneshot(request.unwrap()).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        (parts.status.as_u16(), parts.headers, body)
    }

    #[tokio::test]
    async fn the_offered_key_is_a_jwk_with_its_enc_values() {
        let (status, headers, body) = answer(Env::new([("", "")]).local_development()).await;
        assert_eq!(status, 200);
        assert_eq!(headers["cache-control"], "public, max-age=600");
        let data = &body["data"];
        let members: Vec<_> = data.as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "e", "enc", "kid", "kty", "n", "use"]);
        assert_eq!(data["enc"], json!(["A256CBC-HS512", "A256GCM"]));
    }

    #[tokio::test]
    async fn without_a_key_the_route_does_not_exist() {
        let (status, _, body) = answer(Env::new([("", "")])).await;
        assert_eq!((status, &body["reason"]), (404, &json!("not_found")));
    }
}
