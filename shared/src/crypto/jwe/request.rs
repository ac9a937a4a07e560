//! The request's side: opening it on the server, making it in a client.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretSlice};

use super::{ContentKey, Form, JweError, RequestHeader, parts::Parts};
use crate::{
    crypto::{PublicKey, TransportKey, TransportKeys},
    random::Random,
};

/// A request whose form is right. Nothing was decrypted yet, so that cheap checks of the header
/// come first.
pub struct SealedRequest {
    /// What it says in clear. Not authenticated before [`Self::open`].
    pub header: RequestHeader,
    form: Form,
    parts: Parts,
}

impl SealedRequest {
    /// Takes a request apart.
    ///
    /// # Errors
    /// [`JweError`] when it is not of the one kind that is accepted.
    pub fn parse(jwe: &[u8], form: Form) -> Result<Self, JweError> {
        let parts = Parts::parse(jwe, form)?;
        let header = RequestHeader::parse(&parts.header()?)?;
        let enc = header.enc;
        let fits = parts.iv.len() == enc.iv_len()
            && parts.tag.len() == enc.tag_len()
            && enc.fits(parts.ciphertext.len());
        if fits {
            Ok(Self {
                header,
                form,
                parts,
            })
        } else {
            Err(JweError)
        }
    }

    /// The key that it was made for, if there is one and what it wrapped can be.
    #[must_use]
    pub fn key<'a>(&self, keys: &'a TransportKeys) -> Option<&'a TransportKey> {
        keys.find(&self.header.kid)
            .filter(|key| key.wrapped_len() == self.parts.encrypted_key.len())
    }

    /// The plaintext, and the key for the answer. Costs one private RSA operation.
    ///
    /// # Errors
    /// [`JweError`], the same after the same work whatever was wrong.
    pub fn open(
        &self,
        key: &TransportKey,
        random: &Random,
    ) -> Result<(Vec<u8>, ContentKey), JweError> {
        let Self {
            header,
            form,
            parts,
        } = self;
        let enc = header.enc;
        // A wrapped key that is none, or of the wrong length, becomes a random one, and fails at
        // the tag.
        let substitute = ContentKey::random(enc, random);
        let unwrapped = key
            .unwrap(&parts.encrypted_key)
            .filter(|key| key.expose_secret().len() == enc.key_len());
        let cek = unwrapped.unwrap_or(substitute);
        let sealed = (&*parts.ciphertext, &*parts.tag);
        let plaintext = enc.open(
            cek.expose_secret(),
            &parts.iv,
            parts.protected.as_bytes(),
            sealed,
        )?;
        Ok((
            plaintext,
            ContentKey::new(cek, enc, *form, header.jti.clone()),
        ))
    }
}

/// Makes a request, as a client does; the key opens the answer. `None` only for a plaintext beyond
/// all bounds.
#[must_use]
pub fn seal_request(
    key: &PublicKey,
    header: &RequestHeader,
    plaintext: &[u8],
    form: Form,
    random: &Random,
) -> Option<(String, ContentKey)> {
    let enc = header.enc;
    let cek: SecretSlice<u8> = ContentKey::random(enc, random);
    let encrypted_key = key.wrap(cek.expose_secret(), random)?;
    let protected = URL_SAFE_NO_PAD.encode(serde_json::to_vec(header).ok()?);
    let iv = random.bytes::<16>()[..enc.iv_len()].to_vec();
    let (ciphertext, tag) = enc.seal(cek.expose_secret(), &iv, protected.as_bytes(), plaintext)?;
    let jwe = Parts {
        protected,
        encrypted_key,
        iv,
        ciphertext,
        tag,
    }
    .write(form);
    Some((jwe, ContentKey::new(cek, enc, form, header.jti.clone())))
}
