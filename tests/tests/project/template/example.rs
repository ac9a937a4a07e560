//! What this stack exports, and the example that imports it.

use std::{collections::BTreeSet, fs};

use e2e::binaries::workspace;
use serde_json::{Value, json};

use super::{SOURCE, rendered, yaml};

/// The template of the example.
fn example() -> Value {
    let path = workspace().join("examples/protected-function/template.yaml");
    yaml::parse(&fs::read_to_string(path).unwrap())
}

/// What follows the stack's name in the names of exports, or of imports, in `value`.
fn names(value: &Value, function: &str, stack: &str) -> BTreeSet<String> {
    let Some(members) = value.as_object() else {
        let items = value.as_array().into_iter().flatten();
        return items
            .flat_map(|item| names(item, function, stack))
            .collect();
    };
    let name = |value: &Value| {
        let text = value["Fn::Sub"].as_str().unwrap_or_default();
        let name = text.strip_prefix(&format!("${{{stack}}}-"));
        name.unwrap_or_else(|| panic!("{text} is not of ${{{stack}}}"))
            .to_owned()
    };
    let of_member = |(member, value): (&String, &Value)| {
        if member == function {
            BTreeSet::from([name(value)])
        } else {
            names(value, function, stack)
        }
    };
    members.iter().flat_map(of_member).collect()
}

/// What the stack exports, by its name without the stack's.
fn exported(name: &str) -> Value {
    let outputs = SOURCE["Outputs"].as_object().unwrap().values();
    let wanted = json!({"Fn::Sub": format!("${{AWS::StackName}}-{name}")});
    let mut found = outputs.filter(|output| output["Export"]["Name"] == wanted);
    found.next().unwrap()["Value"].clone()
}

#[test]
fn the_example_imports_what_the_stack_exports() {
    let exports: BTreeSet<_> = SOURCE["Outputs"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|output| output.get("Export"))
        .flat_map(|export| names(export, "Name", "AWS::StackName"))
        .collect();
    let imports = names(&example(), "Fn::ImportValue", "Backend");
    // What another stack imports can't change: the ARN of an alias never does, and nor does a queue.
    let stable = ["AuthorizerArn", "MessageQueueArn", "MessageQueueUrl"];
    assert_eq!(exports, stable.map(str::to_owned).into());
    assert_eq!(imports, BTreeSet::from(["AuthorizerArn".to_owned()]));
}

/// For longer, an ended session would outlive what this API itself grants it.
#[test]
fn an_answer_is_cached_for_as_long_as_a_session() {
    let output = &SOURCE["Outputs"]["AuthorizerCacheSeconds"];
    assert_eq!(output["Value"], json!({"Ref": "SessionCacheSeconds"}));
    let variables = rendered(&[("SessionCacheSeconds", "60")])
        .functions()
        .into_iter()
        .find(|function| function.package == "authorizer")
        .unwrap()
        .variables();
    assert_eq!(variables["SESSION_CACHE_SECONDS"], "60");
    // API Gateway's own limit.
    let longest = &SOURCE["Parameters"]["SessionCacheSeconds"]["MaxValue"];
    assert!(longest.as_u64().unwrap() <= 3600, "{longest}");
    let example = example();
    let seconds = &example["Parameters"]["AuthorizerCacheSeconds"]["Default"];
    let default = &SOURCE["Parameters"]["SessionCacheSeconds"]["Default"];
    assert_eq!(seconds.to_string(), default.to_string());
    let users = &example["Resources"]["Users"]["Properties"];
    assert_eq!(
        users["AuthorizerResultTtlInSeconds"],
        json!({"Ref": "AuthorizerCacheSeconds"})
    );
    assert_eq!(
        users["IdentitySource"],
        json!(["$request.header.Authorization"])
    );
    assert_eq!(users["EnableSimpleResponses"], true);
}

#[test]
fn any_authorizer_of_the_account_may_call_the_version_in_use() {
    let alias = json!({"Ref": "AuthorizerFunction.Alias"});
    assert_eq!(exported("AuthorizerArn"), alias);
    let permission = &SOURCE["Resources"]["AuthorizerPermission"]["Properties"];
    assert_eq!(permission["FunctionName"], alias);
    assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
    let source = permission["SourceArn"]["Fn::Sub"].as_str().unwrap();
    assert!(
        source.ends_with(":${AWS::AccountId}:*/authorizers/*"),
        "{source}"
    );
}

#[test]
fn every_route_of_the_example_has_the_authorizer() {
    let example = example();
    let resources = example["Resources"].as_object().unwrap().values();
    let routes = resources.filter(|resource| resource["Type"] == "AWS::ApiGatewayV2::Route");
    let routes: Vec<_> = routes.map(|route| &route["Properties"]).collect();
    assert_eq!(routes.len(), 2);
    for route in routes {
        let guard = (&route["AuthorizationType"], &route["AuthorizerId"]);
        assert_eq!(
            guard,
            (&json!("CUSTOM"), &json!({"Ref": "Users"})),
            "{route}"
        );
    }
}
