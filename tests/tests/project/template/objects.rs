//! Each function may do with the bucket of avatars what it does, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use e2e::{
    objects::{BUCKET, store},
    test_app::{Api, SharedState, TestApp, Tokens},
    upload::{PNG, fetch, post_form},
};
use serde_json::{Value, json, value::RawValue};
use shared::{
    clock::Clock,
    instance::Instance,
    random::Random,
    runtime::{InvocationScope, Invoker},
};
use tokio::net::TcpListener;
use wechat_simulator::MediaCheck;

use super::{Function, assert_none, render::Template, rendered};
use crate::functions;

/// An action, and the keys that it is allowed for.
type Permission = (String, String);
type Permissions = BTreeSet<Permission>;

/// A value, or each of a list.
fn each(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        item => item.as_str().into_iter().collect(),
    }
}

/// What the policies of a function allow in the bucket.
fn allowed(template: &Template, function: &Function) -> Permissions {
    let managed: BTreeMap<_, _> = template
        .resources("AWS::IAM::ManagedPolicy")
        .into_iter()
        .collect();
    let policies = function.properties["Policies"].as_array();
    let statements = policies.into_iter().flatten().flat_map(|policy| {
        let policy = match policy.as_str() {
            Some(name) => &managed[name]["PolicyDocument"],
            None => policy,
        };
        policy["Statement"].as_array().unwrap().clone()
    });
    let mut permissions = Permissions::new();
    for statement in statements {
        let actions = each(&statement["Action"]);
        for action in actions.iter().filter(|action| action.starts_with("s3:")) {
            for resource in each(&statement["Resource"]) {
                let bucket = resource.split_once(":s3:::").unwrap().1;
                let keys = bucket.strip_prefix("AvatarBucket").unwrap().to_owned();
                permissions.insert(((*action).to_owned(), keys));
            }
        }
    }
    permissions
}

/// What the functions did, by their packages.
type Calls = Arc<Mutex<BTreeMap<String, Permissions>>>;

/// The keys that are named like this one: its folder.
fn folder(key: &str) -> String {
    format!("/{}/*", key.split('/').next().unwrap())
}

/// Notes what a call needs. A form is used, and a signed address read, with the permissions of the
/// function that signed it.
async fn note(
    State((function, calls)): State<(String, Calls)>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path().trim_start_matches('/');
    let key = path.strip_prefix(BUCKET).unwrap().trim_start_matches('/');
    let needed = match head.method {
        Method::POST => vec![("s3:PutObject", folder(&key_in_form(&body)))],
        Method::GET => vec![("s3:GetObject", folder(key))],
        Method::DELETE => vec![("s3:DeleteObject", folder(key))],
        Method::PUT => {
            let source = head.headers["x-amz-copy-source"].to_str().unwrap();
            let source = source.strip_prefix(&format!("/{BUCKET}/")).unwrap();
            vec![
                ("s3:GetObject", folder(source)),
                ("s3:PutObject", folder(key)),
            ]
        }
        ref other => panic!("no call of ours: {other}"),
    };
    let needed = needed
        .into_iter()
        .map(|(action, keys)| (action.to_owned(), keys));
    calls
        .lock()
        .unwrap()
        .entry(function)
        .or_default()
        .extend(needed);
    next.run(Request::from_parts(head, Body::from(body))).await
}

fn key_in_form(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(body);
    let (_, field) = text.split_once("name=\"key\"\r\n\r\n").unwrap();
    field.split("\r\n").next().unwrap().to_owned()
}

async fn listen(router: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(local::serve(listener, router, pending()));
    url
}

/// The functions, each by itself in front of the same store.
struct Functions {
    app: TestApp,
    store: String,
    calls: Calls,
}

impl Functions {
    async fn start() -> Self {
        let app = TestApp::start(SharedState::Redis).await;
        let objects = store(Clock::Manual(app.clock.clone()));
        let calls = Calls::default();
        let nest = |router: Router, (name, _): (String, _)| {
            let noted = from_fn_with_state((name.clone(), Arc::clone(&calls)), note);
            router.nest(&format!("/{name}"), objects.router().layer(noted))
        };
        let router = functions::all().into_iter().fold(Router::new(), nest);
        let store = listen(router.nest("/cdn", objects.public_router())).await;
        Self { app, store, calls }
    }

    /// The instance of one function with these settings.
    fn instance(&self, name: &str, changes: &[(&str, &str)]) -> Instance {
        let (endpoint, base) = (
            format!("{}/{name}", self.store),
            format!("{}/cdn", self.store),
        );
        let mut settings = vec![
            ("AVATAR_BUCKET", BUCKET),
            ("AVATAR_BASE_URL", &*base),
            ("AWS_ENDPOINT_URL_S3", &*endpoint),
            ("CONTENT_CHECK", "on"),
            ("CONTENT_CHECK_ON_FAILURE", "allow"),
        ];
        settings.extend(changes);
        let clock = Clock::Manual(self.app.clock.clone());
        Instance::new(self.app.env_with(&settings), clock, Random::System)
    }

