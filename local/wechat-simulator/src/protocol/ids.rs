//! Identifiers that WeChat issues: some derived from the user's name, others (codes, tokens, request
//! ids) random.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::distr::Alphanumeric;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use sha2::{Digest as _, Sha256};

/// 28 characters that begin with `o`, the same for one user in one app in every run.
pub(crate) fn open_id(app_id: &str, user: &str) -> String {
    derived("openid", &[app_id, user])
}

/// The same for one user in all apps. WeChat's unionids look like its openids.
pub(crate) fn union_id(user: &str) -> String {
    derived("unionid", &[user])
}

fn derived(purpose: &str, parts: &[&str]) -> String {
    let text = URL_SAFE_NO_PAD.encode(hash(purpose, parts));
    format!("o{}", &text[..27])
}

/// A mainland number in the test range 138.
pub(crate) fn phone_number(user: &str) -> String {
    format!("138{:08}", number(&hash("phone", &[user])) % 100_000_000)
}

/// The number of steps that a user walked on one day, counted from 1970.
pub(crate) fn steps(user: &str, day: u64) -> u64 {
    number(&hash("steps", &[user, &day.to_string()])) % 20_000
}

fn number(hash: &[u8; 32]) -> u64 {
    hash.iter()
        .take(8)
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// SHA-256 over the parts with a separator that no part can contain.
fn hash(purpose: &str, parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(purpose);
    for part in parts {
        hasher.update([0]);
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Whether a text has the form of an openid, known or not.
pub(crate) fn is_open_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.len() == 28 && text.starts_with('o') && text.chars().all(allowed)
}

/// Whether a text has the form of a subscribe message's template id.
pub(crate) fn is_template_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.len() == 43 && text.chars().all(allowed)
}

/// What all codes of the simulator begin with, so that it can tell a real one.
const SIMULATED: &str = "sim";

/// 32 letters and digits, as a code of `wx.login` is.
pub(crate) fn login_code(rng: &mut StdRng) -> String {
    let rest = rng.sample_iter(Alphanumeric).take(32 - SIMULATED.len());
    SIMULATED.chars().chain(rest.map(char::from)).collect()
}

/// 64 characters, as a code of the phone number button has.
pub(crate) fn phone_code(rng: &mut StdRng) -> String {
    let bytes: [u8; 32] = rng.random();
    format!("{SIMULATED}{}", &hex::encode(bytes)[SIMULATED.len()..])
}

/// Whether a code looks like one of a simulator, known or not.
pub(crate) fn is_simulated_code(code: &str) -> bool {
    code.starts_with(SIMULATED)
}

/// 139 characters, the length of WeChat's current tokens, with its prefix of a number and an
/// underscore.
pub(crate) fn access_token(rng: &mut StdRng) -> String {
    let mut bytes = [0; 102];
    rng.fill_bytes(&mut bytes);
    format!("80_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// WeChat's request id: the time in seconds and two random 32-bit numbers, in hex.
pub(crate) fn request_id(rng: &mut StdRng, now: u64) -> String {
    let (a, b): (u32, u32) = rng.random();
    format!("{:08x}-{a:08x}-{b:08x}", now / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn an_openid_is_stable_and_differs_by_app_and_user() {
        let open_id = open_id("wxone", "alice");
        assert!(is_open_id(&open_id), "{open_id}");
        assert_eq!(open_id, super::open_id("wxone", "alice"));
        assert_ne!(open_id, super::open_id("wxtwo", "alice"));
        assert_ne!(open_id, super::open_id("wxone", "bob"));
        assert_ne!(open_id, union_id("alice"));
    }

    #[test]
    fn moving_a_character_between_app_and_user_changes_the_openid() {
        assert_ne!(open_id("wxa", "b"), open_id("wx", "ab"));
    }

    #[test]
    fn codes_have_wechats_length_and_are_recognised() {
        let mut rng = StdRng::seed_from_u64(1);
        for (code, length) in [(login_code(&mut rng), 32), (phone_code(&mut rng), 64)] {
            assert_eq!(code.len(), length);
            assert!(is_simulated_code(&code), "{code}");
        }
        assert!(!is_simulated_code("0a1Hfk000iGLxN1Ajk200MZ3Eb1Hfk0N"));
    }

    #[test]
    fn access_tokens_and_phone_numbers_have_wechats_form() {
        let mut rng = StdRng::seed_from_u64(1);
        assert!(access_token(&mut rng).len() >= 136);
        let phone = phone_number("alice");
        assert!(phone.len() == 11 && phone.starts_with("138"), "{phone}");
    }
}
