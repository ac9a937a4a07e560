//! Each function's routes are those that API Gateway sends to it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{body::Body, http::Request};
use tower::ServiceExt;

use super::{assert_none, functions::metadata, rendered};
use crate::functions::{self, build, everything};

/// The paths of each function, by its package.
type Paths = BTreeMap<String, BTreeSet<String>>;

/// API Gateway's route of all paths that no other has, and the function that answers 404 to them.
const DEFAULT: (&str, &str) = ("$default", "health");

fn of_the_code() -> Paths {
    functions::all()
        .into_iter()
        .map(|(name, routes)| (name, build(routes, everything()).paths))
        .collect()
}

fn of_the_template() -> Paths {
    let functions = rendered(&[]).functions().into_iter();
    functions
        .map(|function| {
            (
                function.package.clone(),
                function.paths().into_iter().collect(),
            )
        })
        .collect()
}

/// What `cargo lambda watch` routes.
fn of_watch() -> Paths {
    let metadata = metadata();
    let router = metadata["metadata"]["lambda"]["watch"]["router"].as_object();
    let mut paths = Paths::new();
    for (path, function) in router.unwrap() {
        let function = function.as_str().unwrap().to_owned();
        paths.entry(function).or_default().insert(path.clone());
    }
    paths
}

/// What `place` lacks, and what it has beyond the code.
fn differences(place: &str, found: &Paths, wanted: &Paths) -> Vec<String> {
    let none = BTreeSet::new();
    let functions: BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let mut differences = Vec::new();
    for function in functions {
        let found = found.get(function).unwrap_or(&none);
        let wanted = wanted.get(function).unwrap_or(&none);
        let missing = wanted.difference(found);
        differences.extend(
            missing.map(|path| format!("{place}: {path} of functions/{function} is missing")),
        );
        let unknown = found.difference(wanted);
        differences.extend(
            unknown.map(|path| format!("{place}: functions/{function} has no route {path}")),
        );
    }
    differences
}

#[tokio::test]
async fn the_routes_of_the_template_are_those_of_the_functions() {
    let mut wanted = of_the_code();
    let (path, function) = DEFAULT;
    wanted.get_mut(function).unwrap().insert(path.to_owned());
    assert_none(&differences(
        "template.yaml, Events",
        &of_the_template(),
        &wanted,
    ));
}

#[tokio::test]
async fn the_routes_of_cargo_lambda_watch_are_those_of_the_functions() {
    let place = "Cargo.toml, [workspace.metadata.lambda.watch.router]";
    assert_none(&differences(place, &of_watch(), &of_the_code()));
}

/// TRACE is a method of no route, so no handler runs: 405 is a path that exists, 404 one that does
/// not.
#[tokio::test]
async fn every_path_is_answered_by_its_function_and_by_no_other() {
    let paths = of_the_template();
    let mut wrong = Vec::new();
    for (name, routes) in functions::all() {
        let app = build(routes, everything()).app.unwrap();
        for (owner, path) in paths
            .iter()
            .flat_map(|(owner, paths)| paths.iter().map(move |path| (owner, path)))
        {
            if path == DEFAULT.0 {
                continue;
            }
            let request = Request::builder()
                .method("TRACE")
                .uri(path.replace(['{', '}'], "_"));
            let answer = app
                .clone()
                .oneshot(request.body(Body::empty()).unwrap())
                .await;
            let wanted = if *owner == name { 405 } else { 404 };
            let status = answer.unwrap().status().as_u16();
            if status != wanted {
                wrong.push(format!(
                    "functions/{name} answers {status} to TRACE {path}, not {wanted}"
                ));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn throttles_of_single_routes_are_of_routes_that_exist() {
    let template = rendered(&[]);
    let [(_, api)] = &template.resources("AWS::Serverless::HttpApi")[..] else {
        panic!("template.yaml has not one API")
    };
    let paths: BTreeSet<_> = of_the_template().into_values().flatten().collect();
    let throttled = api["RouteSettings"].as_object().unwrap();
    assert!(!throttled.is_empty());
    for route in throttled.keys() {
        let path = route.strip_prefix("ANY ").unwrap_or_default();
        assert!(paths.contains(path), "{route}");
    }
}

#[test]
fn with_a_domain_the_api_has_no_other_address() {
    for (certificate, is_off) in [("", false), ("arn:aws:acm:x", true)] {
        let template = rendered(&[("CertificateArn", certificate)]);
        let [(_, api)] = &template.resources("AWS::Serverless::HttpApi")[..] else {
            panic!("template.yaml has not one API")
        };
        assert_eq!(api["DisableExecuteApiEndpoint"], is_off, "{certificate}");
    }
}
