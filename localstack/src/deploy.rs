//! Brings the template's tables, queues, topics and buckets to life through CloudFormation on the local endpoint, and
//! finds out what they are called there.
//!
//! Functions and the API are left out: this process runs them itself. A stack that was made from the same template is
//! taken as it is.

mod cut;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackStatus, Tag};
use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use crate::clients::Clients;
use crate::differences;
use crate::template::{Resource, Scope, Template};

/// The name of the one stack on the endpoint.
pub(crate) const STACK: &str = "tenfold-local";
/// The tag that holds what the stack was made from.
const SOURCE_TAG: &str = "tenfold:source";
/// How often the state of a change is asked for.
const POLL: Duration = Duration::from_millis(20);
/// A change that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// Deploys what is not there yet, and returns all resources by logical id.
pub(crate) async fn deploy(
    clients: &Clients,
    template: &Template,
    scope: &Scope,
) -> anyhow::Result<BTreeMap<String, Resource>> {
    let body = Value::Object(cut::resources_only(template)).to_string();
    let parameters: Vec<(String, String)> = scope.parameters().map(|(name, value)| (name.to_owned(), value)).collect();
    let source = source(&body, &parameters);
    let stack = describe(clients).await?;
    let unchanged = stack.as_ref().is_some_and(|stack| tag(stack) == Some(&source) && is_complete(stack));
    if !unchanged {
        change(clients, stack, &body, &parameters, &source).await?;
    }
    let resources = resources(clients).await?;
    if !unchanged {
        differences::after_change(clients, template, scope, &resources).await?;
    }
    Ok(resources)
}

/// A text that changes when the stack's source does.
fn source(body: &str, parameters: &[(String, String)]) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (body, parameters).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn tag(stack: &Stack) -> Option<&String> {
    stack.tags().iter().find(|tag| tag.key() == Some(SOURCE_TAG)).and_then(|tag| tag.value.as_ref())
}

fn is_complete(stack: &Stack) -> bool {
    matches!(stack.stack_status(), Some(StackStatus::CreateComplete | StackStatus::UpdateComplete))
}

async fn describe(clients: &Clients) -> anyhow::Result<Option<Stack>> {
    match clients.cloudformation.describe_stacks().stack_name(STACK).send().await {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().pop()),
        // CloudFormation says in a ValidationError that there is no such stack.
        Err(error) if error.code() == Some("ValidationError") => Ok(None),
        Err(error) => Err(error).context("cannot ask the local CloudFormation for the stack"),
    }
}

async fn change(
    clients: &Clients,
    existing: Option<Stack>,
    body: &str,
    parameters: &[(String, String)],
    source: &str,
) -> anyhow::Result<()> {
    let parameters: Vec<Parameter> = parameters
        .iter()
        .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build())
        .collect();
    let tags = Tag::builder().key(SOURCE_TAG).value(source).build();
    let cloudformation = &clients.cloudformation;
    if existing.as_ref().is_some_and(is_complete) {
        let update =
            cloudformation.update_stack().stack_name(STACK).template_body(body).set_parameters(Some(parameters));
        match update.tags(tags).capabilities(Capability::CapabilityNamedIam).send().await {
            Ok(_) => {}
            Err(error) if error.message().is_some_and(|text| text.contains("No updates")) => return Ok(()),
            Err(error) => return Err(error).context("the local CloudFormation refused the update of the stack"),
        }
    } else {
        if existing.is_some() {
            cloudformation.delete_stack().stack_name(STACK).send().await.context("cannot delete the failed stack")?;
            settle(clients).await?;
        }
        let create =
            cloudformation.create_stack().stack_name(STACK).template_body(body).set_parameters(Some(parameters));
        let create = create.tags(tags).capabilities(Capability::CapabilityNamedIam).send().await;
        create.context("the local CloudFormation refused the stack")?;
    }
    match settle(clients).await? {
        Some(stack) if is_complete(&stack) => Ok(()),
        stack => {
            let status = stack.as_ref().and_then(Stack::stack_status).map_or("gone", StackStatus::as_str);
            bail!("the stack is {status}: {}", failure(clients).await)
        }
    }
}

