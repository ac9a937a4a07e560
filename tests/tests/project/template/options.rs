//! What a stack has only where it is asked for: network, key, tracing, concurrency, budget; and what
//! there is in China.

use std::fs;

use e2e::binaries::workspace;
use serde_json::{Value, json};

use super::{
    assert_none,
    releases::{of_kind, transformed},
    rendered,
};

const KEY: &str = "arn:aws:kms:ap-southeast-1:111122223333:key/0123abcd";
const CHINA: [(&str, &str); 2] = [("AWS::Partition", "aws-cn"), ("AWS::Region", "cn-north-1")];

/// The resources that stacks make, with all of them.
const ALL: [(&str, &str); 2] = [("Avatars", "cloudfront"), ("AlarmEmail", "ops@example.com")];

#[test]
fn functions_are_in_a_vpc_only_where_subnets_are_given() {
    for function in rendered(&[]).functions() {
        assert!(function.properties.get("VpcConfig").is_none());
    }
    let network = [
        ("SubnetIds", "subnet-1,subnet-2"),
        ("SecurityGroupIds", "sg-1"),
    ];
    let wanted = json!({"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"});
    for function in rendered(&network).functions() {
        assert_eq!(function.properties["VpcConfig"], wanted);
    }
}

/// Where a resource of this type has its key, and which it has when it is given one.
fn key_of<'r>(kind: &str, properties: &'r Value) -> Option<&'r Value> {
    let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    Some(match kind {
        "AWS::DynamoDB::Table" => &properties["SSESpecification"]["KMSMasterKeyId"],
        "AWS::Logs::LogGroup" | "AWS::SecretsManager::Secret" => &properties["KmsKeyId"],
        "AWS::SQS::Queue" => &properties["KmsMasterKeyId"],
        "AWS::S3::Bucket" => &encryption["ServerSideEncryptionByDefault"]["KMSMasterKeyID"],
        "AWS::Serverless::Function" => &properties["KmsKeyArn"],
        _ => return None,
    })
}

#[test]
fn a_key_encrypts_everything_that_the_stack_stores() {
    for key in [None, Some(KEY)] {
        let given = key.map(|key| ("KmsKeyArn", key));
        let template = rendered(&ALL.into_iter().chain(given).collect::<Vec<_>>());
        let (mut wrong, mut count) = (Vec::new(), 0);
        for (name, resource) in template.all() {
            let kind = resource["Type"].as_str().unwrap();
            let Some(found) = key_of(kind, &resource["Properties"]) else {
                continue;
            };
            count += 1;
            if found.as_str() != key {
                wrong.push(format!("{name} is encrypted with {found}, not {key:?}"));
            }
        }
        assert_none(&wrong);
        // Functions, their log groups and the API's, a table, two secrets, a bucket, five queues.
        assert!(count >= 38, "{count}");
    }
}

/// What the policy of all functions allows.
fn common(parameters: &[(&str, &str)]) -> Vec<Value> {
    let policies = rendered(parameters).resources("AWS::IAM::ManagedPolicy");
    let policy = policies.into_iter().find(|(name, _)| name == "Common");
    let statements = policy.map(|(_, policy)| policy["PolicyDocument"]["Statement"].clone());
    statements
        .and_then(|it| it.as_array().cloned())
        .unwrap_or_default()
}

#[test]
fn functions_may_use_the_key_only_through_the_services_of_the_stack() {
    assert!(common(&[]).is_empty());
    let [statement] = &common(&[("KmsKeyArn", KEY)])[..] else {
        panic!("not one statement");
    };
    assert_eq!(statement["Resource"], KEY);
    let services = &statement["Condition"]["StringEquals"]["kms:ViaService"];
    let services = services.as_array().unwrap();
    for service in ["dynamodb", "sqs"] {
        let service = json!(format!("{service}.AWS::Region.AWS::URLSuffix"));
        assert!(services.contains(&service), "{services:?}");
    }
    // Grants would outlive the function.
    assert!(!statement["Action"].to_string().contains("CreateGrant"));
}

