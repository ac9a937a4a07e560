//! The stack that moto creates from the template: functions that are started with exactly the environment that they
//! have there serve people. Only the addresses of AWS, WeChat and Redis are those of this machine.

use std::{collections::BTreeMap, fs};

use axum::serve;
use e2e::{
    binaries::{self, workspace},
    events::HttpApi,
    http::Answer,
    moto::Moto,
    redis_server::RedisServer,
    runtime_api::FunctionUnderTest,
    settings::APP_ID,
    test_app::Tokens,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use wechat_simulator::Simulator;

use crate::{harness, snippets::snippets};

pub const REGION: &str = "ap-southeast-1";

/// An account of AWS, WeChat and Redis.
pub struct World {
    pub moto: Moto,
    wechat: Simulator,
    wechat_url: String,
    redis: RedisServer,
}

/// A stack's functions by their packages, and what the API calls.
pub struct Deployed {
    functions: BTreeMap<String, FunctionUnderTest>,
    /// Packages by path.
    routes: BTreeMap<String, String>,
    stack: Value,
}

impl World {
    pub async fn start() -> Self {
        let secret = "0123456789abcdef0123456789abcdef";
        let wechat = Simulator::new([(APP_ID.to_owned(), secret.to_owned())]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let wechat_url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, wechat.router()).into_future());
        Self {
            moto: Moto::start().await,
            wechat,
            wechat_url,
            redis: RedisServer::start().await,
        }
    }

    /// Creates the stacks of these cases, with these values for their placeholders; what was made.
    async fn create(&self, names: &[&str], values: &[(&str, &str)]) -> Value {
        let redis = self.redis.url();
        let mut values: BTreeMap<_, _> = values.iter().copied().collect();
        values.insert("{redis}", &redis);
        let cases = cases();
        let wanted = names.iter().map(|name| (*name).to_owned());
        let wanted = wanted.map(|name| {
            let mut case = cases[&name].clone();
            for value in case["parameters"].as_object_mut().unwrap().values_mut() {
                if let Some(filled) = values.get(value.as_str().unwrap()) {
                    *value = json!(filled);
                }
            }
            case["stack"] = json!(format!("weapp-{name}"));
            (name, case)
        });
        self.moto.stacks(&Value::Object(wanted.collect())).await
    }

    /// Starts the functions of a stack.
    pub async fn deployed(&self, stack: &Value, region: &str) -> Deployed {
        let url = self.moto.url();
        let addresses = [
            ("AWS_REGION", region),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_ENDPOINT_URL_DYNAMODB", &url),
            ("AWS_ENDPOINT_URL_S3", &url),
            ("WECHAT_BASE_URL", &self.wechat_url),
        ];
        let (mut functions, mut packages) = (BTreeMap::new(), BTreeMap::new());
        for (name, function) in stack["functions"].as_object().unwrap() {
            let package = function["package"].as_str().unwrap().to_owned();
            let variables = function["variables"].as_object().unwrap().iter();
            let variables = variables.map(|(name, value)| (&**name, value.as_str().unwrap()));
            let environment: Vec<_> = variables.chain(addresses).collect();
            let binary = binaries::path(&package);
            let running = FunctionUnderTest::spawn(binary, &environment);
            running.time_to_first_next().await;
            functions.insert(package.clone(), running);
            packages.insert(name.clone(), package);
        }
        let routes = stack["routes"].as_object().unwrap().iter();
        let routes =
            routes.map(|(path, name)| (path.clone(), packages[name.as_str().unwrap()].clone()));
        Deployed {
            functions,
            routes: routes.collect(),
            stack: stack.clone(),
        }
    }

    /// Logs this person in, or what it was answered.
    pub async fn try_log_in(&self, deployed: &Deployed, person: &str) -> Answer {
        let code = self.wechat.mint_code(person, None).unwrap();
        let login = HttpApi::new("POST", "/api/v1/user/login").json(&json!({"code": code}));
        deployed.send(login).await
    }

    pub async fn log_in(&self, deployed: &Deployed, person: &str) -> Tokens {
        Tokens::of(&self.try_log_in(deployed, person).await)
    }
}

impl Deployed {
    /// Sends a request to the function that the API calls.
    async fn send(&self, request: HttpApi) -> Answer {
        let package = self.routes.get(request.path());
        let package = package.unwrap_or_else(|| &self.routes["$default"]);
        harness::answer(&self.functions[package], &request.event()).await
    }

    pub async fn info(&self, tokens: &Tokens) -> Answer {
        self.send(HttpApi::new("GET", "/api/v1/user/info").bearer(&tokens.access))
            .await
    }

    pub async fn refresh(&self, tokens: &Tokens) -> Answer {
        let body = json!({"refreshToken": tokens.refresh});
        self.send(HttpApi::new("POST", "/api/v1/user/refresh").json(&body))
            .await
    }

    fn output(&self, name: &str) -> &str {
        let output = self.stack["outputs"][name].as_str();
        output.unwrap_or_else(|| panic!("no output {name}"))
    }
}

