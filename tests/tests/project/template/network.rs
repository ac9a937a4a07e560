//! `network.yaml`: what the functions' network and cache are, and that `template.yaml` takes them.

use std::{collections::BTreeSet, fs};

use e2e::binaries::workspace;
use serde_json::{Value, json};

use super::{SOURCE, render::Template, source};
use crate::scripts::passed;

fn network(parameters: &[(&str, &str)]) -> Template {
    Template::render(&source("network.yaml"), parameters)
}

/// The one resource of this type.
fn only(template: &Template, kind: &str) -> Value {
    let mut found = template.resources(kind);
    assert_eq!(found.len(), 1, "{kind}: {found:?}");
    found.remove(0).1
}

fn count(template: &Template, prefix: &str) -> usize {
    let types = template.all().values().map(|resource| &resource["Type"]);
    types
        .filter(|kind| kind.as_str().unwrap().starts_with(prefix))
        .count()
}

const WITHOUT_VPC: [(&str, &str); 3] =
    [("Vpc", "off"), ("Cache", "public"), ("EngineVersion", "9")];

#[test]
fn functions_are_in_two_zones_or_three_behind_one_address() {
    for (third, names) in [
        ("", &["FirstSubnet", "SecondSubnet"][..]),
        ("zone 2", &["FirstSubnet", "SecondSubnet", "ThirdSubnet"]),
    ] {
        let template = network(&[("ThirdZone", third)]);
        assert!(template.refusals().is_empty());
        let subnets = template.resources("AWS::EC2::Subnet").into_iter();
        let private: Vec<_> = subnets.filter(|(name, _)| name != "PublicSubnet").collect();
        let zones: BTreeSet<_> = private
            .iter()
            .map(|(_, subnet)| subnet["AvailabilityZone"].to_string())
            .collect();
        assert_eq!((zones.len(), private.len()), (names.len(), names.len()));
        let all = template.resources("AWS::EC2::Subnet").into_iter();
        let ranges: BTreeSet<_> = all.map(|(_, it)| it["CidrBlock"].to_string()).collect();
        assert_eq!(ranges.len(), names.len() + 1);
        assert_eq!(template.outputs()["SubnetIds"], names.join(","));
        let cache = only(&template, "AWS::ElastiCache::ServerlessCache");
        assert_eq!(cache["SubnetIds"], json!(names));
        assert_eq!(
            only(&template, "AWS::EC2::NatGateway")["SubnetId"],
            "PublicSubnet"
        );
        assert_eq!(template.outputs()["EgressAddress"], "Address");
    }
}

#[test]
fn what_goes_to_the_table_does_not_pass_the_gateway() {
    let template = network(&[("AWS::Region", "cn-north-1")]);
    let endpoints = template.resources("AWS::EC2::VPCEndpoint").into_iter();
    let mut services = Vec::new();
    for (_, endpoint) in endpoints {
        assert_eq!(endpoint["VpcEndpointType"], "Gateway");
        assert_eq!(endpoint["RouteTableIds"], json!(["PrivateRoutes"]));
        services.push(endpoint["ServiceName"].as_str().unwrap().to_owned());
    }
    services.sort_unstable();
    let wanted = [
        "com.amazonaws.cn-north-1.dynamodb",
        "com.amazonaws.cn-north-1.s3",
    ];
    assert_eq!(services, wanted);
}

#[test]
fn an_address_that_is_there_already_is_kept() {
    let template = network(&[("ElasticIpAllocation", "eipalloc-0a1b")]);
    let nat = only(&template, "AWS::EC2::NatGateway");
    assert_eq!(nat["AllocationId"], "eipalloc-0a1b");
    assert_eq!(count(&template, "AWS::EC2::EIP"), 0);
    assert!(!template.outputs().contains_key("EgressAddress"));
}

