//! TLS of all clients: one provider, and certificate authorities that are part of the binary.

use rustls::{ClientConfig, RootCertStore, pki_types::TrustAnchor};

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Nobody's: the endpoint is plain HTTP.
    None,
    /// Amazon's own, which sign what is under `amazonaws.com`.
    Amazon,
    /// Mozilla's list.
    Any,
}

/// The settings of a client that believes these authorities. Reading theirs costs time at start, so a
/// client of a plain HTTP endpoint has none.
///
/// # Panics
/// At start, where the provider can't do its own protocol versions.
#[must_use]
pub fn client_config(authorities: Authorities) -> ClientConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[expect(
        clippy::expect_used,
        reason = "start-up, and the provider supports its own versions"
    )]
    ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(RootCertStore {
            roots: roots(authorities),
        })
        .with_no_client_auth()
}

fn roots(authorities: Authorities) -> Vec<TrustAnchor<'static>> {
    let all = webpki_roots::TLS_SERVER_ROOTS.iter();
    match authorities {
        Authorities::None => Vec::new(),
        Authorities::Amazon => all.filter(|root| is_amazon(root)).cloned().collect(),
        Authorities::Any => all.cloned().collect(),
    }
}

/// Amazon Trust Services' roots, and Starfield's, which cross-sign them: all that AWS's own
/// endpoints use.
fn is_amazon(root: &TrustAnchor<'_>) -> bool {
    let subject: &[u8] = &root.subject;
    ["Amazon Root CA", "Starfield Services Root"]
        .iter()
        .any(|name| {
            subject
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_authorities_are_five_and_any_are_many() {
        assert_eq!(roots(Authorities::None).len(), 0);
        assert_eq!(roots(Authorities::Amazon).len(), 5);
        assert!(roots(Authorities::Any).len() > 100);
    }
}
