//! `make keys`: generates a set of keys and says how to store it.

use std::{
    fmt::Write,
    fs::{DirBuilder, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    crypto::{KeyKind, KeyPair, KeyPairError},
    random::Random,
};

/// The prefix of the keys' names on AWS, as in `ssm:/weapp/JWT_KEYS`.
const AWS_PREFIX: &str = "/weapp";

/// A new value for each setting that holds keys.
pub struct KeySet {
    /// Name and value of each setting.
    pub settings: Vec<(&'static str, SecretString)>,
    /// `JWT_KEYS` for functions that only verify. Not secret.
    pub public: String,
}

impl KeySet {
    /// Generates a set. Key ids are random, so that no two keys have the same id. The signing key is
    /// Ed25519: its signatures are deterministic, so a repeated request gets the identical token.
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

    /// The secrets themselves, as lines of `.env`.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut text =
            "# New keys for .env. They are secrets: keep this output out of logs and chats.\n"
                .to_owned();
        for (name, value) in &self.settings {
            let _ = writeln!(text, "{name}={}", value.expose_secret());
        }
        text + &self.public_line()
            + "#\n# For AWS, write them to files instead: make keys FOLDER=keys.new\n"
    }

    /// Writes a file for each setting, readable by its owner only, into `folder`, which must not
    /// exist. Returns the commands that store them on AWS.
    ///
    /// # Errors
    /// When the folder exists or can't be written.
    pub fn store(&self, folder: &Path) -> io::Result<String> {
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let made = DirBuilder::new().mode(0o700).create(folder);
        made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => io::Error::new(
                ErrorKind::AlreadyExists,
                "exists already, and keys are never overwritten: name a folder that does not exist",
            ),
            _ => error,
        })?;
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

    /// The commands read the values from the files: on a command line they would be visible in the
    /// shell's history and in `ps`.
    fn commands(&self, folder: &Path) -> String {
        let file = |name: &str| {
            let file = format!("file://{}", folder.join(name).display());
            shell_word(&file)
        };
        let (folder, removal) = (folder.display(), shell_word(&folder.to_string_lossy()));
        let mut text = format!(
            "# New keys, one file for each setting, in {folder}.\n# SSM Parameter Store:\n"
        );
        for (name, _) in &self.settings {
            let _ = writeln!(
                text,
                "aws ssm put-parameter --type SecureString --name {AWS_PREFIX}/{name} --value {}",
                file(name)
            );
        }
        text.push_str("# or Secrets Manager:\n");
        for (name, _) in &self.settings {
            let _ = writeln!(
                text,
                "aws secretsmanager create-secret --name {AWS_PREFIX}/{name} --secret-string {}",
                file(name)
            );
        }
        text.push_str("# The functions' settings (with secretsmanager: in place of ssm: for Secrets Manager):\n");
        for (name, _) in &self.settings {
            let _ = writeln!(text, "#   {name}=ssm:{AWS_PREFIX}/{name}");
        }
        let _ = writeln!(text, "{}# Then: rm -r -- {removal}", self.public_line());
        text
    }

    fn public_line(&self) -> String {
        format!(
            "#\n# JWT_KEYS of functions that only verify (not secret):\n#   JWT_KEYS={}\n",
            self.public
        )
    }
}

/// `text` as one word of a shell's command line.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-:".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    use shared::{
        auth::Tokens,
        clock::Clock,
        config::{DataKeySettings, Env},
    };

    use super::*;

    #[test]
    fn deployed_functions_accept_a_new_set() {
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
        assert_eq!(DataKeySettings::read(&env).keys.len(), 1);
        assert_eq!(env.validate(), Ok(()));
        let verifying = Env::new([("JWT_KEYS", &*set.public), ("WECHAT_APPIDS", "wx1")]);
        assert_eq!(
            Tokens::new(&verifying, Clock::System).public_keys(),
            tokens.public_keys()
        );
        assert_eq!(verifying.validate(), Ok(()));
    }

    #[test]
    fn two_sets_have_no_key_in_common() {
        let sets = [(); 2].map(|()| KeySet::generate(&Random::System).unwrap());
        for ((name, one), (_, other)) in sets[0].settings.iter().zip(&sets[1].settings) {
            assert_ne!(one.expose_secret(), other.expose_secret(), "{name}");
        }
    }

    #[test]
    fn files_are_private_and_commands_show_no_secret() {
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
        // An existing folder is never overwritten.
        let error = set.store(&folder).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
    }

    #[test]
    fn commands_for_a_folder_with_blanks_can_be_pasted() {
        let set = KeySet::generate(&Random::System).unwrap();
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("it's new/my $keys");
        let commands = set.store(&folder).unwrap();
        // A shell that only prints the words after the command's name.
        let script = format!("aws() {{ printf '%s\\n' \"$@\"; }}\n{commands}");
        let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = String::from_utf8(shell.stdout).unwrap();
        for (name, _) in &set.settings {
            let word = format!("file://{}", folder.join(name).display());
            assert_eq!(
                words.lines().filter(|line| *line == word).count(),
                2,
                "{words}"
            );
        }
        let removal = commands
            .lines()
            .find_map(|line| line.strip_prefix("# Then: "));
        let shell = Command::new("sh").args(["-c", removal.unwrap()]).status();
        assert!(shell.unwrap().success() && !folder.exists());
    }
}
