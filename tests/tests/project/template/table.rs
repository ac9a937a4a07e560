//! The local table is the deployed one.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, GlobalSecondaryIndexDescription, KeySchemaElement,
};
use e2e::dynamodb::{DynamoDb, TABLE};
use serde_json::{Value, json};

use super::{assert_none, rendered};

/// What makes a table, each part in the template's words.
fn parts(table: &Value) -> [(&'static str, String); 4] {
    let mut attributes = table["AttributeDefinitions"].as_array().unwrap().clone();
    attributes.sort_by_key(Value::to_string);
    [
        ("AttributeDefinitions", json!(attributes).to_string()),
        ("KeySchema", table["KeySchema"].to_string()),
        (
            "GlobalSecondaryIndexes",
            table["GlobalSecondaryIndexes"].to_string(),
        ),
        (
            "TimeToLiveSpecification",
            table["TimeToLiveSpecification"]["AttributeName"].to_string(),
        ),
    ]
}

fn attribute(definition: &AttributeDefinition) -> Value {
    json!({
        "AttributeName": definition.attribute_name(),
        "AttributeType": definition.attribute_type().as_str(),
    })
}

fn key(element: &KeySchemaElement) -> Value {
    json!({
        "AttributeName": element.attribute_name(),
        "KeyType": element.key_type().as_str(),
    })
}

fn index(index: &GlobalSecondaryIndexDescription) -> Value {
    let projection = index.projection().unwrap();
    json!({
        "IndexName": index.index_name(),
        "KeySchema": index.key_schema().iter().map(key).collect::<Vec<_>>(),
        "Projection": {
            "ProjectionType": projection.projection_type().unwrap().as_str(),
            "NonKeyAttributes": projection.non_key_attributes(),
        },
    })
}

#[tokio::test]
async fn the_local_table_is_that_of_the_template() {
    let database = DynamoDb::start().await;
    let described = database
        .client()
        .describe_table()
        .table_name(TABLE)
        .send()
        .await
        .unwrap();
    let table = described.table().unwrap();
    let ttl = database
        .client()
        .describe_time_to_live()
        .table_name(TABLE)
        .send()
        .await
        .unwrap();
    let ttl = ttl
        .time_to_live_description()
        .and_then(|ttl| ttl.attribute_name());
    let local = json!({
        "AttributeDefinitions": table.attribute_definitions().iter().map(attribute).collect::<Vec<_>>(),
        "KeySchema": table.key_schema().iter().map(key).collect::<Vec<_>>(),
        "GlobalSecondaryIndexes": table.global_secondary_indexes().iter().map(index).collect::<Vec<_>>(),
        "TimeToLiveSpecification": { "AttributeName": ttl },
    });
    let [(_, deployed)] = &rendered(&[]).resources("AWS::DynamoDB::Table")[..] else {
        panic!("template.yaml has not one table");
    };
    let differences = parts(&local).into_iter().zip(parts(deployed));
    let differences = differences.filter(|((_, local), (_, deployed))| local != deployed);
    let wrong = differences.map(|((part, local), (_, deployed))| {
        format!("{part}:\n  gateway/src/database.rs {local}\n  template.yaml         {deployed}")
    });
    assert_none(&wrong.collect::<Vec<_>>());
}

/// A restored table is attached as the runbook says.
#[test]
fn a_stack_with_an_existing_table_and_existing_secrets_makes_none_and_refers_to_none() {
    const SECRET: &str = "arn:aws:secretsmanager:ap-southeast-1:111122223333:secret:old-AbCdEf";
    let template = rendered(&[
        ("ExistingTable", "weapp-restored"),
        ("ExistingJwtSecret", SECRET),
        ("ExistingDataKey", SECRET),
        ("AlarmEmail", "ops@example.com"),
    ]);
    let made = ["AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"];
    for kind in made {
        assert!(template.resources(kind).is_empty(), "{kind}");
    }
    let values: Vec<_> = template
        .resources("AWS::SSM::Parameter")
        .into_iter()
        .map(|(name, parameter)| (name, parameter["Value"].as_str().unwrap().to_owned()))
        .collect();
    let value = |wanted: &str| {
        let found = values.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| &**value)
    };
    assert_eq!(value("TableName"), Some("weapp-restored"));
    assert_eq!(value("JwtSecretArn"), Some(SECRET));
    assert_eq!(value("DataKeyArn"), Some(SECRET));
    assert!(
        value("TableArn")
            .unwrap()
            .ends_with(":table/weapp-restored")
    );
    // What a reference to one of the three would be.
    let names = ["Table", "JwtSecret", "DataKey"];
    for (name, resource) in template.all() {
        let text = resource.to_string();
        for missing in names {
            let is_named = [
                format!("\"{missing}\""),
                format!("\"{missing}.Arn"),
                format!("secretsmanager:{missing}}}}}"),
            ]
            .iter()
            .any(|reference| text.contains(reference));
            assert!(!is_named, "{name} refers to {missing}, which is not made");
        }
    }
}

#[test]
fn the_table_and_the_secrets_outlive_the_stack() {
    let source = &super::SOURCE["Resources"];
    for name in ["Table", "JwtSecret", "DataKey"] {
        assert_eq!(source[name]["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(source[name]["UpdateReplacePolicy"], "Retain", "{name}");
    }
    let table = &source["Table"]["Properties"];
    assert_eq!(table["DeletionProtectionEnabled"], true);
}
