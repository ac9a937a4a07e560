//! Incidents in a stack that moto made: what an operator does, in the words of the runbook, ends them.

use e2e::{settings::APP_ID, test_app::Tokens};
use serde_json::{Value, json};

use crate::stack::{Deployed, REGION, World, cases, command, secrets_of};

const PAGE: &str = "docs/runbook.md";
const STACK: &str = "weapp-serverless";

/// The stack with these parameters beside those that it needs.
fn case(parameters: &[(&str, &str)]) -> Value {
    let mut case = cases()["defaults"].clone();
    case["stack"] = json!(STACK);
    for (name, value) in parameters {
        case["parameters"][*name] = json!(value);
    }
    case
}

/// Creates it.
async fn created(world: &World, parameters: &[(&str, &str)]) -> Deployed {
    let stacks = world.moto.stacks(&json!({"it": case(parameters)})).await;
    world.deployed(&stacks["it"], REGION).await
}

/// Its functions as they are published now.
async fn published(world: &World) -> Deployed {
    let mut case = case(&[]);
    case["read"] = json!(true);
    let stacks = world.moto.stacks(&json!({"it": case})).await;
    world.deployed(&stacks["it"], REGION).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_work_again_after_the_app_secret_was_reset() {
    let world = World::start().await;
    let wrong = format!("{APP_ID}:{}", "f".repeat(32));
    let before = created(&world, &[("WeChatSecrets", &wrong)]).await;
    world
        .try_log_in(&before, "alice")
        .await
        .fails(500, "internal");
    let alarm = format!(
        "aws cloudwatch put-metric-alarm --alarm-name {STACK}-rollback-login --namespace n --metric-name m \
           --period 60 --evaluation-periods 1 --statistic Sum --threshold 1 \
           --comparison-operator GreaterThanThreshold
         aws cloudwatch set-alarm-state --alarm-name {STACK}-rollback-login --state-value ALARM --state-reason r"
    );
    world.moto.shell(&alarm, REGION).await;

    // A canary would be undone.
    let right = format!("{APP_ID}:0123456789abcdef0123456789abcdef");
    let careless = format!("WECHAT_SECRETS={right} make configure 2>&1 || echo refused");
    let said = world.moto.shell(&careless, REGION).await;
    assert!(
        said.contains("rollback-login") && said.contains("refused"),
        "{said}"
    );
    let still = published(&world).await;
    world
        .try_log_in(&still, "alice")
        .await
        .fails(500, "internal");

    let repair = command(PAGE, "read -rs WECHAT_SECRETS");
    let typed = format!("{{\n{repair}\n}} <<<'{right}'");
    world.moto.shell(&typed, REGION).await;
    let after = published(&world).await;
    world.log_in(&after, "alice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_generated_secret_of_tokens_is_rotated_and_replaced() {
    let world = World::start().await;
    let before = created(&world, &[]).await;
    let alice = world.log_in(&before, "alice").await;
    let [secret, _] = secrets_of(&world, STACK).await;
    let read = format!(
        "aws secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text"
    );
    let old = world.moto.shell(&read, REGION).await;

    let first = command(PAGE, "aws secretsmanager put-secret-value");
    let publish = "make configure DEPLOYMENT_PREFERENCE=AllAtOnce";
    world
        .moto
        .shell(&format!("{first}\n{publish}"), REGION)
        .await;
    let both = world.moto.shell(&read, REGION).await;
    let (signs, new) = both.trim_end().split_once(',').unwrap();
    assert_eq!(signs, old.trim_end());
    assert_eq!(new.len(), 64, "32 bytes as hex digits");
    let rotating = published(&world).await;
    rotating.info(&alice).await.ok(200);
    let alice = Tokens::of(&rotating.refresh(&alice).await);

    // The old one has leaked: without it its tokens are nothing, and people log in again.
    let alone = format!(
        "printf %s {new} | aws secretsmanager put-secret-value --secret-id {secret} \
           --secret-string file:///dev/stdin
         {publish}"
    );
    world.moto.shell(&alone, REGION).await;
    let replaced = published(&world).await;
    replaced.info(&alice).await.fails(401, "token_invalid");
    replaced.refresh(&alice).await.fails(401, "refresh_invalid");
    let again = world.log_in(&replaced, "alice").await;
    replaced.info(&again).await.ok(200);
    assert_eq!(again.user_id(), alice.user_id());
}
