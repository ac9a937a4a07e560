//! The code in the documents works as pasted: shell snippets run against `make run`, one page after
//! the other, and the JavaScript for mini-programs runs in Node.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use e2e::{binaries, redis_server::RedisServer, test_app::Api};
use serde_json::{Value, json};

use crate::gateway::{ANY_PORT, Running, folder};

/// Shell snippets that this test does not run, by something that they contain, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("make run", "started by this test"),
    (
        "make build ",
        "builds for Lambda, and deploys to an AWS account",
    ),
    ("make release ", "builds for every platform"),
    ("RELEASE=", "deploys to an AWS account"),
    ("gh attestation", "needs a release on GitHub"),
    ("SECRETS_LAYER=", "deploys to an AWS account"),
    ("aws dynamodb restore", "run by stack.rs"),
    ("aws cloudformation describe-stack", "run by stack.rs"),
    ("aws lambda get-account-settings", "run by stack.rs"),
    ("aws acm describe-certificate", "run by stack.rs"),
    (
        "aws dynamodbstreams get-records",
        "reads the stream of an AWS account",
    ),
    ("make configure ", "changes a deployment"),
    ("make network", "deploys to an AWS account"),
    ("<ApiUrl>", "needs a deployment"),
    ("sam deploy", "deploys to an AWS account"),
    ("make watch", "run by watch.rs"),
    ("make phone", "asks for a number, and needs a deployment"),
    ("make admin ID=…", "needs a deployment"),
    ("cargo bench", "takes minutes"),
    ("cargo build --release", "takes minutes"),
    ("docker compose", "needs Docker"),
    (
        "mkdir -p events/greet",
        "run by tests/project/contributing.rs",
    ),
];

/// What the documents leave out or assume, and what stands for it here.
const URL: &str = "http://127.0.0.1:9000";
const REDIS: &str = "REDIS_URL=…";

/// The number of two people.
const NUMBER: &str = "13900139000";

/// The documents that `docs/accounts.md` tells its readers to configure.
const CONSENTS: (&str, &str) = ("CONSENTS", "privacy:3,terms:2");

/// `curl` fails on statuses that are errors; a failed command is named.
const PRELUDE: &str = "set -euo pipefail
trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR
curl() { command curl --fail-with-body --max-time 20 \"$@\"; }
";

/// In place of cargo, which would build.
const CARGO: &str = "#!/bin/sh
case \"$*\" in
  'run --quiet --bin local -- '*) shift 5; exec LOCAL \"$@\" ;;
  --version) echo 'cargo 99.0.0' ;;
  *) echo \"unexpected: cargo $*\" >&2; exit 1 ;;
esac
";

/// The snippets of one language of a page.
pub fn snippets(page: &Path, language: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let inside: Vec<_> = lines
            .by_ref()
            .take_while(|line| line.trim() != "```")
            .collect();
        if fence == language {
            found.push(inside.join("\n"));
        }
    }
    found
}

