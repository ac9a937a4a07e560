//! `make seal`: sends one sealed request and opens the response; also an example of a client in Rust.

use reqwest::{Client, Method, Response, Url, header::CONTENT_TYPE};
use serde_json::Value;
use shared::{
    clock::Clock,
    crypto::{
        PublicKey, RsaJwk,
        jwe::{ContentKey, Enc, Form, RequestHeader, seal_request},
    },
    random::Random,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

const JOSE: &str = "application/jose";

/// Seals `content`, sends it to `url`, opens the response, and prints every step. `token` is an
/// access token.
///
/// # Errors
/// When the backend can't be reached, offers no key, or its response can't be opened.
pub async fn seal(
    method: &str,
    url: &str,
    token: Option<&str>,
    content: &str,
) -> Result<(), Error> {
    let (method, url) = (Method::from_bytes(method.as_bytes())?, Url::parse(url)?);
    serde_json::from_str::<Value>(content).map_err(|_| "standard input is not JSON")?;
    // It fails only when a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::new();
    let jwk = offered_key(&client, &url).await?;
    let header = header(&jwk.kid, &method, &url);
    let header = match token {
        Some(token) => header.for_token(token),
        None => header,
    };
    let (jwe, response_key) = seal_request(
        &PublicKey::from_jwk(&jwk)?,
        &header,
        content.as_bytes(),
        Form::Compact,
        &Random::System,
    )
    .ok_or("too much to seal")?;
    println!(
        "{}\n\n{method} {url}\nContent-Type: {JOSE}\n\n{jwe}\n",
        serde_json::to_string(&header)?
    );
    let request = client.request(method, url).header(CONTENT_TYPE, JOSE);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    print_response(request.body(jwe).send().await?, &response_key).await
}

/// The key that the backend currently offers for sealing.
async fn offered_key(client: &Client, url: &Url) -> Result<RsaJwk, Error> {
    let response = client.get(url.join("/api/v1/crypto/key")?).send().await?;
    let offered: Value = response.error_for_status()?.json().await?;
    Ok(serde_json::from_value(offered["data"].clone())?)
}

fn header(kid: &str, method: &Method, url: &Url) -> RequestHeader {
    let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    let jti = Random::System.uuid_v7(&Clock::System).to_string();
    RequestHeader::new(
        Enc::A256Gcm,
        kid,
        (Clock::System.now_seconds(), &jti),
        (method.as_str(), &path),
    )
}

/// As received, and opened if it is sealed.
async fn print_response(response: Response, key: &ContentKey) -> Result<(), Error> {
    println!("{}", response.status());
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_sealed = content_type.is_some_and(|value| value == JOSE);
    let body = response.bytes().await?;
    println!("{}\n", String::from_utf8_lossy(&body));
    if is_sealed {
        let (header, content) = key.open(&body)?;
        println!(
            "{}\n{}",
            serde_json::to_string(&header)?,
            String::from_utf8_lossy(&content)
        );
    }
    Ok(())
}
