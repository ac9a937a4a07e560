//! Requests: opened on the server, made in a client.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use super::{ContentKey, Form, JweError, RequestHeader, parts::Parts};
use crate::{
    crypto::{PublicKey, TransportKey, TransportKeys},
    random::Random,
};

/// A well-formed request. Nothing is decrypted yet, so that the cheap checks of the header come
/// first.
pub struct SealedRequest {
    /// The protected header. Not authenticated before [`Self::open`].
    pub header: RequestHeader,
    form: Form,
    parts: Parts,
}

impl SealedRequest {
    /// Parses a request.
    ///
    /// # Errors
    /// [`JweError`] when it is malformed, or uses anything that is not accepted.
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

    /// A digest of everything that is authenticated: header, IV, ciphertext and tag. Nobody else can
    /// make a message with the same one that opens, so it identifies the message in either form. The
    /// wrapped key is not part of it: only the sender can wrap the same content key again, and that
    /// would still be the same message.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let Parts {
            protected,
            iv,
            ciphertext,
            tag,
            ..
        } = &self.parts;
        // Unambiguous: the header's text has no dot, and `enc` in it fixes the lengths of IV and tag.
        Sha256::new()
            .chain_update(protected)
            .chain_update(".")
            .chain_update(iv)
            .chain_update(ciphertext)
            .chain_update(tag)
            .finalize()
            .into()
    }

    /// The key that its header names, if there is one and the wrapped key has the right length for
    /// it.
    #[must_use]
    pub fn key<'a>(&self, keys: &'a TransportKeys) -> Option<&'a TransportKey> {
        keys.find(&self.header.kid)
            .filter(|key| key.wrapped_len() == self.parts.encrypted_key.len())
    }

    /// The plaintext, and the key for the answer. Costs one RSA private-key operation.
    ///
    /// # Errors
    /// [`JweError`], the same for every cause, after the same work.
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
        // An invalid wrapped key, or one of the wrong length, is replaced by a random key and fails
        // at the tag, after the same work as a valid one.
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

/// Encrypts a request, as a client does. The returned key opens the answer. `None` only for a
/// plaintext too long for the cipher.
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