    /// One function with these settings.
    async fn with(&self, name: &str, changes: &[(&str, &str)]) -> Api {
        let instance = self.instance(name, changes);
        let (_, routes) = functions::of_api()
            .into_iter()
            .find(|(known, _)| known == name)
            .unwrap();
        let routes = routes(&instance);
        let app = instance
            .app(routes)
            .unwrap_or_else(|errors| panic!("{errors}"));
        Api::new(&listen(app).await)
    }

    async fn function(&self, name: &str) -> Api {
        self.with(name, &[]).await
    }

    async fn log_in(&self, person: &str) -> Tokens {
        let login = self.function("login").await;
        Tokens::of(&login.login(&self.app.code(person)).await)
    }

    /// Uploads and confirms a picture, which is then being checked.
    async fn checking(&self, tokens: &Tokens) -> (String, MediaCheck) {
        let avatar = self.function("avatar").await;
        let begun = avatar.begin_avatar(&tokens.access, "image/png", PNG.len());
        let form = begun.await.ok(200).clone();
        assert_eq!(post_form(&form, PNG).await.status, 204);
        let key = form["key"].as_str().unwrap().to_owned();
        avatar.confirm_avatar(&tokens.access, &key).await.ok(202);
        (key, self.app.wechat.take_media_checks().remove(0))
    }

    /// WeChat reads the picture, and the callback publishes it.
    async fn publish(&self, tokens: &Tokens) {
        let (_, check) = self.checking(tokens).await;
        let picture = fetch(&check.media_url).await.body;
        let push = self
            .app
            .wechat
            .media_verdict(&check, Some(&picture))
            .unwrap();
        let callback = self.function("callback").await;
        let path = format!("/api/v1/wechat/callback?{}", push.query);
        let request = callback.request("POST", &path).body(push.body);
        assert_eq!(request.send_raw().await.0, 200);
    }

    /// One that is shown, and one that is being checked.
    async fn two_pictures(&self, tokens: &Tokens) -> String {
        self.publish(tokens).await;
        self.checking(tokens).await.0
    }

    /// What each function can be asked to do with pictures.
    async fn do_all(&self) {
        let [alice, root] = [self.log_in("alice").await, self.log_in("root").await];
        self.app.set_role(&root.user_id(), "admin").await;
        // Replaced, after a verdict and without one.
        self.publish(&alice).await;
        self.publish(&alice).await;
        let (key, _) = self.checking(&alice).await;
        self.app.clock.advance_seconds(1800);
        let avatar = self.function("avatar").await;
        avatar.confirm_avatar(&alice.access, &key).await.ok(200);
        let cleared = json!({"avatarUrl": null});
        self.two_pictures(&alice).await;
        let user_info = self.function("user-info").await;
        user_info.change(&alice.access, &cleared).await.ok(200);
        self.two_pictures(&alice).await;
        let version = user_info.info(&alice.access).await.ok(200)["version"].clone();
        let cleared = json!({"avatarUrl": null, "version": version});
        let users = self.function("users").await;
        let id = alice.user_id();
        let changed = users.change_user(&root.access, &id, &cleared);
        changed.await.ok(200);
        self.two_pictures(&alice).await;
        let account = self.function("account").await;
        account.delete_account(&alice.access).await.ok(200);
        // A login completes a deletion.
        let bob = self.log_in("bob").await;
        self.two_pictures(&bob).await;
        let cooling = [("DELETION_COOLING_DAYS", "1")];
        let account = self.with("account", &cooling).await;
        account.delete_account(&bob.access).await.ok(202);
        self.app.clock.advance_seconds(24 * 60 * 60 + 1);
        assert_ne!(self.log_in("bob").await.user_id(), bob.user_id());
        // So does the worker.
        let carol = self.log_in("carol").await;
        self.two_pictures(&carol).await;
        account.delete_account(&carol.access).await.ok(202);
        self.app.clock.advance_seconds(24 * 60 * 60 + 1);
        self.resume_sagas().await;
    }

