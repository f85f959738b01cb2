//! The part of the template that CloudFormation deploys locally: its resources without the functions, the API, their
//! roles, logs and alarms, and without whatever refers to one of these.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

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
        assert_eq!(resources, ["LinksTable", "DeadQueue", "ClicksQueue", "EventsTopic"]);
        assert!(cut.contains_key("Parameters") && cut.contains_key("Conditions"));
        assert!(!cut.contains_key("Transform") && !cut.contains_key("Globals") && !cut.contains_key("Outputs"));
    }
}