/// The cases by name, with the parameters that all of them need.
pub fn cases() -> Map<String, Value> {
    let text = fs::read_to_string(workspace().join("scripts/template/cases.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut cases = file["cases"].as_object().unwrap().clone();
    for case in cases.values_mut() {
        let mut parameters = file["required"].as_object().unwrap().clone();
        let own = case["parameters"].as_object().unwrap().clone();
        parameters.extend(own);
        case["parameters"] = Value::Object(parameters);
    }
    cases
}

/// A session from its beginning to its end.
async fn a_session_lives_and_ends(world: &World, deployed: &Deployed) {
    let health = HttpApi::new("GET", "/health?deep=1");
    deployed.send(health).await.ok(200);
    let nowhere = HttpApi::new("GET", "/nowhere");
    deployed.send(nowhere).await.fails(404, "not_found");
    let first = world.log_in(deployed, "alice").await;
    deployed.info(&first).await.ok(200);
    let second = Tokens::of(&deployed.refresh(&first).await);
    deployed.info(&second).await.ok(200);
    let logout = HttpApi::new("POST", "/api/v1/user/logout").bearer(&second.access);
    deployed.send(logout).await.ok(200);
    deployed.info(&second).await.fails(401, "session_revoked");
}

/// Every case, after those whose tables, secrets and buckets it is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_serve_people_in_the_environment_that_each_stack_gives_them() {
    let world = World::start().await;
    let cases = cases();
    let first = cases.keys().map(String::as_str);
    // `existing` comes later; what is not started needs something that nothing here stands in for.
    let first: Vec<_> = first
        .filter(|name| *name != "existing" && cases[*name]["started"] != false)
        .collect();
    let stacks = world.create(&first, &[]).await;
    let mut kept = None;
    for name in first {
        eprintln!("case {name}");
        let (stack, region) = (&stacks[name], cases[name]["region"].as_str().unwrap());
        assert_eq!(stack["status"], "CREATE_COMPLETE", "{name}");
        let deployed = world.deployed(stack, region).await;
        a_session_lives_and_ends(&world, &deployed).await;
        if name == "everything" {
            kept = Some((world.log_in(&deployed, "bob").await, deployed));
        }
    }
    let (bob, everything) = kept.unwrap();
    let secrets = secrets_of(&world, "weapp-everything").await;
    let stream = stream_of(&world, everything.output("TableName")).await;
    let values = [
        ("{table}", everything.output("TableName")),
        ("{stream}", &stream),
        ("{bucket}", everything.output("AvatarBucketName")),
        ("{jwt-secret}", &secrets[0]),
        ("{data-key}", &secrets[1]),
    ];
    eprintln!("case existing");
    let stacks = world.create(&["existing"], &values).await;
    let stack = &stacks["existing"];
    assert_eq!(
        stack["outputs"]["TableName"],
        everything.output("TableName")
    );
    let deployed = world.deployed(stack, REGION).await;
    a_session_lives_and_ends(&world, &deployed).await;
    // Who was here before is still known, by tokens that the other stack signed.
    deployed.info(&bob).await.ok(200);
    let refreshed = Tokens::of(&deployed.refresh(&bob).await);
    assert_eq!(refreshed.user_id(), bob.user_id());
}

/// The ARNs of the generated secrets of a stack: of tokens, and of data.
pub async fn secrets_of(world: &World, stack: &str) -> [String; 2] {
    let script = format!(
        "for name in JwtSecret DataKey; do aws cloudformation describe-stack-resource --stack-name {stack} \
         --logical-resource-id $name --query StackResourceDetail.PhysicalResourceId --output text; done"
    );
    let text = world.moto.shell(&script, REGION).await;
    let mut lines = text.lines().map(str::to_owned);
    [lines.next().unwrap(), lines.next().unwrap()]
}

/// The ARN of a table's stream.
async fn stream_of(world: &World, table: &str) -> String {
    let script = format!(
        "aws dynamodb describe-table --table-name {table} --query Table.LatestStreamArn --output text"
    );
    world.moto.shell(&script, REGION).await.trim().to_owned()
}

/// The commands of a page that contain this.
pub fn command(page: &str, part: &str) -> String {
    let commands = snippets(&workspace().join(page), "sh");
    let mut commands = commands.into_iter().filter(|text| text.contains(part));
    let command = commands.next();
    command.unwrap_or_else(|| panic!("{page}: no command with {part}"))
}

/// What a restored table has to be given again.
async fn protection(world: &World, table: &str) -> Value {
    let script = format!(
        "aws dynamodb describe-table --table-name {table} --query \
           'Table.{{Keys: KeySchema, Attributes: AttributeDefinitions, Stream: StreamSpecification, \
             Deletion: DeletionProtectionEnabled, \
             Indexes: GlobalSecondaryIndexes[].[IndexName, KeySchema, Projection]}}'
         aws dynamodb describe-time-to-live --table-name {table} --query TimeToLiveDescription
         aws dynamodb describe-continuous-backups --table-name {table} --query \
           ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus"
    );
    let text = world.moto.shell(&script, REGION).await;
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    Value::Array(values.map(Result::unwrap).collect())
}

/// The runbook, as it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_restored_and_attached_with_the_commands_of_the_runbook() {
    const PAGE: &str = "docs/runbook.md";
    let world = World::start().await;
    let mut case = cases()["defaults"].clone();
    case["stack"] = json!("weapp-serverless");
    let stacks = world.moto.stacks(&json!({"before": case})).await;
    let before = world.deployed(&stacks["before"], REGION).await;
    let alice = world.log_in(&before, "alice").await;
    let old = before.output("TableName").to_owned();
    let restore = command(PAGE, "aws dynamodb restore-table-to-point-in-time");
    assert!(
        restore.contains("OLD=weapp-serverless-Table-…"),
        "{restore}"
    );
    let restore = restore.replace("weapp-serverless-Table-…", &old);
    world.moto.shell(&restore, REGION).await;
    assert_eq!(
        protection(&world, "weapp-restored").await,
        protection(&world, &old).await
    );
    // Not in the restored table.
    let late = world.log_in(&before, "bob").await;

    let attach = command(PAGE, "EXISTING_TABLE=weapp-restored");
    world.moto.shell(&attach, REGION).await;
    case["read"] = json!(true);
    let stacks = world.moto.stacks(&json!({"after": case})).await;
    let after = world.deployed(&stacks["after"], REGION).await;
    assert_eq!(after.output("TableName"), "weapp-restored");
    for function in after.stack["functions"].as_object().unwrap().values() {
        assert_eq!(
            function["variables"]["TABLE_NAME"], "weapp-restored",
            "{function}"
        );
    }
    after.info(&alice).await.ok(200);
    let refreshed = Tokens::of(&after.refresh(&alice).await);
    assert_eq!(refreshed.user_id(), alice.user_id());
    after.refresh(&late).await.fails(401, "refresh_invalid");
    a_session_lives_and_ends(&world, &after).await;

    // And back: the old table is still there.
    let back = attach.replace("weapp-restored", &old);
    world.moto.shell(&back, REGION).await;
    let stacks = world.moto.stacks(&json!({"back": case})).await;
    let back = world.deployed(&stacks["back"], REGION).await;
    back.info(&late).await.ok(200);

    the_other_commands_run(&world, PAGE).await;
    a_first_look_names_what_to_know(&world, PAGE).await;
}