    /// What the schedule has the worker do.
    async fn resume_sagas(&self) {
        let instance = self.instance("worker", &[]);
        let (_, handler) = local::WORKERS[0];
        let worker = Invoker::new(handler(&instance));
        let task = RawValue::from_string(r#"{"task":"resume-sagas"}"#.to_owned());
        let invocation = InvocationScope {
            id: "i1",
            deadline: None,
        };
        let report = worker.invoke(&task.unwrap(), invocation).await.unwrap();
        assert_eq!(report, json!({"ended": 1, "unfinished": 0, "failed": 0}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_may_do_with_the_bucket_what_it_does() {
    let functions = Functions::start().await;
    functions.do_all().await;
    let calls = std::mem::take(&mut *functions.calls.lock().unwrap());
    let template = rendered(&[("Avatars", "cloudfront")]);
    let mut wrong = Vec::new();
    for function in template.functions() {
        let package = &function.package;
        let mut needed = calls.get(package).cloned().unwrap_or_default();
        if needed.iter().any(|(action, _)| action == "s3:GetObject") {
            // S3 answers 403 to others than those who may list what is not there.
            needed.insert(("s3:ListBucket".to_owned(), String::new()));
        }
        let allowed = allowed(&template, &function);
        let missing = needed.difference(&allowed);
        wrong.extend(missing.map(|(action, keys)| format!("{package} may not {action} {keys}")));
        let unused = allowed.difference(&needed);
        wrong.extend(unused.map(|(action, keys)| format!("{package} needs no {action} {keys}")));
    }
    assert_none(&wrong);
    assert_eq!(calls.len(), 7, "{calls:?}");
}

/// The bucket that the stack makes, or the one that is there already.
#[test]
fn all_is_about_the_bucket_that_the_functions_are_told() {
    for (existing, name) in [
        ("", "AvatarBucket"),
        ("pictures-of-ours", "pictures-of-ours"),
    ] {
        for avatars in ["cloudfront", "own-domain"] {
            let parameters = [("Avatars", avatars), ("ExistingAvatarBucket", existing)];
            let template = rendered(&parameters);
            let made = template.resources("AWS::S3::Bucket").len();
            assert_eq!(made, usize::from(existing.is_empty()), "{parameters:?}");
            for kind in ["AWS::IAM::ManagedPolicy", "AWS::S3::BucketPolicy"] {
                let text = format!("{:?}", template.resources(kind));
                for arn in text.split(":s3:::").skip(1) {
                    let bucket = arn.split(['/', '"']).next().unwrap();
                    assert_eq!(bucket, name, "{parameters:?}");
                }
            }
            for function in template.functions() {
                let told = function.variables().get("AVATAR_BUCKET").cloned();
                assert!(told.is_none_or(|told| told == name), "{}", function.package);
            }
            // Its owner's policy stays, as long as no distribution of the stack's needs one.
            let policies = template.resources("AWS::S3::BucketPolicy").len();
            let written = existing.is_empty() || avatars == "cloudfront";
            assert_eq!(policies, usize::from(written), "{parameters:?}");
        }
    }
    let without = rendered(&[("ExistingAvatarBucket", "pictures-of-ours")]);
    for kind in ["AWS::S3::Bucket", "AWS::S3::BucketPolicy"] {
        assert_eq!(without.resources(kind), [], "{kind}");
    }
}

/// Who may read which keys of the bucket, by its policy.
fn readers(template: &Template) -> Vec<(Value, Value)> {
    let policies = template.resources("AWS::S3::BucketPolicy");
    let statements = policies.iter().flat_map(|(_, policy)| {
        let statements = policy["PolicyDocument"]["Statement"].as_array();
        statements.unwrap().clone()
    });
    let allowed = statements.filter(|statement| statement["Effect"] == "Allow");
    let reader = |statement: Value| {
        assert_eq!(statement["Action"], "s3:GetObject");
        (
            statement["Principal"].clone(),
            statement["Resource"].clone(),
        )
    };
    allowed.map(reader).collect()
}

/// A distribution that the stack makes, or one of the operator's own, as in China; else nobody.
#[test]
fn only_the_distribution_that_is_named_reads_the_bucket() {
    let id = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";
    let theirs = json!({ "CanonicalUser": id });
    let ours = json!({"Service": "cloudfront.amazonaws.com"});
    for bucket in ["", "pictures-of-ours"] {
        let name = if bucket.is_empty() {
            "AvatarBucket"
        } else {
            bucket
        };
        let keys = json!(format!("arn:AWS::Partition:s3:::{name}/avatars/*"));
        for (avatars, reader, expected) in [
            ("cloudfront", "", Some(&ours)),
            ("own-domain", id, Some(&theirs)),
            ("own-domain", "", None),
        ] {
            let template = rendered(&[
                ("Avatars", avatars),
                ("AvatarBaseUrl", "https://static.example.com"),
                ("AvatarReader", reader),
                ("ExistingAvatarBucket", bucket),
            ]);
            assert_eq!(template.refusals(), [""; 0]);
            let expected = expected.map(|reader| (reader.clone(), keys.clone()));
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(readers(&template), expected, "{avatars} {reader} {bucket}");
        }
    }
    for avatars in ["off", "cloudfront"] {
        let refused = rendered(&[("Avatars", avatars), ("AvatarReader", id)]);
        let why = "AvatarReader needs Avatars=own-domain";
        assert_eq!(refused.refusals(), [why], "{avatars}");
    }
}