/// The Markdown files with snippets.
fn pages() -> Vec<PathBuf> {
    let root = binaries::workspace();
    let folders = [
        "",
        "docs",
        "docs/zh",
        "events",
        "examples/protected-function",
    ];
    let folders = folders.map(|folder| root.join(folder));
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut pages: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder with what `make` needs, and with programs in `bin` that spare a build.
fn project(folder: &Path) -> PathBuf {
    let project = folder.join("my project");
    fs::create_dir_all(project.join("scripts")).unwrap();
    for file in [
        "Makefile",
        "Cargo.toml",
        "scripts/lib.sh",
        "scripts/toolchain.sh",
    ] {
        fs::copy(binaries::workspace().join(file), project.join(file)).unwrap();
    }
    let local = format!("'{}'", binaries::path("local").display());
    write_program(&project.join("bin/cargo"), &CARGO.replace("LOCAL", &local));
    write_program(
        &project.join("bin/rustc"),
        "#!/bin/sh\necho 'rustc 99.0.0'\n",
    );
    project
}

/// Runs a program and expects success; its standard output.
async fn run(mut command: Command, what: &Path) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{}:\n{errors}\n{text}",
        what.display()
    );
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shell_snippets_of_the_documents_run() {
    let (folder, redis) = (folder(), RedisServer::start().await);
    let gateway = Running::start(folder.path(), &[ANY_PORT, CONSENTS]).await;
    let mut unused: BTreeSet<_> = NOT_RUN.iter().map(|(part, _)| *part).collect();
    let mut count = 0;
    for page in pages() {
        let mut script = PRELUDE.to_owned();
        for snippet in snippets(&page, "sh") {
            if let Some((part, _)) = NOT_RUN.iter().find(|(part, _)| snippet.contains(part)) {
                unused.remove(part);
                continue;
            }
            count += 1;
            let snippet = snippet.replace(URL, &gateway.api.url);
            script += &snippet.replace(REDIS, &format!("REDIS_URL={}", redis.url()));
            script.push('\n');
        }
        if script == PRELUDE {
            continue;
        }
        let project = project(&folder.path().join(page.file_stem().unwrap()));
        #[expect(clippy::disallowed_methods, reason = "the machine's programs")]
        let path = std::env::var("PATH").unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &script])
            .current_dir(&project)
            .env_clear()
            .env("PATH", format!("{}:{path}", project.join("bin").display()))
            .env("DATA_DIR", folder.path().join(".data"));
        run(bash, &page).await;
    }
    assert!(count >= 10, "only {count} snippets were run");
    assert!(unused.is_empty(), "no snippet contains {unused:?}");
}

/// `USER`, which every shell sets, is nobody's id.
#[test]
fn make_admin_asks_for_the_id() {
    let folder = folder();
    let project = project(folder.path());
    #[expect(clippy::disallowed_methods, reason = "the machine's programs")]
    let path = std::env::var("PATH").unwrap();
    let mut make = Command::new("make");
    make.arg("admin")
        .current_dir(&project)
        .env_clear()
        .env("PATH", format!("{}:{path}", project.join("bin").display()))
        .env("USER", "alice");
    let output = make.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    assert!(
        errors.contains("usage: make admin ID=<user id>"),
        "{errors}"
    );
}