#[test]
fn a_user_that_iam_authenticates_is_passed_and_may_connect_to_its_cache() {
    let parameters = [
        ("RedisUrl", "rediss://cache.example:6379"),
        ("RedisIamUser", "weapp-functions"),
        ("RedisIamCache", "weapp"),
    ];
    let [statement] = &common(&parameters)[..] else {
        panic!("not one statement");
    };
    assert_eq!(statement["Action"], "elasticache:Connect");
    assert_eq!(
        statement["Resource"],
        json!([
            "arn:AWS::Partition:elasticache:AWS::Region:AWS::AccountId:serverlesscache:weapp",
            "arn:AWS::Partition:elasticache:AWS::Region:AWS::AccountId:user:weapp-functions",
        ])
    );
    for function in rendered(&parameters).functions() {
        let variables = function.variables();
        if !variables.contains_key("REDIS_URL") {
            // It has nothing to do with Redis.
            assert!(!variables.contains_key("REDIS_IAM_USER"));
            continue;
        }
        assert_eq!(variables["REDIS_IAM_USER"], "weapp-functions");
        assert_eq!(variables["REDIS_IAM_CACHE"], "weapp");
    }
    for function in rendered(&parameters[..1]).functions() {
        assert!(!function.variables().contains_key("REDIS_IAM_USER"));
    }
    for half in [
        &parameters[..2],
        &parameters[1..],
        &[parameters[0], parameters[2]],
    ] {
        assert!(!rendered(half).refusals().is_empty(), "{half:?}");
    }
    assert!(rendered(&parameters).refusals().is_empty());
}

/// The managed policies of each role; a condition counts as if it held.
fn managed_policies(parameters: &[&str]) -> Vec<(String, Vec<String>)> {
    let resources = transformed(parameters);
    let roles = of_kind(&resources, "AWS::IAM::Role").into_iter();
    let roles = roles.filter(|name| name.ends_with("FunctionRole"));
    roles
        .map(|name| {
            let policies = resources[name]["Properties"]["ManagedPolicyArns"].as_array();
            let policies = policies.unwrap().iter().map(Value::to_string);
            (name.to_owned(), policies.collect())
        })
        .collect()
}

/// The quota that accounts begin with:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
#[test]
fn no_role_has_more_managed_policies_than_an_account_allows() {
    let roles = managed_policies(&["Tracing=Active"]);
    assert_eq!(roles.len(), rendered(&[]).functions().len());
    for (role, policies) in roles {
        assert!(policies.len() <= 10, "{role}: {policies:#?}");
    }
}

#[test]
fn nothing_is_traced_unless_it_is_asked_for() {
    for (value, traced) in [("Disabled", false), ("Active", true)] {
        let tracing = format!("Tracing={value}");
        for (role, policies) in managed_policies(&[&tracing]) {
            let may = policies
                .iter()
                .any(|policy| policy.to_lowercase().contains("xray"));
            assert_eq!(may, traced, "{role}: {policies:?}");
        }
        let resources = transformed(&[&tracing]);
        for name in of_kind(&resources, "AWS::Lambda::Function") {
            let mode = &resources[name]["Properties"]["TracingConfig"]["Mode"];
            assert_eq!(!mode.is_null(), traced, "{name}: {mode}");
        }
    }
    assert!(rendered(&[("Tracing", "Active")]).refusals().is_empty());
}

#[test]
fn concurrency_is_reserved_and_provisioned_only_where_it_is_asked_for() {
    let given = [
        ("ReservedConcurrency", "50"),
        ("ProvisionedConcurrency", "2"),
    ];
    for function in rendered(&[]).functions() {
        for name in [
            "ReservedConcurrentExecutions",
            "ProvisionedConcurrencyConfig",
        ] {
            assert!(function.properties.get(name).is_none(), "{name}");
        }
    }
    let mut provisioned = Vec::new();
    for function in rendered(&given).functions() {
        assert_eq!(function.properties["ReservedConcurrentExecutions"], "50");
        if let Some(config) = function.properties.get("ProvisionedConcurrencyConfig") {
            assert_eq!(config["ProvisionedConcurrentExecutions"], "2");
            provisioned.push(function.package);
        }
    }
    provisioned.sort_unstable();
    assert_eq!(provisioned, ["login", "token", "user-info"]);
    // The alias has them, because versions come and go.
    let resources = transformed(&["ProvisionedConcurrency=2"]);
    let aliases = of_kind(&resources, "AWS::Lambda::Alias").into_iter();
    let config = |name: &&str| resources[*name]["Properties"].get("ProvisionedConcurrencyConfig");
    assert_eq!(aliases.filter(|name| config(name).is_some()).count(), 3);
}