/// Waits until no change is under way.
async fn settle(clients: &Clients) -> anyhow::Result<Option<Stack>> {
    let wait = async {
        loop {
            let stack = describe(clients).await?;
            let status = stack.as_ref().and_then(Stack::stack_status).map_or("", StackStatus::as_str);
            if !status.ends_with("IN_PROGRESS") {
                return Ok(stack.filter(|stack| stack.stack_status() != Some(&StackStatus::DeleteComplete)));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.context("the local CloudFormation does not finish")?
}

/// Why the last change failed: the reasons of its events.
async fn failure(clients: &Clients) -> String {
    let events = clients.cloudformation.describe_stack_events().stack_name(STACK).send().await;
    let events = events.ok().and_then(|answer| answer.stack_events).unwrap_or_default();
    let reasons: Vec<String> = events
        .iter()
        .filter(|event| event.resource_status().is_some_and(|status| status.as_str().ends_with("FAILED")))
        .map(|event| {
            let reason = event.resource_status_reason().unwrap_or("no reason given");
            format!("{}: {reason}", event.logical_resource_id().unwrap_or_default())
        })
        .collect();
    reasons.join("; ")
}

async fn resources(clients: &Clients) -> anyhow::Result<BTreeMap<String, Resource>> {
    let answer = clients.cloudformation.describe_stack_resources().stack_name(STACK).send().await;
    let answer = answer.context("cannot ask the local CloudFormation for the resources")?;
    let described = answer.stack_resources().iter().map(|resource| async move {
        let logical_id = resource.logical_resource_id().unwrap_or_default().to_owned();
        let id = resource.physical_resource_id().unwrap_or_default();
        let kind = resource.resource_type().unwrap_or_default();
        let described = describe_resource(clients, kind, id).await;
        anyhow::Ok((logical_id, described.with_context(|| format!("cannot describe {kind} {id}"))?))
    });
    let described = futures::future::try_join_all(described).await?;
    Ok(described.into_iter().collect())
}

/// What `!Ref` and `!GetAtt` give for a resource.
async fn describe_resource(clients: &Clients, kind: &str, id: &str) -> anyhow::Result<Resource> {
    let (id, attributes): (String, Vec<(&str, String)>) = match kind {
        "AWS::DynamoDB::Table" => {
            let table = clients.dynamo.describe_table().table_name(id).send().await?.table;
            let arn = table.as_ref().and_then(TableDescription::table_arn).unwrap_or_default().to_owned();
            let stream = table.as_ref().and_then(TableDescription::latest_stream_arn).map(str::to_owned);
            let stream = stream.map(|stream| ("StreamArn", stream));
            (id.to_owned(), [("Arn", arn)].into_iter().chain(stream).collect())
        }
        "AWS::SQS::Queue" => {
            let url = differences::queue_url(&clients.endpoint, id);
            let attributes = clients.sqs.get_queue_attributes().queue_url(&url);
            let attributes = attributes.attribute_names(QueueAttributeName::QueueArn).send().await?.attributes;
            let arn = attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn)).unwrap_or_default();
            let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
            (url.clone(), vec![("Arn", arn), ("QueueName", name), ("QueueUrl", url)])
        }
        "AWS::SNS::Topic" => {
            let name = id.rsplit(':').next().unwrap_or_default().to_owned();
            (id.to_owned(), vec![("TopicArn", id.to_owned()), ("TopicName", name)])
        }
        "AWS::S3::Bucket" => (id.to_owned(), vec![("Arn", format!("arn:aws:s3:::{id}"))]),
        _ => (id.to_owned(), Vec::new()),
    };
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Resource { id, attributes })
}