/// A page module of a mini-program as WeChat's compiler makes it: `import` and `export` become
/// `require` and `module.exports`, and there is no `await` outside a function.
fn compiled(source: &str) -> String {
    let (mut lines, mut exported) = (Vec::new(), Vec::new());
    for line in source.lines() {
        let import = line.strip_prefix("import ");
        if let Some((names, from)) = import.and_then(|rest| rest.split_once(" from ")) {
            lines.push(format!("const {names} = require({from})"));
        } else if let Some(rest) = line.strip_prefix("export const ") {
            exported.push(rest.split(' ').next().unwrap());
            lines.push(format!("const {rest}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.push(format!("module.exports = {{ {} }}\n", exported.join(", ")));
    lines.join("\n")
}

/// Runs modules, of which the first is `utils/api.js` and the others are pages, on a phone; what the
/// pages have shown.
async fn on_a_phone(modules: &[String], folder: &Path, url: &str) -> Value {
    assert!(modules[0].starts_with("// utils/api.js"), "{}", modules[0]);
    for (index, module) in modules.iter().enumerate() {
        let file = match index {
            0 => "utils/api.js".to_owned(),
            _ => format!("pages/{index}/index.js"),
        };
        let module = module.replace("'https://api.example.com'", "process.env.URL");
        write_program(&folder.join(file), &compiled(&module));
    }
    let phone = include_str!("snippets/phone.js");
    write_program(&folder.join("phone.js"), phone);
    let mut node = Command::new(binaries::workspace().join(".tools/node"));
    node.arg("phone.js")
        .arg((modules.len() - 1).to_string())
        .current_dir(folder)
        .env("URL", url);
    serde_json::from_str(&run(node, &folder.join("phone.js")).await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_for_mini_programs_runs() {
    for page in ["docs/client.md", "docs/zh/client.md"] {
        let (folder, page) = (folder(), binaries::workspace().join(page));
        let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
        let modules = snippets(&page, "js");
        let shown = on_a_phone(&modules, folder.path(), &gateway.api.url).await;
        assert_eq!(
            shown["user"]["id"].as_str().map(str::len),
            Some(36),
            "{shown}"
        );
        assert_eq!(shown["steps"].as_array().map(Vec::len), Some(31), "{shown}");
        assert!(
            shown["phone"].as_str().unwrap().starts_with("138"),
            "{shown}"
        );
        // The chosen picture is shown by its address.
        let avatar = shown["avatar"].as_str().unwrap();
        let picture = e2e::upload::fetch(avatar).await;
        assert_eq!((picture.status, &*picture.body), (200, e2e::upload::PNG));
        // One for each module, and three more for the picture.
        assert_eq!(shown["answered"], Value::from(modules.len() + 3), "{shown}");
    }
}

/// Another user, who binds what is alice's number, too. Returns their id.
async fn with_the_number_of_alice(api: &Api) -> Value {
    let control = async |method: &str, path: &str, body: Value| {
        let path = format!("/_wechat/_control/{path}");
        let request = api.request(method, &path).json(&body);
        let (status, _, body) = request.send_raw().await;
        assert!(status < 300, "{path}: {status}");
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    for user in ["alice", "bob"] {
        control("PUT", "users", json!({"user": user, "phone": NUMBER})).await;
    }
    let code = async |path: &str| {
        let issued = control("POST", path, json!({"user": "bob"})).await;
        issued["code"].as_str().unwrap().to_owned()
    };
    let (code, phone_code) = (code("code").await, code("phone-code").await);
    let login = api.login_with_phone(&code, &phone_code).await;
    assert_eq!(login.ok(200)["phone"], json!({"status": "bound"}));
    login.data()["user"]["id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_for_accounts_runs() {
    for (client, page) in [
        ("docs/client.md", "docs/accounts.md"),
        ("docs/zh/client.md", "docs/zh/accounts.md"),
    ] {
        let (folder, root) = (folder(), binaries::workspace());
        let gateway = Running::start(folder.path(), &[ANY_PORT, CONSENTS]).await;
        let older = with_the_number_of_alice(&gateway.api).await;
        let mut modules = snippets(&root.join(client), "js");
        modules.truncate(1);
        modules.extend(snippets(&root.join(page), "js"));
        let shown = on_a_phone(&modules, folder.path(), &gateway.api.url).await;
        // The first page asked, and merged the accounts.
        let question = json!(["合并账号"]);
        assert_eq!(
            (&shown["asked"], &shown["phone"]),
            (&question, &json!(NUMBER))
        );
        // Agreed to by the second page, withdrawn by the third, saved by the fourth.
        let privacy = json!([{"document": "privacy", "version": 3}]);
        assert_eq!(shown["missing"], privacy, "{page}");
        let file = &shown["files"]["usr/export.json"];
        let export: Value = serde_json::from_str(file.as_str().unwrap()).unwrap();
        assert_eq!(export[0]["user"]["id"], older, "{export}");
        let consents = export[0]["consents"].as_array().unwrap();
        let withdrawn = |consent: &&Value| !consent["withdrawnAt"].is_null();
        let ended: Vec<_> = consents.iter().filter(withdrawn).collect();
        assert_eq!((consents.len(), ended.len()), (2, 1), "{export}");
        assert_eq!(ended[0]["document"], "privacy");
        assert_eq!(shown["shared"], "usr/export.json", "{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_for_sealed_bodies_loads() {
    let (folder, page) = (folder(), binaries::workspace().join("docs/encryption.md"));
    for (index, module) in snippets(&page, "js").iter().enumerate() {
        let file = folder.path().join(format!("{index}.js"));
        write_program(&file, &compiled(module));
        let mut node = Command::new(binaries::workspace().join(".tools/node"));
        let libraries = binaries::workspace().join("tests/clients/node_modules");
        node.arg(&file).env("NODE_PATH", libraries);
        run(node, &page).await;
    }
}