#[test]
fn a_budget_is_one_of_the_partitions_currency() {
    assert!(rendered(&[]).resources("AWS::Budgets::Budget").is_empty());
    let budget = [("MonthlyBudget", "30"), ("BudgetEmail", "boss@example.com")];
    for (partition, currency) in [("aws", "USD"), ("aws-cn", "CNY")] {
        let parameters = [budget[0], budget[1], ("AWS::Partition", partition)];
        let [(_, made)] = &rendered(&parameters).resources("AWS::Budgets::Budget")[..] else {
            panic!("not one budget");
        };
        let limit = json!({"Amount": "30", "Unit": currency});
        assert_eq!(made["Budget"]["BudgetLimit"], limit);
        // CloudFormation makes another budget for another address, and only then deletes this one.
        let name = "AWS::StackName-monthly-boss@example.com";
        assert_eq!(made["Budget"]["BudgetName"], name);
        let notices = made["NotificationsWithSubscribers"].as_array().unwrap();
        assert_eq!(notices.len(), 3);
        for notice in notices {
            assert_eq!(notice["Subscribers"][0]["Address"], "boss@example.com");
        }
    }
    assert_eq!(rendered(&budget[..1]).refusals().len(), 1);
}

#[test]
fn the_layer_is_the_latest_one_of_the_architecture_or_the_one_that_is_named() {
    let arn = "arn:aws:lambda:x:1:layer:y:1";
    for (layer, architecture, wanted) in [
        ("", "arm64", None),
        (
            "auto",
            "arm64",
            Some(
                "{{resolve:ssm:/aws/service/aws-parameters-and-secrets-lambda-extension/arm64/latest}}",
            ),
        ),
        (
            "auto",
            "x86_64",
            Some(
                "{{resolve:ssm:/aws/service/aws-parameters-and-secrets-lambda-extension/x86/latest}}",
            ),
        ),
        (arn, "x86_64", Some(arn)),
    ] {
        let parameters = [("SecretsLayer", layer), ("Architecture", architecture)];
        for function in rendered(&parameters).functions() {
            let layers = function.properties.get("Layers");
            assert_eq!(
                layers,
                wanted.map(|it| json!([it])).as_ref(),
                "{parameters:?}"
            );
            assert_eq!(function.properties["Architectures"], json!([architecture]));
        }
    }
}

#[test]
fn what_there_is_not_in_china_is_refused_there() {
    let refusals = |parameter| rendered(&[CHINA[0], CHINA[1], parameter]).refusals().len();
    assert_eq!(refusals(("Tracing", "Disabled")), 0);
    assert_eq!(refusals(("Tracing", "Active")), 1);
    assert_eq!(refusals(("Avatars", "cloudfront")), 1);
    let elsewhere = [("Tracing", "Active"), ("Avatars", "cloudfront")];
    assert!(rendered(&elsewhere).refusals().is_empty());
}

#[test]
fn deployments_have_a_role_that_codedeploy_assumes_under_either_name() {
    let services = |parameters: &[(&str, &str)]| {
        let [(_, role)] = &rendered(parameters).resources("AWS::IAM::Role")[..] else {
            panic!("not one role");
        };
        role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"].clone()
    };
    assert_eq!(services(&[]), json!(["codedeploy.amazonaws.com"]));
    let both = [
        "codedeploy.amazonaws.com",
        "codedeploy.cn-north-1.AWS::URLSuffix",
    ];
    assert_eq!(services(&CHINA), json!(both));
    // SAM makes none besides.
    let resources = transformed(&[]);
    let groups = of_kind(&resources, "AWS::CodeDeploy::DeploymentGroup");
    assert_eq!(groups.len(), rendered(&[]).functions().len());
    for group in groups {
        let role = &resources[group]["Properties"]["ServiceRoleArn"];
        let ours = json!({"Fn::GetAtt": ["CodeDeployServiceRole", "Arn"]});
        assert_eq!(*role, ours, "{group}");
    }
}

/// Regions in China have a partition and host names of their own.
#[test]
fn no_template_names_a_partition_or_a_regions_hosts() {
    for file in ["template.yaml", "network.yaml"] {
        let text = fs::read_to_string(workspace().join(file)).unwrap();
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim_start().starts_with(['#', 'h']));
        let mut wrong = Vec::new();
        for (number, line) in lines {
            // Patterns, and principals of services, are the same everywhere.
            let is_pattern = line.contains("AllowedPattern:") || line.contains("Principal:");
            let names_partition = line
                .split("arn:")
                .skip(1)
                .any(|rest| !rest.starts_with("${AWS::Partition}:"));
            if !is_pattern && (names_partition || line.contains("amazonaws.com")) {
                wrong.push(format!("{file}:{}: {line}", number + 1));
            }
        }
        assert_none(&wrong);
    }
}
