//! Opaque cursors of lists that are read page by page.
//!
//! A cursor is `base64url(content ‖ tag)`: where the next page begins, as JSON, and HMAC-SHA256 over
//! the list's name, the context of the request and that content. It is signed, not encrypted, so
//! it holds nothing that its client may not see. A cursor of another list, of other filters or of another caller
//! is refused like a forged one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use thiserror::Error;

use super::{ApiError, Reason, Rule, Violation};
use crate::{config::DataKey, crypto};

/// The field that a refused cursor is a violation of.
const FIELD: &str = "cursor";
/// Bytes of a tag.
const TAG: usize = 32;
/// Characters that a cursor has at most.
const MAX_LENGTH: usize = 1024;

/// Makes and checks cursors. Cheap to clone.
#[derive(Clone)]
pub struct Cursors(Vec<Hmac<Sha256>>);

/// Why a cursor was not made; the log only says so.
#[derive(Debug, Error)]
enum CursorError {
    #[error("no key for cursors")]
    NoKey,
    #[error("a cursor that its own reader would refuse: {0} characters")]
    TooLong(usize),
}

impl Cursors {
    /// Cursors under keys derived from `keys`: the first signs, all verify.
    #[must_use]
    pub fn new(keys: &[DataKey]) -> Self {
        let derive = |key: &DataKey| {
            let derived = crypto::hmac_sha256(key.key.expose_secret())
                .chain_update(b"weapp-serverless page cursor v1");
            crypto::hmac_sha256(&derived.finalize().into_bytes())
        };
        Self(keys.iter().map(derive).collect())
    }

    /// The cursor of `position` in the list called `list`. `context` is what has to be the same when
    /// it comes back: filters, and the caller where lists differ by caller.
    ///
    /// # Errors
    /// [`Reason::Internal`] when there is no key, or the values can't be written as JSON or are too
    /// long.
    pub fn sign(
        &self,
        list: &str,
        context: &impl Serialize,
        position: &impl Serialize,
    ) -> Result<String, ApiError> {
        let mut signed = to_json(position)?;
        let key = self
            .0
            .first()
            .ok_or_else(|| internal(&CursorError::NoKey))?;
        let tag = mac(key, list, &to_json(context)?, &signed)
            .finalize()
            .into_bytes();
        signed.extend_from_slice(&tag);
        let cursor = URL_SAFE_NO_PAD.encode(signed);
        if cursor.len() > MAX_LENGTH {
            return Err(internal(&CursorError::TooLong(cursor.len())));
        }
        Ok(cursor)
    }

    /// The position that [`Self::sign`] made `cursor` of, for the same list and context.
    ///
    /// # Errors
    /// A violation of the field `cursor`, the same for every defect.
    pub fn read<T: DeserializeOwned>(
        &self,
        list: &str,
        context: &impl Serialize,
        cursor: &str,
    ) -> Result<T, ApiError> {
        let context = to_json(context)?;
        let position = self.verified(list, &context, cursor);
        let position = position.and_then(|content| serde_json::from_slice(&content).ok());
        position.ok_or_else(|| ApiError::invalid(vec![Violation::new(FIELD, Rule::Cursor)]))
    }

    /// The signed content.
    fn verified(&self, list: &str, context: &[u8], cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > MAX_LENGTH {
            return None;
        }
        let mut signed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let tag = signed.split_off(signed.len().checked_sub(TAG)?);
        let is_ours = |key: &Hmac<Sha256>| {
            // In constant time.
            mac(key, list, context, &signed).verify_slice(&tag).is_ok()
        };
        self.0.iter().any(is_ours).then_some(signed)
    }
}

/// Each part with its length in front, so that no two lists of parts give the same text.
fn mac(key: &Hmac<Sha256>, list: &str, context: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    let parts = [list.as_bytes(), context, signed];
    parts.into_iter().fold(key.clone(), |mac, part| {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        mac.chain_update(length.to_be_bytes()).chain_update(part)
    })
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| internal(&error))
}