/// What is on, and where Redis is.
async fn a_first_look_names_what_to_know(world: &World, page: &str) {
    for (name, state) in [("api-errors", "ALARM"), ("degraded", "OK")] {
        let name = format!("weapp-serverless-{name}");
        let alarm = format!(
            "aws cloudwatch put-metric-alarm --alarm-name {name} --namespace n --metric-name m --period 60 \
               --evaluation-periods 1 --statistic Sum --threshold 1 --comparison-operator GreaterThanThreshold
             aws cloudwatch set-alarm-state --alarm-name {name} --state-value {state} --state-reason r"
        );
        world.moto.shell(&alarm, REGION).await;
    }
    let look = command(page, "aws cloudwatch describe-alarms");
    let seen = world.moto.shell(&look, REGION).await;
    for part in [
        "UPDATE_COMPLETE",
        "ApiUrl",
        "TableName",
        "weapp-serverless-api-errors",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!seen.contains("weapp-serverless-degraded"), "{seen}");

    let names = command(page, "aws cloudformation describe-stack-resources");
    let names = world.moto.shell(&names, REGION).await;
    assert!(names.contains("LoginFunction"), "{names}");

    let redis = world.redis.url();
    let address = command(page, "Environment.Variables.REDIS_URL");
    let script = format!(
        "REDIS_URL={redis} make configure DEPLOYMENT_PREFERENCE=AllAtOnce
         unset REDIS_URL
         {address}
         echo \"Redis: $REDIS_URL\""
    );
    let printed = world.moto.shell(&script, REGION).await;
    assert!(printed.contains(&format!("Redis: {redis}")), "{printed}");
}

/// What an incident asks for. Moto knows nothing of quotas: there AWS's CLI says only whether it knows the command.
async fn the_other_commands_run(world: &World, page: &str) {
    let events = command(page, "aws cloudformation describe-stack-events");
    world.moto.shell(&events, REGION).await;
    let request = "aws acm request-certificate --domain-name api.example.com --query CertificateArn --output text";
    let certificate = world.moto.shell(request, REGION).await;
    let describe = command(page, "aws acm describe-certificate");
    let describe = describe.replace("arn:aws:acm:…", certificate.trim());
    let described = world.moto.shell(&describe, REGION).await;
    assert!(
        described.contains("ISSUED") || described.contains("PENDING"),
        "{described}"
    );
    let quotas = command(page, "aws lambda get-account-settings");
    let quotas: Vec<_> = quotas
        .lines()
        .map(|line| format!("{line} --generate-cli-skeleton output"))
        .collect();
    world.moto.shell(&quotas.join("\n"), REGION).await;
}
