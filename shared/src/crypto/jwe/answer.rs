//! Answers: `dir` under the content key of the request, so that only the request's sender can read
//! them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretSlice};

use super::{AnswerHeader, Enc, Form, JweError, parts::Parts};
use crate::random::Random;

/// The content key of one request and of its answer. Has no `Debug`, and is wiped when dropped.
pub struct ContentKey {
    key: SecretSlice<u8>,
    enc: Enc,
    form: Form,
    jti: String,
}

impl ContentKey {
    pub(super) fn new(key: SecretSlice<u8>, enc: Enc, form: Form, jti: String) -> Self {
        Self {
            key,
            enc,
            form,
            jti,
        }
    }

    pub(super) fn random(enc: Enc, random: &Random) -> SecretSlice<u8> {
        let mut key = SecretSlice::from(vec![0; enc.key_len()]);
        for half in key.expose_secret_mut().chunks_exact_mut(32) {
            half.copy_from_slice(&random.bytes::<32>());
        }
        key
    }

    /// The form of the request, and so of its answer.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Encrypts an answer issued at `now` (seconds since the epoch), with content of the type
    /// `cty`. `None` only for content too long for the cipher.
    #[must_use]
    pub fn seal(
        &self,
        content: &[u8],
        cty: Option<String>,
        now: i64,
        random: &Random,
    ) -> Option<String> {
        let header = AnswerHeader::new(self.enc, cty, now, &self.jti);
        let protected = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?);
        let iv = random.bytes::<16>()[..self.enc.iv_len()].to_vec();
        let (ciphertext, tag) =
            self.enc
                .seal(self.key.expose_secret(), &iv, protected.as_bytes(), content)?;
        Some(
            Parts {
                protected,
                encrypted_key: Vec::new(),
                iv,
                ciphertext,
                tag,
            }
            .write(self.form),
        )
    }

    /// Decrypts the answer, as a client does.
    ///
    /// # Errors
    /// [`JweError`] when it is not the answer to this key's request.
    pub fn open(&self, jwe: &[u8]) -> Result<(AnswerHeader, Vec<u8>), JweError> {
        let parts = Parts::parse(jwe, self.form)?;
        let header = AnswerHeader::parse(&parts.header()?)?;
        if header.enc != self.enc || header.jti != self.jti || !parts.encrypted_key.is_empty() {
            return Err(JweError);
        }
        let sealed = (&*parts.ciphertext, &*parts.tag);
        let content = self.enc.open(
            self.key.expose_secret(),
            &parts.iv,
            parts.protected.as_bytes(),
            sealed,
        )?;
        Ok((header, content))
    }
}
