//! Where the local AWS endpoint (MiniStack) differs from AWS, and what is done about it from without: no service knows of
//! any of it. What is done within, such as fair queues, is in `services/ministack`, which starts it.
//!
//! What needs nothing done here: routes (the gateway serves them), triggers (the pollers do), schedules, and outputs
//! (none are used). The newest records alone of a stream survive a restart of the endpoint, where AWS keeps those of a day; so a
//! stack reads its streams to the end before it stops.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{TimeToLiveSpecification, TimeToLiveStatus};
use serde_json::Value;

use crate::clients::Clients;
use crate::template::{Resource, Scope, Template};

/// Does what the endpoint's CloudFormation leaves undone when a stack has been made or changed: it ignores
/// `TimeToLiveSpecification`.
pub(crate) async fn after_change(
    clients: &Clients,
    template: &Template,
    scope: &Scope,
    resources: &BTreeMap<String, Resource>,
) -> anyhow::Result<()> {
    for (logical_id, declared) in template.section("Resources") {
        let specification = declared.pointer("/Properties/TimeToLiveSpecification");
        let (Some(specification), Some(resource)) = (specification, resources.get(logical_id)) else { continue };
        let specification = scope.resolve(specification)?.unwrap_or_default();
        let attribute = specification.get("AttributeName").and_then(Value::as_str).unwrap_or_default();
        let enabled = specification.get("Enabled") == Some(&Value::Bool(true));
        if enabled {
            expire(clients, &resource.id, attribute).await.with_context(|| format!("{logical_id}: time to live"))?;
        }
    }
    Ok(())
}

/// Puts a secret's ARN into a policy that refers to it: `!Ref` gives that on AWS, and the secret's name here.
pub(crate) fn name_secrets_in_full(template: &Template, statement: &mut Value) {
    let Some(resource) = statement.get_mut("Resource") else { return };
    let Some(id) = resource.get("Ref").and_then(Value::as_str) else { return };
    let declared = template.section("Resources").get(id).and_then(|declared| declared.get("Type"));
    if declared.is_some_and(|kind| kind == "AWS::SecretsManager::Secret") {
        let arn = format!("arn:aws:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:${{{id}}}*");
        *resource = serde_json::json!({"Fn::Sub": arn});
    }
}

async fn expire(clients: &Clients, table: &str, attribute: &str) -> anyhow::Result<()> {
    let current = clients.dynamo.describe_time_to_live().table_name(table).send().await?.time_to_live_description;
    if current.is_some_and(|current| current.time_to_live_status == Some(TimeToLiveStatus::Enabled)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build()?;
    clients.dynamo.update_time_to_live().table_name(table).time_to_live_specification(specification).send().await?;
    Ok(())
}

/// A queue's URL with the endpoint's present address: one that was kept names the port of the run that made it.
pub(crate) fn queue_url(endpoint: &str, kept: &str) -> String {
    let path = url::Url::parse(kept).map(|url| url.path().to_owned()).unwrap_or_default();
    format!("{}{path}", endpoint.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_found_at_the_present_port() {
        let url = queue_url("http://127.0.0.1:4567/", "http://127.0.0.1:4566/000000000000/clicks");
        assert_eq!(url, "http://127.0.0.1:4567/000000000000/clicks");
    }
}
