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
        format!("{part}:\n  local/src/database.rs {local}\n  template.yaml         {deployed}")
    });
    assert_none(&wrong.collect::<Vec<_>>());
}
