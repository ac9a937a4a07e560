//! What the Dockerfile's last stage makes, started as a container would be: in a file system with
//! nothing else in it, which can't be written to, and as its user.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use e2e::{binaries, process::Spawn};
use rustix::process::Signal;

use super::{Running, SIMULATOR, with_aws};
use crate::harness::LambdaHarness;

/// The last stage.
#[derive(Default)]
struct Image {
    /// Source in the stage `build`, and target.
    copies: Vec<(String, String)>,
    user: String,
    variables: BTreeMap<String, String>,
    health: Vec<String>,
    entry: Vec<String>,
}

fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

impl Image {
    fn read() -> Self {
        let text = fs::read_to_string(binaries::workspace().join("Dockerfile")).unwrap();
        let (_, stage) = text.split_once("\nFROM scratch\n").unwrap();
        let mut image = Self::default();
        let lines = stage.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (instruction, rest) = line.split_once(' ').unwrap();
            match instruction {
                "COPY" => image.copy(rest),
                "USER" => rest.clone_into(&mut image.user),
                "ENV" => {
                    let pairs = rest.split(' ').map(|pair| pair.split_once('=').unwrap());
                    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                    image.variables.extend(pairs);
                }
                "HEALTHCHECK" => image.health = words(rest.split_once(" CMD ").unwrap().1),
                "ENTRYPOINT" => image.entry = words(rest),
                "STOPSIGNAL" => assert_eq!(rest, "SIGTERM"),
                "EXPOSE" => assert_eq!(rest, "9000"),
                _ => panic!("this test does not know {instruction}"),
            }
        }
        image
    }

    fn copy(&mut self, arguments: &str) {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let [options @ .., source, target] = &arguments[..] else {
            panic!("COPY {arguments:?}");
        };
        assert_eq!(options[0], "--from=build");
        let copy = ((*source).to_owned(), (*target).to_owned());
        self.copies.push(copy);
    }

    /// The image's files.
    fn make(&self, root: &Path) {
        for (source, target) in &self.copies {
            let target = root.join(target.trim_start_matches('/'));
            match source.as_str() {
                "/server" => {
                    fs::create_dir_all(target.parent().unwrap()).unwrap();
                    fs::copy(binaries::path("server"), &target).unwrap();
                }
                "/data" => fs::create_dir_all(&target).unwrap(),
                _ => panic!("the stage before has no {source}"),
            }
        }
    }

    /// A command in it, as this user, with the image's variables under these.
    fn command(
        &self,
        root: &Path,
        arguments: &[String],
        variables: &[(String, String)],
    ) -> Command {
        let (user, group) = self.user.split_once(':').unwrap();
        let root = root.to_str().unwrap();
        let mount =
            r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot "$0" "$@""#;
        let mut command = Command::new("unshare");
        // With the capabilities of a new user namespace, for which nobody has to be root.
        command
            .args(["--user", "--mount", "--keep-caps"])
            .args([format!("--map-user={user}"), format!("--map-group={group}")])
            .args(["sh", "-c", mount, root])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(&self.variables)
            .envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The release's program is static, a debug build is not: with what it needs at its places.
fn add_libraries(root: &Path) {
    let output = Command::new("ldd")
        .arg(binaries::path("server"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths.map(PathBuf::from) {
        let target = root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_serves_without_root_from_files_that_cannot_be_written_to() {
    let (harness, image) = (LambdaHarness::start().await, Image::read());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    image.make(&root);
    add_libraries(&root);
    assert_eq!(image.variables["HOST"], "0.0.0.0");
    let settings = harness.settings.clone().with(SIMULATOR.0, SIMULATOR.1);
    let variables = with_aws(&settings);
    let start = image.command(&root, &image.entry, &variables);
    let server = Running::of(Spawn::new(start).guarded().spawn()).await;
    let tokens = server.log_in(&harness, "alice").await;
    server.api.info(&tokens.access).await.ok(200);
    let port = server.api.url.rsplit(':').next().unwrap().to_owned();
    let health = [("PORT".to_owned(), port)];
    let health = image.command(&root, &image.health, &health);
    let health = Spawn::new(health).guarded().spawn();
    let code = health.wait_exit().await.code();
    assert_eq!(code, Some(0), "{}", health.logs());
    // It is the first process: the signal of `docker stop` reaches it.
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
    let settings = settings
        .without("AWS_ENDPOINT_URL_DYNAMODB")
        .without("AVATAR_BUCKET")
        .without("AVATAR_BASE_URL");
    let data = ("EMBEDDED_DATA", image.copies[1].1.as_str());
    let settings = settings.with(data.0, data.1).with("PORT", "0");
    // Without a volume there, the data would be gone with the container: it can't be written at all.
    let start = image.command(&root, &image.entry, settings.variables());
    let refused = Spawn::new(start).guarded().spawn();
    assert_eq!(refused.wait_exit().await.code(), Some(1));
    let logs = refused.logs();
    assert!(logs.contain("Read-only file system"), "{logs}");
}
