//! `.github/deploy-role.yaml`: GitHub can hand over a release, and `CloudFormation` can make what
//! the template describes.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{root, template::yaml};

fn template(path: &str) -> Value {
    yaml::parse(&fs::read_to_string(root().join(path)).unwrap())
}

/// The statements of a role.
fn statements(role: &str) -> Vec<Value> {
    let roles = template(".github/deploy-role.yaml");
    let policies = &roles["Resources"][role]["Properties"]["Policies"];
    let policies = policies.as_array().unwrap().iter();
    let all = policies.flat_map(|it| it["PolicyDocument"]["Statement"].as_array().unwrap());
    // Of a condition, what holds if it is true.
    let statement = |it: &Value| it.get("Fn::If").map_or(it, |branches| &branches[1]).clone();
    all.map(statement).collect()
}

/// A value that may be one text or a list of them.
fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.chain([value]).filter_map(Value::as_str).collect()
}

/// The services that the resources of a kind need.
fn services(kind: &str) -> Vec<String> {
    match kind {
        "AWS::Serverless::Function" => ["lambda", "iam", "codedeploy"].map(str::to_owned).into(),
        "AWS::Serverless::HttpApi" => vec!["apigateway".to_owned()],
        other => {
            let service = other.split("::").nth(1).unwrap().to_lowercase();
            vec![service.replace("apigatewayv2", "apigateway")]
        }
    }
}

#[test]
fn cloudformation_may_use_the_services_of_every_resource() {
    let statements = statements("ExecutionRole");
    let actions = statements.iter().flat_map(|it| texts(&it["Action"]));
    let allowed: BTreeSet<_> = actions.map(|it| it.split_once(':').unwrap().0).collect();
    let template = template("template.yaml");
    for (name, resource) in template["Resources"].as_object().unwrap() {
        for service in services(resource["Type"].as_str().unwrap()) {
            assert!(
                allowed.contains(&*service),
                "{name}: the execution role has nothing of {service}"
            );
        }
    }
}

/// What has to name no resource: reads, and services whose resources have no names of the stack.
const OF_EVERYTHING: [&str; 12] = [
    "cloudfront:",
    "cloudwatch:Describe",
    "ec2:Describe",
    "lambda:CreateEventSourceMapping",
    "lambda:DeleteEventSourceMapping",
    "lambda:GetEventSourceMapping",
    "lambda:GetLayerVersion",
    "lambda:ListTags",
    "lambda:TagResource",
    "lambda:UntagResource",
    "lambda:UpdateEventSourceMapping",
    "secretsmanager:GetRandomPassword",
];

#[test]
fn permissions_are_limited_to_the_stack() {
    for role in ["DeployRole", "ExecutionRole"] {
        for statement in statements(role) {
            let is_of_everything = texts(&statement["Resource"]).contains(&"*");
            for action in texts(&statement["Action"]) {
                // API Gateway's log deliveries name no group.
                let may_be = action.starts_with("logs:")
                    || OF_EVERYTHING.iter().any(|start| action.starts_with(start));
                assert!(
                    !is_of_everything || may_be,
                    "{role}: {action} on everything"
                );
                assert!(
                    action != "*" && !action.starts_with("iam:*"),
                    "{role}: {action}"
                );
            }
        }
    }
}

#[test]
fn neither_role_can_read_what_the_table_holds() {
    for role in ["DeployRole", "ExecutionRole"] {
        for statement in statements(role) {
            for action in texts(&statement["Action"]) {
                let of_data = ["GetItem", "Query", "Scan", "PutItem", "BatchGet", "*"];
                let name = action.strip_prefix("dynamodb:");
                let reads = name.is_some_and(|name| of_data.iter().any(|it| name.starts_with(it)));
                assert!(!reads, "{role}: {action}");
            }
        }
    }
}

#[test]
fn only_jobs_of_one_environment_of_the_repository_assume_the_role() {
    let roles = template(".github/deploy-role.yaml");
    let role = &roles["Resources"]["DeployRole"]["Properties"]["AssumeRolePolicyDocument"];
    let condition = &role["Statement"][0]["Condition"];
    assert_eq!(condition.as_object().unwrap().len(), 1);
    let equals = &condition["StringEquals"];
    let subject = &equals["token.actions.githubusercontent.com:sub"]["Fn::Sub"];
    assert_eq!(subject, "repo:${Repository}:environment:${Environment}");
    let audience = &equals["token.actions.githubusercontent.com:aud"]["Fn::Sub"];
    assert_eq!(audience, "sts.${AWS::URLSuffix}");
}

/// Everything else is done by `CloudFormation` with the other role.
#[test]
fn the_role_of_github_changes_the_stack_by_change_sets_only() {
    let statements = statements("DeployRole");
    let actions: BTreeSet<_> = statements
        .iter()
        .flat_map(|it| texts(&it["Action"]))
        .collect();
    let writes = |action: &&&str| {
        let name = action.split_once(':').unwrap().1;
        !["Describe", "Get", "List"]
            .iter()
            .any(|it| name.starts_with(it))
    };
    let writing: Vec<_> = actions.iter().filter(writes).copied().collect();
    let wanted = [
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:ExecuteChangeSet",
        "iam:PassRole",
        "s3:PutObject",
    ];
    assert_eq!(writing, wanted);
}
