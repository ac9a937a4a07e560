//! `make seal`: a sealed call by hand, and how a client in Rust makes one.

use reqwest::{Client, Method, Url, header::CONTENT_TYPE};
use serde_json::Value;
use shared::{
    clock::Clock,
    crypto::{
        PublicKey, RsaJwk,
        jwe::{Enc, Form, RequestHeader, seal_request},
    },
    random::Random,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Seals `content`, sends it to `url`, opens the answer, and says all of it. `token` is an access
/// token.
///
/// # Errors
/// When the backend can't be reached, offers no key, or answers something else.
pub async fn seal(
    method: &str,
    url: &str,
    token: Option<&str>,
    content: &str,
) -> Result<(), Error> {
    let (method, url) = (Method::from_bytes(method.as_bytes())?, Url::parse(url)?);
    serde_json::from_str::<Value>(content).map_err(|_| "standard input is not JSON")?;
    // An error says that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::new();
    let offered: Value = client
        .get(url.join("/api/v1/crypto/key")?)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let jwk: RsaJwk = serde_json::from_value(offered["data"].clone())?;
    let header = header(&jwk.kid, &method, &url);
    let key = PublicKey::from_jwk(&jwk)?;
    let sealed = seal_request(
        &key,
        &header,
        content.as_bytes(),
        Form::Compact,
        &Random::System,
    );
    let (jwe, answer_key) = sealed.ok_or("too much to seal")?;
    println!(
        "{}\n\n{method} {url}\nContent-Type: application/jose\n\n{jwe}\n",
        serde_json::to_string(&header)?
    );
    let mut request = client
        .request(method, url)
        .header(CONTENT_TYPE, "application/jose")
        .body(jwe);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await?;
    println!("{}", response.status());
    let is_sealed = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "application/jose");
    let body = response.bytes().await?;
    println!("{}\n", String::from_utf8_lossy(&body));
    if is_sealed {
        let (header, content) = answer_key.open(&body)?;
        println!(
            "{}\n{}",
            serde_json::to_string(&header)?,
            String::from_utf8_lossy(&content)
        );
    }
    Ok(())
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
