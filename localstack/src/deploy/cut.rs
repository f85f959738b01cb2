//! The part of the template that CloudFormation deploys locally: its resources without the functions, the API, their
//! roles, logs and alarms, and without whatever refers to one of these. For each function there is a user instead, with its
//! name and its policies, as which it calls AWS in a stack that evaluates them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::differences;
use crate::template::Template;

/// The prefixes of the types that this process stands in for, or that only watch a deployment.
const LEFT_OUT: [&str; 13] = [
    "AWS::Serverless::",
    "AWS::Lambda::",
    "AWS::IAM::",
    "AWS::ApiGateway",
    "AWS::CloudWatch::",
    "AWS::Logs::",
    "AWS::Events::",
    "AWS::Scheduler::",
    "AWS::CloudFront::",
    "AWS::CertificateManager::",
    "AWS::Route53::",
    "AWS::CloudFormation::",
    "Custom::",
];

/// A template of the resources alone.
pub(super) fn resources_only(template: &Template) -> Map<String, Value> {
    let mut resources = template.section("Resources").clone();
    let kind = |resource: &Value| resource.get("Type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut left_out: BTreeSet<String> = resources
        .iter()
        .filter(|(_, resource)| LEFT_OUT.iter().any(|prefix| kind(resource).starts_with(prefix)))
        .map(|(id, _)| id.clone())
        .collect();
    // What refers to something left out is left out too, and what refers to that.
    loop {
        resources.retain(|id, _| !left_out.contains(id));
        let more: Vec<String> =
            resources.iter().filter(|(_, resource)| refers_to(resource, &left_out)).map(|(id, _)| id.clone()).collect();
        if more.is_empty() {
            break;
        }
        left_out.extend(more);
    }
    resources.extend(callers(template, &left_out));
    let mut cut = Map::new();
    cut.insert("AWSTemplateFormatVersion".to_owned(), json!("2010-09-09"));
    for section in ["Parameters", "Mappings", "Conditions"] {
        if let Some(content) = template.root().get(section) {
            cut.insert(section.to_owned(), content.clone());
        }
    }
    cut.insert("Resources".to_owned(), Value::Object(resources));
    cut
}

/// A user for each function. What a policy says of resources that are left out is left out.
fn callers(template: &Template, left_out: &BTreeSet<String>) -> Vec<(String, Value)> {
    let functions = template.section("Resources").iter();
    let functions =
        functions.filter(|(_, resource)| resource.get("Type").is_some_and(|kind| kind == "AWS::Serverless::Function"));
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    functions
        .map(|(id, function)| {
            let policies =
                list(function.pointer("/Properties/Policies").unwrap_or(&Value::Null)).into_iter().enumerate();
            let policies: Vec<_> = policies
                .filter_map(|(number, policy)| {
                    let mut statements = list(policy.get("Statement")?);
                    statements.retain(|statement| !refers_to(statement, left_out));
                    for statement in &mut statements {
                        differences::name_secrets_in_full(template, statement);
                    }
                    let document = json!({"Version": "2012-10-17", "Statement": statements});
                    Some(json!({"PolicyName": format!("policy-{number}"), "PolicyDocument": document}))
                })
                .collect();
            let user = json!({"Type": "AWS::IAM::User", "Properties": {"UserName": id, "Policies": policies}});
            (format!("{id}Caller"), user)
        })
        .collect()
}

fn refers_to(value: &Value, ids: &BTreeSet<String>) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| refers_to(item, ids)),
        Value::Object(map) => map.iter().any(|(name, inner)| match (name.as_str(), inner) {
            ("Ref" | "DependsOn", Value::String(id)) => ids.contains(id),
            ("DependsOn", Value::Array(list)) => list.iter().filter_map(Value::as_str).any(|id| ids.contains(id)),
            ("Fn::GetAtt", Value::Array(path)) => {
                path.first().and_then(Value::as_str).is_some_and(|id| ids.contains(id))
            }
            ("Fn::Sub", Value::String(pattern)) => substitutes(pattern, ids),
            ("Fn::Sub", Value::Array(parts)) => {
                parts.first().and_then(Value::as_str).is_some_and(|pattern| substitutes(pattern, ids))
                    || parts.iter().skip(1).any(|names| refers_to(names, ids))
            }
            _ => refers_to(inner, ids),
        }),
        _ => false,
    }
}

fn substitutes(pattern: &str, ids: &BTreeSet<String>) -> bool {
    pattern.split("${").skip(1).filter_map(|part| part.split_once('}')).any(|(name, _)| {
        let id = name.split_once('.').map_or(name, |(id, _)| id);
        ids.contains(id)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn functions_and_what_refers_to_them_are_left_out() {
        let text = format!(
            "{}\n  Watcher:\n    Type: AWS::SNS::Subscription\n    Properties: {{Endpoint: !GetAtt ApiFunction.Arn}}\n",
            include_str!("../template/example.yaml").split("Outputs:").next().unwrap()
        );
        let cut = resources_only(&Template::parse(&text).unwrap());
        let resources: Vec<_> = cut.get("Resources").unwrap().as_object().unwrap().keys().cloned().collect();
        assert_eq!(resources[..4], ["LinksTable", "DeadQueue", "ClicksQueue", "EventsTopic"]);
        assert!(resources.len() > 4 && resources[4..].iter().all(|id| id.ends_with("Caller")), "{resources:?}");
        assert!(cut.contains_key("Parameters") && cut.contains_key("Conditions"));
        assert!(!cut.contains_key("Transform") && !cut.contains_key("Globals") && !cut.contains_key("Outputs"));
    }

    #[test]
    fn the_containers_have_every_service_that_is_deployed_to() {
        let compose = include_str!("../../compose.yaml");
        let services = compose.split("SERVICES: ").nth(1).unwrap().lines().next().unwrap();
        let services: BTreeSet<_> = services.split(',').collect();
        let template = Template::parse(include_str!("../../../template.yaml")).unwrap();
        let kept = resources_only(&template);
        let kinds = kept.get("Resources").unwrap().as_object().unwrap().values();
        let deployed =
            kinds.map(|resource| resource["Type"].as_str().unwrap().split("::").nth(1).unwrap().to_lowercase());
        let mut needed: BTreeSet<_> = deployed.collect();
        // What deploys, and what event sources read.
        needed.extend(["cloudformation", "dynamodbstreams"].map(str::to_owned));
        assert_eq!(services, needed.iter().map(String::as_str).collect());
    }
}
