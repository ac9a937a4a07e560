//! `make keys`: a new set of keys, and how to store it.

use std::{
    fmt::Write,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    crypto::{KeyKind, KeyPair, KeyPairError},
    random::Random,
};

/// Where the commands for AWS put them: `ssm:/weapp/JWT_KEYS` and so on.
const PARAMETERS: &str = "/weapp";

/// A new value for each setting that holds keys.
pub struct KeySet {
    /// Setting and value.
    pub settings: Vec<(&'static str, SecretString)>,
    /// `JWT_KEYS` for functions that only verify. No secret.
    pub public: String,
}

impl KeySet {
    /// Makes one. Ids are random: an id must never stand for two keys. The signing key is Ed25519:
    /// its signatures have no randomness, so a repeated request gets the identical token.
    ///
    /// # Errors
    /// [`KeyPairError`].
    pub fn generate(random: &Random) -> Result<Self, KeyPairError> {
        let id = || {
            random
                .bytes::<4>()
                .map(|byte| format!("{byte:02x}"))
                .concat()
        };
        let (signing, transport) = (
            KeyPair::generate(KeyKind::Ed25519)?,
            KeyPair::generate(KeyKind::Rsa2048)?,
        );
        let data_key = STANDARD.encode(random.bytes::<32>());
        Ok(Self {
            settings: vec![
                ("JWT_SECRETS", STANDARD.encode(random.bytes::<48>()).into()),
                ("JWT_KEYS", signing.private),
                ("DATA_KEYS", format!("k{}:{data_key}", id()).into()),
                (
                    "TRANSPORT_KEYS",
                    format!("t{}:{}", id(), transport.private.expose_secret()).into(),
                ),
            ],
            public: signing.public,
        })
    }

    /// What is printed when no folder is named: the secrets themselves, as lines of `.env`.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut text =
            "# New keys. They are secrets, shown because you asked for them: keep this output out of logs and\n\
                        # chats. For .env:\n"
                .to_owned();
        for (name, value) in &self.settings {
            let _ = writeln!(text, "{name}={}", value.expose_secret());
        }
        text + &self.public_line()
            + "#\n# For AWS, write them to files instead: make keys FOLDER=keys.new\n"
    }

    /// Writes a file for each setting into `folder`, which must not exist, readable by its owner
    /// only; returns how to store them on AWS.
    ///
    /// # Errors
    /// When the folder exists or can't be written.
    pub fn store(&self, folder: &Path) -> io::Result<String> {
        DirBuilder::new().mode(0o700).create(folder)?;
        for (name, value) in &self.settings {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(folder.join(name))?;
            file.write_all(value.expose_secret().as_bytes())?;
        }
        Ok(self.commands(folder))
    }

    /// Values are read from the files: on a command line they would stand in the shell's history
    /// and in `ps`.
    fn commands(&self, folder: &Path) -> String {
        let folder = folder.display();
        let mut text = format!(
            "# New keys, one file for each setting, in {folder}.\n# SSM Parameter Store:\n"
        );
        for (name, _) in &self.settings {
            let _ = writeln!(
                text,
                "aws ssm put-parameter --type SecureString --name {PARAMETERS}/{name} --value \"file://{folder}/{name}\""
            );
        }
        text.push_str("# or Secrets Manager:\n");
        for (name, _) in &self.settings {
            let _ = writeln!(
                text,
                "aws secretsmanager create-secret --name {PARAMETERS}/{name} --secret-string \"file://{folder}/{name}\""
            );
        }
        text.push_str("# What the functions are told, or secretsmanager: in place of ssm:\n");
        for (name, _) in &self.settings {
            let _ = writeln!(text, "#   {name}=ssm:{PARAMETERS}/{name}");
        }
        let _ = writeln!(text, "{}# Then: rm -r {folder}", self.public_line());
        text
    }

    fn public_line(&self) -> String {
        format!(
            "#\n# No secret; JWT_KEYS of functions that only verify:\n#   JWT_KEYS={}\n",
            self.public
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use shared::{
        auth::Tokens,
        clock::Clock,
        config::{Env, WeChatSettings},
    };

    use super::*;

    #[test]
    fn a_new_set_is_taken_by_deployed_functions() {
        let set = KeySet::generate(&Random::System).unwrap();
        let settings: Vec<_> = set
            .settings
            .iter()
            .map(|(name, value)| (*name, value.expose_secret()))
            .collect();
        let env = Env::new(
            settings
                .into_iter()
                .chain([("WECHAT_APPIDS", "wx1"), ("WECHAT_SECRETS", "wx1:s")]),
        );
        let tokens = Tokens::new(&env, Clock::System);
        assert_eq!(WeChatSettings::read(&env).data_keys.len(), 1);
        assert_eq!(env.finish(), Ok(()));
        let verifying = Env::new([("JWT_KEYS", &*set.public), ("WECHAT_APPIDS", "wx1")]);
        assert_eq!(
            Tokens::new(&verifying, Clock::System).public_keys(),
            tokens.public_keys()
        );
        assert_eq!(verifying.finish(), Ok(()));
    }

    #[test]
    fn two_sets_have_nothing_in_common() {
        let sets = [(); 2].map(|()| KeySet::generate(&Random::System).unwrap());
        for ((name, one), (_, other)) in sets[0].settings.iter().zip(&sets[1].settings) {
            assert_ne!(one.expose_secret(), other.expose_secret(), "{name}");
        }
    }

    #[test]
    fn files_are_for_their_owner_and_commands_show_no_secret() {
        let set = KeySet::generate(&Random::System).unwrap();
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new");
        let commands = set.store(&folder).unwrap();
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        for (name, value) in &set.settings {
            let file = folder.join(name);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(
                std::fs::read_to_string(file).unwrap(),
                value.expose_secret()
            );
            assert!(!commands.contains(value.expose_secret()), "{name}");
        }
        // Nothing is overwritten.
        assert!(set.store(&folder).is_err());
    }
}