/// It is on WeChat's whitelist, with or without this stack.
#[test]
fn an_address_is_not_released_with_the_stack() {
    let address = &source("network.yaml")["Resources"]["Address"];
    assert_eq!(address["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(address["UpdateReplacePolicy"], "Retain");
}

#[test]
fn only_functions_reach_the_cache_and_nobody_reaches_functions() {
    let template = network(&[]);
    let groups = template.resources("AWS::EC2::SecurityGroup");
    let group = |name: &str| &groups.iter().find(|(known, _)| known == name).unwrap().1;
    assert!(
        group("FunctionSecurityGroup")
            .get("SecurityGroupIngress")
            .is_none()
    );
    let ingress = group("CacheSecurityGroup")["SecurityGroupIngress"].as_array();
    let [rule] = &ingress.unwrap()[..] else {
        panic!("not one rule");
    };
    assert_eq!(rule["SourceSecurityGroupId"], "FunctionSecurityGroup");
    assert!(rule.get("CidrIp").is_none());
    let cache = only(&template, "AWS::ElastiCache::ServerlessCache");
    assert_eq!(cache["SecurityGroupIds"], json!(["CacheSecurityGroup"]));
    // Functions reach the cache, and the rest of the world by HTTPS.
    let ports = |template: &Template| {
        let groups = template.resources("AWS::EC2::SecurityGroup");
        let (_, group) = groups
            .iter()
            .find(|(name, _)| name == "FunctionSecurityGroup")
            .unwrap();
        let rules = group["SecurityGroupEgress"].as_array().unwrap().iter();
        rules
            .map(|rule| rule["ToPort"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(ports(&template), ["443"]);
    let outside = network(&[("Cache", "none"), ("RedisPort", "6390")]);
    assert_eq!(ports(&outside), ["443", "\"6390\""]);
    // The rules of one group refer to the other: neither could be made first.
    let egress = only(&template, "AWS::EC2::SecurityGroupEgress");
    assert_eq!(egress["DestinationSecurityGroupId"], "CacheSecurityGroup");
}

#[test]
fn the_cache_knows_one_user_whom_iam_authenticates() {
    let template = network(&[
        ("CacheName", "shop"),
        ("CacheMaxGb", "5"),
        ("CacheMaxEcpu", "9000"),
    ]);
    let user = only(&template, "AWS::ElastiCache::User");
    assert_eq!(user["UserId"], "shop-functions");
    assert_eq!(user["UserName"], user["UserId"]);
    assert_eq!(user["AuthenticationMode"], json!({"Type": "iam"}));
    let group = only(&template, "AWS::ElastiCache::UserGroup");
    assert_eq!(group["UserIds"], json!(["CacheUser"]));
    let cache = only(&template, "AWS::ElastiCache::ServerlessCache");
    assert_eq!(cache["UserGroupId"], "CacheUsers");
    let limits = json!({
        "DataStorage": {"Maximum": "5", "Unit": "GB"},
        "ECPUPerSecond": {"Maximum": "9000"},
    });
    assert_eq!(cache["CacheUsageLimits"], limits);
    assert_eq!(template.outputs()["RedisIamUser"], user["UserId"]);
    assert_eq!(template.outputs()["RedisIamCache"], "shop");
}

#[test]
fn a_cache_on_the_internet_needs_no_vpc_and_a_network_needs_no_cache() {
    let public = network(&WITHOUT_VPC);
    assert!(public.refusals().is_empty());
    assert_eq!(count(&public, "AWS::EC2::"), 0);
    let cache = only(&public, "AWS::ElastiCache::ServerlessCache");
    assert_eq!(cache["ConnectionType"], "public");
    assert!(cache.get("SubnetIds").is_none() && cache.get("SecurityGroupIds").is_none());
    assert!(!public.outputs().contains_key("SubnetIds"));
    let bare = network(&[("Cache", "none")]);
    assert_eq!(count(&bare, "AWS::ElastiCache::"), 0);
    assert_eq!(
        only(&bare, "AWS::EC2::NatGateway")["SubnetId"],
        "PublicSubnet"
    );
    let outputs: Vec<_> = bare.outputs().keys().collect();
    assert_eq!(outputs, ["EgressAddress", "SecurityGroupIds", "SubnetIds"]);
    for wrong in [&[("Vpc", "off")][..], &WITHOUT_VPC[..2]] {
        assert_eq!(network(wrong).refusals().len(), 1, "{wrong:?}");
    }
}

#[test]
fn the_outputs_are_for_the_parameters_of_the_same_names() {
    let script = fs::read_to_string(workspace().join("scripts/parameters.sh")).unwrap();
    let passed = passed();
    let template = network(&[]);
    let outputs = template
        .outputs()
        .keys()
        .filter(|name| *name != "EgressAddress");
    let mut found = 0;
    for output in outputs {
        assert!(SOURCE["Parameters"].get(output).is_some(), "{output}");
        let line = format!("{output}) name={} ;;", passed[output].variable);
        assert!(script.contains(&line), "scripts/parameters.sh: no {line}");
        found += 1;
    }
    assert_eq!(found, 6);
}

#[test]
fn the_documents_list_the_parameters() {
    let source = source("network.yaml");
    for page in ["docs/deploy.md", "docs/zh/deploy.md"] {
        let text = fs::read_to_string(workspace().join(page)).unwrap();
        for name in source["Parameters"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("`{name}`")), "{page}: no {name}");
        }
    }
}