fn internal(cause: &dyn std::error::Error) -> ApiError {
    ApiError::new(Reason::Internal).because(cause)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretBox;

    use super::*;

    fn cursors(bytes: &[u8]) -> Cursors {
        let key = |byte: &u8| DataKey {
            id: byte.to_string(),
            key: SecretBox::new(Box::new([*byte; 32])),
        };
        Cursors::new(&bytes.iter().map(key).collect::<Vec<_>>())
    }

    /// What a list and its filters give for a cursor; `None` if it is refused.
    fn read(cursors: &Cursors, list: &str, context: &str, cursor: &str) -> Option<String> {
        let read = cursors.read(list, &context, cursor);
        if let Err(error) = &read {
            assert_eq!(error.reason(), Reason::InvalidRequest);
        }
        read.ok()
    }

    #[test]
    fn a_cursor_is_content_and_tag_as_base64url() {
        let cursor = cursors(&[1]).sign("users", &(), &"a").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
        assert_eq!(&bytes[..bytes.len() - TAG], br#""a""#);
    }

    #[test]
    fn a_cursor_of_another_list_or_context_is_refused() {
        let cursors = cursors(&[1]);
        let cursor = cursors.sign("users", &"active", &"a").unwrap();
        assert_eq!(read(&cursors, "users", "active", &cursor).unwrap(), "a");
        for (list, context) in [
            ("users", "disabled"),
            ("sagas", "active"),
            ("usersactive", ""),
        ] {
            assert_eq!(
                read(&cursors, list, context, &cursor),
                None,
                "{list} {context}"
            );
        }
    }

    #[test]
    fn an_older_key_still_verifies_and_the_first_one_signs() {
        let old = cursors(&[1]).sign("users", &"", &"a").unwrap();
        let both = cursors(&[2, 1]);
        assert_eq!(read(&both, "users", "", &old).unwrap(), "a");
        let new = both.sign("users", &"", &"a").unwrap();
        assert_eq!(new, cursors(&[2]).sign("users", &"", &"a").unwrap());
        assert_eq!(read(&cursors(&[1]), "users", "", &new), None);
    }

    #[test]
    fn a_signed_position_of_another_form_is_refused() {
        let cursors = cursors(&[1]);
        let cursor = cursors.sign("users", &"", &7).unwrap();
        assert_eq!(read(&cursors, "users", "", &cursor), None);
    }

    #[test]
    fn what_would_be_refused_is_not_signed() {
        let long = "x".repeat(MAX_LENGTH);
        let error = cursors(&[1]).sign("users", &"", &long).unwrap_err();
        assert_eq!(error.reason(), Reason::Internal);
        let error = cursors(&[]).sign("users", &"", &"a").unwrap_err();
        assert_eq!(error.reason(), Reason::Internal);
    }

    #[test]
    fn a_malformed_cursor_is_refused() {
        let cursors = cursors(&[1]);
        let long = "A".repeat(MAX_LENGTH + 1);
        for text in ["", "x", "IiI", "=", "\u{e9}", "AAAA AAAA", &long] {
            assert_eq!(read(&cursors, "users", "", text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_position_is_read_back(list: String, context: String, position in "\\PC{0,100}") {
            let cursors = cursors(&[1]);
            let cursor = cursors.sign(&list, &context, &position).unwrap();
            prop_assert_eq!(read(&cursors, &list, &context, &cursor), Some(position));
        }

        #[test]
        fn any_changed_byte_is_refused(position in "[a-z0-9]{0,60}", at: prop::sample::Index, flip in 1_u8..=255) {
            let cursors = cursors(&[1]);
            let cursor = cursors.sign("users", &"", &position).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(read(&cursors, "users", "", &URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        /// The text too: a last character whose unused bits differ is another text.
        #[test]
        fn any_changed_character_is_refused(position in "[a-z0-9]{0,60}", at: prop::sample::Index, other in "[A-Za-z0-9_=.-]") {
            let cursors = cursors(&[1]);
            let cursor = cursors.sign("users", &"", &position).unwrap();
            let at = at.index(cursor.len());
            let changed = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
            prop_assume!(changed != cursor);
            prop_assert_eq!(read(&cursors, "users", "", &changed), None);
        }

        #[test]
        fn a_shortened_or_lengthened_cursor_is_refused(position in "[a-z0-9]{0,60}", cut in 1_usize..20, more in "[A-Za-z0-9_-]{1,8}") {
            let cursors = cursors(&[1]);
            let cursor = cursors.sign("users", &"", &position).unwrap();
            for changed in [&cursor[cut..], &cursor[..cursor.len() - cut], &format!("{cursor}{more}"), &format!("{more}{cursor}")] {
                prop_assert_eq!(read(&cursors, "users", "", changed), None);
            }
        }

        #[test]
        fn no_text_is_taken_for_a_cursor(text: String) {
            prop_assert_eq!(read(&cursors(&[1]), "users", "", &text), None);
        }
    }
}
